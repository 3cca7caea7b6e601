// One bit changed: the replay on one side, a plain run with nothing but a list on the other.
#include "tests/replay/changes.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/record.h"
#include "tests/replay/guest_machine.h"
#include "traces/text.h"
#include "vmm/base/prng.h"

namespace retrap::test {
namespace {

using traces::Event;
using traces::InputRecord;

/// Every event of a machine, in a list.
class Listener final : public Observer {
 public:
  explicit Listener(Machine& machine) : machine_(machine) { machine.add_listener(*this); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() override { machine_.remove_listener(*this); }

  void on_exit(const ExitEvent& event) override {
    events.emplace_back(traces::record_of(event, machine_.clock().idle_ns()));
  }
  void on_answer(const AnswerEvent& event) override {
    events.emplace_back(traces::record_of(event));
  }
  void on_injection(const InjectionEvent& event) override {
    events.emplace_back(traces::record_of(event));
  }

  std::vector<Event> events;

 private:
  Machine& machine_;
};

/// What was changed, by the name that a difference has to have: of a vCPU, of a piece of RAM, or of
/// a device. Those of a GIC are one.
struct Target {
  traces::Part part = traces::Part::Clock;
  VcpuId vcpu{};
  std::uint64_t at = 0;
  std::string device = {};

  [[nodiscard]] bool is(const traces::PartDigest& it) const {
    const std::string_view first = std::string_view(device).substr(0, device.find(' '));
    return it.part == part && it.vcpu == vcpu && it.name.starts_with(first) &&
           (part != traces::Part::Ram || (it.base <= at && at - it.base < it.size));
  }
};

Target flip_register(Machine& machine, Prng& prng) {
  Vm& vm = machine.vm(0);
  const VcpuId id{static_cast<std::uint32_t>(prng.below(vm.vcpu_num()))};
  Vcpu* const vcpu = *vm.vcpu(id);
  const auto index = static_cast<unsigned>(prng.between(1, 15));
  const std::uint64_t value = vcpu->arch().gpr(index).value();
  (void)vcpu->set_gpr(index, value ^ std::uint64_t{1} << prng.below(64));
  return {.part = traces::Part::Registers, .vcpu = id};
}

Target flip_ram(Machine& machine, const std::string& guest, Prng& prng) {
  Vm& vm = machine.vm(0);
  const auto images = images_of(vm.config().arch, guest).value();
  const auto& segments = images.kernel->segments();
  const auto& segment = segments[static_cast<std::size_t>(prng.below(segments.size()))];
  const GuestPhys at(segment.address.raw() + prng.below(segment.size));
  const auto byte = vm.read_from_guest_of<std::uint8_t>(at).value();
  (void)vm.write_to_guest_of(at, static_cast<std::uint8_t>(byte ^ 1U << prng.below(8)));
  return {.part = traces::Part::Ram, .at = at.raw()};
}

struct Place {
  Bus& (Vm::*bus)();
  std::uint64_t base;
  std::uint64_t registers;
  std::uint64_t stride;
  Width width;
};

/// Where an architecture's devices have registers worth a bit.
std::vector<Place> device_registers(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:
      return {{&Vm::ports, 0x3f9, 6, 1, Width::Byte},
              {&Vm::ports, 0x21, 1, 1, Width::Byte},
              {&Vm::mmio, 0xfee0'0320, 1, 1, Width::Word},
              {&Vm::mmio, 0xfee0'00f0, 1, 1, Width::Word},
              {&Vm::mmio, 0xfee0'0380, 1, 1, Width::Word}};
    case ArchId::Aarch64:
      return {{&Vm::mmio, 0x0900'0024, 8, 4, Width::Word},
              {&Vm::mmio, 0x0800'0100, 3, 4, Width::Word},
              {&Vm::mmio, 0x080b'0100, 1, 4, Width::Word},
              {&Vm::mmio, 0x080b'0400, 8, 4, Width::Word}};
    case ArchId::Riscv64:
      return {{&Vm::mmio, 0x1000'0001, 6, 1, Width::Byte},
              {&Vm::mmio, 0x0c00'0004, 12, 4, Width::Word},
              {&Vm::mmio, 0x0c00'2000, 1, 4, Width::Word},
              {&Vm::mmio, 0x0c20'1000, 1, 4, Width::Word}};
  }
  return {};
}

Target flip_device_register(Machine& machine, Prng& prng) {
  Vm& vm = machine.vm(0);
  const auto places = device_registers(vm.config().arch);
  const Place& place = places[static_cast<std::size_t>(prng.below(places.size()))];
  Bus& bus = (vm.*place.bus)();
  const std::uint64_t at = place.base + place.stride * prng.below(place.registers);
  const auto value = bus.read(at, place.width, kBootVcpu);
  const std::uint64_t bit = std::uint64_t{1} << prng.below(8 * bytes(place.width));
  if (value) (void)bus.write(at, place.width, *value ^ bit, kBootVcpu);
  return {.part = place.bus == &Vm::ports ? traces::Part::PortDevice : traces::Part::MmioDevice,
          .at = at,
          .device = std::string(bus.first_in(at, 1)->name())};
}

Target apply(Machine& machine, const BaseRun& base, const Change& change) {
  Prng prng(change.seed);
  switch (change.kind) {
    case ChangeKind::Register:       return flip_register(machine, prng);
    case ChangeKind::Ram:            return flip_ram(machine, base.guest, prng);
    case ChangeKind::DeviceRegister: return flip_device_register(machine, prng);
    case ChangeKind::InputCount:
    case ChangeKind::InputByte:      break;
  }
  return {};
}

/// The inputs with one bit of one of them changed.
std::vector<InputRecord> changed_inputs(const BaseRun& base, const Change& change) {
  std::vector<InputRecord> inputs = base.trace.inputs();
  Prng prng(change.seed);
  InputRecord& input = inputs[static_cast<std::size_t>(prng.below(inputs.size()))];
  if (change.kind == ChangeKind::InputCount) {
    input.retired ^= std::uint64_t{1} << prng.below(10);
  } else if (auto* console = std::get_if<traces::ConsoleInput>(&input.input)) {
    console->bytes[0] = static_cast<char>(console->bytes[0] ^ 1 << prng.below(7));
  } else if (auto* interrupt = std::get_if<traces::InterruptInput>(&input.input)) {
    interrupt->vector ^= std::uint64_t{1} << prng.below(3);
  }
  return inputs;
}

bool in_order(const std::vector<InputRecord>& inputs) {
  return std::is_sorted(inputs.begin(), inputs.end(),
                        [](const auto& a, const auto& b) { return a.retired < b.retired; });
}

bool changes_inputs(const Change& change) {
  return change.kind == ChangeKind::InputCount || change.kind == ChangeKind::InputByte;
}

/// Runs as the trace says, with the change, and compares by itself.
class Watched {
 public:
  Watched(const BaseRun& base, const Change& change)
      : base_(base),
        change_(change),
        machine_(machine_with(base.arch, base.guest, base.vcpus).value()),
        listener_(*machine_),
        recorded_(events_of(base.trace)) {}

  /// Where it parts from the recorded run.
  Parting run() {
    const auto inputs =
        changes_inputs(change_) ? changed_inputs(base_, change_) : base_.trace.inputs();
    for (const InputRecord& input : inputs) {
      if (input.when != InputRecord::When::Same && !comes_to(input)) return parting_;
      if (!machine_->apply(machine_->vm(0), input.input)) return {"input", exits_before()};
      if (!check_events()) return parting_;
    }
    const traces::EndRecord& end = *base_.trace.end();
    const bool by_count = end.reason == static_cast<std::uint8_t>(StopReason::BudgetSpent);
    const RunReport report = run_to(by_count ? end.retired : end.retired + 1);
    if (!parting_.field.empty()) return parting_;
    if (static_cast<std::uint8_t>(report.reason) != end.reason ||
        report.instructions != end.retired) {
      return {"end", exits_before()};
    }
    if (listener_.events.size() != recorded_.size()) return {"exits", exits_before()};
    if (machine_->digest() != end.digest) return {"digest at the end", exits_before()};
    return {};
  }

  /// What is wrong with the names of the parts that the change alone made differ. Or empty.
  [[nodiscard]] const std::string& misnamed() const { return misnamed_; }

 private:
  static std::vector<Event> events_of(const traces::Reader& trace) {
    std::vector<Event> events;
    traces::EventCursor cursor(trace);
    for (Event event; cursor.next(event).value();) events.push_back(event);
    return events;
  }

  [[nodiscard]] std::uint64_t exits_before() const {
    const auto exits = std::count_if(
        listener_.events.begin(), listener_.events.end(),
        [](const Event& event) { return std::holds_alternative<traces::ExitRecord>(event); });
    return static_cast<std::uint64_t>(std::max<std::ptrdiff_t>(exits, 1) - 1);
  }

  [[nodiscard]] bool comes_to(const InputRecord& input) {
    const bool resting = input.when == InputRecord::When::Resting;
    const RunReport report = run_to(resting ? input.retired + 1 : input.retired);
    if (!parting_.field.empty()) return false;
    const auto wanted = resting ? StopReason::Deadlocked : StopReason::BudgetSpent;
    if (report.reason == wanted && report.instructions == input.retired) return true;
    parting_ = {"where an input came", exits_before()};
    return false;
  }

  void change_here() {
    if (!changed_ && machine_->clock().retired() == change_.at) {
      changed_ = true;
      // A device whose line rises by the change itself: a replay that is stopped does not hear it.
      const std::size_t heard = listener_.events.size();
      const std::vector<traces::PartDigest> before = parts();
      const Target target = apply(*machine_, base_, change_);
      check_names(traces::differences(before, parts(), before.size()), target);
      listener_.events.resize(heard);
    }
  }

  RunReport run_to(std::uint64_t to) {
    RunReport report;
    report.instructions = machine_->clock().retired();
    change_here();
    while (report.reason == StopReason::BudgetSpent && report.instructions < to) {
      const std::uint64_t now = machine_->clock().retired();
      std::uint64_t stop = std::min(to, now + interval_ - now % interval_);
      if (!changed_ && change_.at > now) stop = std::min(stop, change_.at);
      report = machine_->run(stop - now);
      if (!check_events()) break;
      if (report.reason == StopReason::BudgetSpent && report.instructions % interval_ == 0 &&
          !check_digest()) {
        break;
      }
      change_here();
    }
    return report;
  }

  /// Whether those since the last time are the recorded ones.
  [[nodiscard]] bool check_events() {
    for (; compared_ < listener_.events.size(); ++compared_) {
      const Event& seen = listener_.events[compared_];
      const bool more = compared_ < recorded_.size();
      if (more && recorded_[compared_] == seen) continue;
      // Up to the recorded event that it differs from.
      std::uint64_t exits = 0;
      for (std::size_t i = 0; i < std::min(compared_ + 1, recorded_.size()); ++i) {
        exits += std::holds_alternative<traces::ExitRecord>(recorded_[i]) ? 1U : 0U;
      }
      const auto what = more ? traces::difference(recorded_[compared_], seen) : std::nullopt;
      parting_ = {what ? what->field : "event", std::max<std::uint64_t>(exits, 1) - 1};
      return false;
    }
    return true;
  }

  /// In their order.
  [[nodiscard]] std::vector<traces::PartDigest> parts() {
    traces::DigestState state;
    (void)state.change_to(0, digest_parts(*machine_));
    return state.parts();
  }

  /// The part that was changed is among those that differ now; and of a register or of RAM, alone.
  void check_names(const std::vector<traces::PartDifference>& found, const Target& target) {
    if (found.empty()) return;  // a device that has ignored it
    const auto named = std::ranges::count_if(
        found, [&](const traces::PartDifference& one) { return target.is(one.part); });
    if (named == 1 && (found.size() == 1 || !target.device.empty())) return;
    misnamed_ = fmt::format("the {} and {} others differ", traces::name_of(found[0].part),
                            found.size() - 1);
  }

  [[nodiscard]] bool check_digest() {
    traces::DigestState recorded;
    bool is_recorded = false;
    for (const traces::DigestRecord& digest : base_.trace.digests()) {
      if (digest.retired > machine_->clock().retired()) break;
      recorded.apply(digest);
      is_recorded = digest.retired == machine_->clock().retired();
    }
    traces::DigestState seen;
    seen.apply({.parts = digest_parts(*machine_)});
    const auto found = traces::differences(recorded.parts(), seen.parts(), 1);
    if (!is_recorded || found.empty()) return true;
    parting_ = {"digest of the " + traces::name_of(found[0].part), exits_before()};
    return false;
  }

  const BaseRun& base_;
  Change change_;
  std::unique_ptr<Machine> machine_;
  Listener listener_;
  std::vector<Event> recorded_;
  std::uint64_t interval_ = base_.trace.header().digest_interval;
  std::size_t compared_ = 0;
  bool changed_ = false;
  std::string misnamed_;
  Parting parting_;
};

/// The trace with other inputs. Refused where they are not in order.
Result<traces::Reader> with_inputs(const traces::Reader& trace,
                                   const std::vector<InputRecord>& inputs) {
  traces::ByteVector bytes;
  auto writer =
      traces::Writer::create(std::make_unique<traces::MemorySink>(bytes), trace.header()).value();
  for (const InputRecord& input : inputs) writer.add(input);
  traces::EventCursor cursor(trace);
  for (Event event; cursor.next(event).value();) {
    std::visit([&](const auto& record) { writer.add(record); }, event);
  }
  for (const auto& digest : trace.digests()) writer.add(digest);
  (void)writer.finish(*trace.end());
  return traces::Reader::parse("changed", bytes);
}

Result<ReplayReport> replayed(const BaseRun& base, const Change& change) {
  auto machine = machine_with(base.arch, base.guest, base.vcpus).value();
  if (changes_inputs(change)) {
    RETRAP_TRY(const traces::Reader trace, with_inputs(base.trace, changed_inputs(base, change)));
    return Replayer(*machine, trace).run();
  }
  Replayer replayer(*machine, base.trace);
  RETRAP_TRY(ReplayReport report, replayer.run(UntilInstruction{change.at}));
  if (report.outcome != ReplayReport::Outcome::Stopped) return report;
  (void)apply(*machine, base, change);
  return replayer.run();
}

/// Types and interrupts, at rest and in the middle of things.
RunReport drive(Machine& machine, Recorder& recorder) {
  Vm& vm = machine.vm(0);
  const ArchId arch = vm.config().arch;
  const std::uint64_t vector = arch == ArchId::X86_64 ? 0x40 : arch == ArchId::Aarch64 ? 40 : 9;
  RunReport report = recorder.run(10'000'000);
  for (int i = 0; i < 6 && report.reason == StopReason::Deadlocked; ++i) {
    if (!machine.type(vm, static_cast<char>('a' + i))) break;
    report = recorder.run(200);
    if (i % 2 == 0) {
      (void)machine.type(vm, static_cast<char>('A' + i));
    } else {
      (void)machine.inject(vm, kBootVcpu, vector);
    }
    report = recorder.run(10'000'000);
  }
  while (report.reason == StopReason::Deadlocked && machine.type(vm, 'q')) {
    report = recorder.run(10'000'000);
  }
  return report;
}

}  // namespace

BaseRun base_run(ArchId arch, const std::string& guest, std::uint32_t vcpus,
                 traces::Detail detail) {
  traces::ByteVector bytes;
  auto machine = machine_with(arch, guest, vcpus).value();
  auto recorder = Recorder::start(*machine, std::make_unique<traces::MemorySink>(bytes),
                                  {.detail = detail,
                                   .digest_interval = vcpus == 1 ? 1000U : 100'000U,
                                   .configs = {to_toml(machine->vm(0).config())}})
                      .value();
  EXPECT_THAT(recorder->finish(drive(*machine, *recorder)), Succeeds());
  return {.arch = arch,
          .guest = guest,
          .vcpus = vcpus,
          .trace = traces::Reader::parse("base", bytes).value()};
}

Change change_of(const BaseRun& base, std::uint64_t seed) {
  Prng prng(seed);
  const std::uint64_t kinds = base.trace.inputs().empty() ? 3 : kChangeNames.size();
  const auto kind = static_cast<ChangeKind>(prng.below(kinds));
  const std::uint64_t at = prng.below(base.trace.end()->retired);
  return {.kind = kind, .seed = prng.next(), .at = changes_inputs({.kind = kind}) ? kNever : at};
}

Verdict judge(const BaseRun& base, const Change& change) {
  Watched watched(base, change);
  const Parting wanted = watched.run();
  const auto report = replayed(base, change);
  Verdict verdict{.changes_behaviour = !wanted.field.empty(), .problem = {}, .where = {}};
  if (!report) {
    verdict.where = "refused: inputs are not in order";
    if (!changes_inputs(change) || in_order(changed_inputs(base, change))) {
      verdict.problem = report.error().message;
    }
    return verdict;
  }
  Parting found;
  if (report->divergence) found = {report->divergence->what.field, report->divergence->exit};
  verdict.where = found.field;
  verdict.problem = watched.misnamed();
  if (found == wanted) return verdict;
  verdict.problem = fmt::format("{} at exit {} was named, {} at exit {} is where they part",
                                found.field, found.exit, wanted.field, wanted.exit);
  return verdict;
}

}  // namespace retrap::test
