// The recording observer, and the digest of each part of a machine.
#include "sim/record.h"

#include <utility>

namespace retrap {

using traces::DigestRecord;
using traces::Part;

Recorder::Recorder(Machine& machine, traces::Writer writer, const traces::Header& header)
    : machine_(machine),
      clock_(machine.clock()),
      writer_(std::move(writer)),
      interval_(header.detail == traces::Detail::Full ? header.digest_interval : 0) {}

Result<std::unique_ptr<Recorder>> Recorder::start(Machine& machine,
                                                  std::unique_ptr<traces::Sink> sink,
                                                  const traces::Header& header) {
  RETRAP_TRY(auto writer, traces::Writer::create(std::move(sink), header));
  std::unique_ptr<Recorder> recorder(new Recorder(machine, std::move(writer), header));
  machine.set_observer(recorder.get(), header.detail == traces::Detail::Inputs
                                           ? Machine::Listen::Inputs
                                           : Machine::Listen::Everything);
  return recorder;
}

Recorder::~Recorder() {
  machine_.set_observer(nullptr);
}

RunReport Recorder::run(std::uint64_t max_instructions) {
  return run_in_intervals(machine_, max_instructions, interval_,
                          [this] { writer_.add(digest_parts(machine_)); });
}

Result<> Recorder::finish(const RunReport& report) {
  machine_.set_observer(nullptr);
  return writer_.finish({.retired = report.instructions,
                         .idle_ns = clock_.idle_ns(),
                         .reason = static_cast<std::uint8_t>(report.reason),
                         .detail = report.detail,
                         .digest = machine_.digest()});
}

void Recorder::on_exit(const ExitEvent& event) {
  writer_.add(traces::record_of(event, clock_.idle_ns()));
}

void Recorder::on_answer(const AnswerEvent& event) {
  writer_.add(traces::record_of(event));
}

void Recorder::on_injection(const InjectionEvent& event) {
  writer_.add(traces::record_of(event));
}

void Recorder::on_input(const traces::InputRecord& input) {
  writer_.add(input);
}

DigestRecord digest_parts(Machine& machine) {
  DigestRecord record{.retired = machine.clock().retired(), .parts = {}};
  const auto add = [&](VmId vm, Part part, VcpuId vcpu, auto&& into) {
    Digest digest;
    into(digest);
    record.parts.push_back({.vm = vm, .part = part, .vcpu = vcpu, .digest = digest.value()});
  };
  add(VmId{}, Part::Clock, {}, [&](Digest& digest) {
    digest.add(machine.clock().retired());
    digest.add(machine.clock().idle_ns());
  });
  for (std::size_t i = 0; i < machine.vm_num(); ++i) {
    Vm& vm = machine.vm(i);
    if (!vm.is_built()) continue;
    for (std::uint32_t n = 0; n < vm.vcpu_num(); ++n) {
      const VcpuId id{n};
      add(vm.id(), Part::Registers, id, [&](Digest& into) { (*vm.vcpu(id))->arch().digest(into); });
    }
    add(vm.id(), Part::Memory, {}, [&](Digest& into) { vm.memory().digest(into); });
    add(vm.id(), Part::Mmio, {}, [&](Digest& into) { vm.mmio().digest(into); });
    add(vm.id(), Part::Ports, {}, [&](Digest& into) { vm.ports().digest(into); });
    add(vm.id(), Part::SystemRegisters, {}, [&](Digest& into) { vm.sysregs().digest(into); });
    add(vm.id(), Part::Board, {}, [&](Digest& into) { vm.board().digest(into); });
    add(vm.id(), Part::Console, {},
        [&](Digest& into) { into.add(std::string_view(machine.console_of(vm))); });
  }
  return record;
}

}  // namespace retrap
