// The recording observer, and the digest of each part of a machine.
#include "sim/record.h"

#include <utility>

namespace retrap {

using traces::Part;
using traces::PartDigest;

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
  return run_in_intervals(machine_, max_instructions, interval_, [this] {
    writer_.add(digests_.change_to(clock_.retired(), digest_parts(machine_)));
  });
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

namespace {

class Parts {
 public:
  template <class Into>
  void add(PartDigest part, Into into) {
    Digest digest;
    into(digest);
    part.digest = digest.value();
    all_.push_back(std::move(part));
  }
  void add_device(VmId vm, Part part, const Bus::Plug& plug) {
    PartDigest device{.vm = vm, .part = part, .base = plug.base, .size = plug.device->size()};
    device.name = plug.device->name().substr(0, traces::kMaxPartName);
    add(std::move(device), [&](Digest& into) { plug.device->digest(into); });
  }
  void add_memory(Vm& vm) {
    for (const AddressSpace::Piece& piece : vm.memory().pieces(kMostPieces)) {
      all_.push_back({.vm = vm.id(),
                      .part = Part::Ram,
                      .digest = piece.digest,
                      .base = piece.base.raw(),
                      .size = piece.size});
    }
  }
  [[nodiscard]] std::vector<PartDigest> take() && { return std::move(all_); }

 private:
  static constexpr std::uint64_t kMostPieces = 128;
  std::vector<PartDigest> all_;
};

/// What has a digest of its own in every version.
void add_common(Parts& parts, Machine& machine) {
  parts.add({.part = Part::Clock}, [&](Digest& digest) {
    digest.add(machine.clock().retired());
    digest.add(machine.clock().idle_ns());
  });
  for (std::size_t i = 0; i < machine.vm_num(); ++i) {
    Vm& vm = machine.vm(i);
    if (!vm.is_built()) continue;
    for (std::uint32_t n = 0; n < vm.vcpu_num(); ++n) {
      const VcpuId id{n};
      parts.add({.vm = vm.id(), .part = Part::Registers, .vcpu = id},
                [&](Digest& into) { (*vm.vcpu(id))->arch().digest(into); });
    }
    parts.add({.vm = vm.id(), .part = Part::Board}, [&](Digest& into) { vm.board().digest(into); });
    parts.add({.vm = vm.id(), .part = Part::Console},
              [&](Digest& into) { into.add(std::string_view(machine.console_of(vm))); });
  }
}

void add_whole(Parts& parts, Vm& vm) {
  const VmId id = vm.id();
  parts.add({.vm = id, .part = Part::Memory}, [&](Digest& into) { vm.memory().digest(into); });
  parts.add({.vm = id, .part = Part::Mmio}, [&](Digest& into) { vm.mmio().digest(into); });
  parts.add({.vm = id, .part = Part::Ports}, [&](Digest& into) { vm.ports().digest(into); });
  parts.add({.vm = id, .part = Part::SystemRegisters},
            [&](Digest& into) { vm.sysregs().digest(into); });
}

void add_each(Parts& parts, Vm& vm) {
  parts.add_memory(vm);
  for (const auto& plug : vm.mmio().plugs()) parts.add_device(vm.id(), Part::MmioDevice, plug);
  for (const auto& plug : vm.ports().plugs()) parts.add_device(vm.id(), Part::PortDevice, plug);
  for (const auto& plug : vm.sysregs().plugs()) {
    parts.add_device(vm.id(), Part::SystemRegisterDevice, plug);
  }
}

}  // namespace

std::vector<PartDigest> digest_parts(Machine& machine, std::uint32_t version) {
  Parts parts;
  add_common(parts, machine);
  for (std::size_t i = 0; i < machine.vm_num(); ++i) {
    Vm& vm = machine.vm(i);
    if (!vm.is_built()) continue;
    version == 1 ? add_whole(parts, vm) : add_each(parts, vm);
  }
  return std::move(parts).take();
}

}  // namespace retrap
