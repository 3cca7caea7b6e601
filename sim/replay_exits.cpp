// Exit-only replay: a host, a board with recorded vCPUs, and the comparison.
#include "sim/replay_exits.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "sim/architectures.h"
#include "sim/host_ram.h"
#include "sim/recorded_devices.h"
#include "sim/recorded_vcpu.h"
#include "sim/replay.h"
#include "sim/scripted/scripted_board.h"
#include "traces/text.h"
#include "vmm/hypervisor.h"
#include "vmm/ivc_calls.h"

namespace retrap {
namespace {

/// A board whose vCPUs are recorded, and all else as it was.
class RecordedBoard final : public Board {
 public:
  RecordedBoard(const VmConfig& config, std::unique_ptr<Board> real, EventFeed& feed, Clock& clock)
      : real_(std::move(real)) {
    for (std::uint32_t id = 0; id < config.cpu_num; ++id) {
      vcpus_.push_back(std::make_unique<RecordedVcpu>(VmId{config.id}, VcpuId{id}, feed, clock));
      vcpus_.back()->set_not_supported(real_->vcpu(VcpuId{id}).not_supported());
    }
  }
  [[nodiscard]] ArchVcpu& vcpu(VcpuId id) override { return *vcpus_[index(id)]; }
  [[nodiscard]] InterruptController& interrupts() override { return real_->interrupts(); }
  [[nodiscard]] Result<> load(const Images& images) override { return real_->load(images); }
  [[nodiscard]] bool receive(char byte) override { return real_->receive(byte); }
  void reset() override { real_->reset(); }
  void digest(Digest& into) const override { real_->digest(into); }

 private:
  std::unique_ptr<Board> real_;
  std::vector<std::unique_ptr<RecordedVcpu>> vcpus_;
};

/// Makes such boards.
class RecordedArchitecture final : public Architecture {
 public:
  /// Those that are references outlive this.
  RecordedArchitecture(std::unique_ptr<Architecture> real, EventFeed& feed, Clock& clock)
      : real_(std::move(real)), feed_(feed), clock_(clock) {}

  [[nodiscard]] ArchId id() const override { return real_->id(); }
  [[nodiscard]] const PageTableFormat& page_table_format() const override {
    return real_->page_table_format();
  }
  [[nodiscard]] VmConfig default_config(std::uint64_t memory_bytes) const override {
    return real_->default_config(memory_bytes);
  }
  void check(const VmConfig& config, std::vector<std::string>& problems) const override {
    real_->check(config, problems);
  }
  Result<std::unique_ptr<Board>> make_board(const VmConfig& config, VmParts parts) override {
    RETRAP_TRY(auto board, real_->make_board(config, parts));
    return std::make_unique<RecordedBoard>(config, std::move(board), feed_, clock_);
  }

 private:
  std::unique_ptr<Architecture> real_;
  EventFeed& feed_;
  Clock& clock_;
};

/// A host with such architectures.
class RecordedHost final : public Hal, public ConsoleSink {
 public:
  RecordedHost(HostRam ram, ExitReplayBoard board, EventFeed& feed, std::uint64_t seed)
      : ram_(std::move(ram)),
        memory_(HostPhys(0x1'0000'0000), ram_.bytes()),
        board_(board),
        feed_(feed),
        seed_(seed) {}

  Frames& frames() override { return frames_; }
  Clock& clock() override { return clock_; }
  [[nodiscard]] std::uint64_t seed() const override { return seed_; }
  Architecture* architecture(ArchId arch) override {
    auto& architecture = architectures_[static_cast<std::size_t>(arch)];
    if (architecture == nullptr) {
      std::unique_ptr<Architecture> real;
      if (board_ == ExitReplayBoard::Recorded) real = make_architecture(arch, memory_, clock_);
      if (real == nullptr) real = std::make_unique<scripted::ScriptedArchitecture>(arch);
      architecture = std::make_unique<RecordedArchitecture>(std::move(real), feed_, clock_);
    }
    return architecture.get();
  }
  void put(char byte) override { (void)byte; }

 private:
  HostRam ram_;
  HostMemory memory_;
  Frames frames_{memory_};
  Clock clock_;
  ExitReplayBoard board_;
  EventFeed& feed_;
  std::uint64_t seed_;
  std::array<std::unique_ptr<Architecture>, kAllArchs.size()> architectures_;
};

/// A call about channels between VMs.
struct ChannelCall {
  VmId vm;
  VcpuId vcpu;
  exits::Hypercall call;
};

std::optional<ChannelCall> channel_call_of(const ExitEvent& event) {
  const auto* const call = std::get_if<exits::Hypercall>(&event.reason);
  if (call == nullptr ||
      call->nr < static_cast<std::uint64_t>(HypercallNumber::IvcPublishChannel) ||
      call->nr > static_cast<std::uint64_t>(HypercallNumber::IvcNotify)) {
    return std::nullopt;
  }
  return ChannelCall{event.vm, event.vcpu, *call};
}

/// Hears what the monitor does, and drives it.
class Replay final : public Observer, private DeviceRecord {
 public:
  Replay(const traces::Reader& trace, EventFeed& feed, Clock& clock, Hypervisor& hypervisor)
      : trace_(trace), feed_(feed), clock_(clock), hypervisor_(hypervisor) {}

  void on_exit(const ExitEvent& event) override {
    const traces::ExitRecord* const recorded = feed_.exit();
    if (recorded != nullptr && recorded->reason == event.reason && recorded->vm == event.vm &&
        recorded->vcpu == event.vcpu) {
      ++report_.exits;
      channel_call_ = channel_call_of(event);
      return take();
    }
    differ(traces::record_of(event, clock_.idle_ns()));
  }
  void on_answer(const AnswerEvent& event) override {
    if (channel_call_ && channel_call_->vm == event.vm && channel_call_->vcpu == event.vcpu) {
      if (take_channel_answer(*std::exchange(channel_call_, std::nullopt))) return;
    }
    ++report_.answers;
    check(traces::record_of(event));
  }
  void on_injection(const InjectionEvent& event) override {
    if (lines_come_from_the_trace_) return;
    if (event.change == LineChange::Deliver && !traces::has_deliveries(trace_.version())) return;
    check(traces::record_of(event));
  }

  ExitReplayReport run() {
    for (std::size_t vm = 0; vm < hypervisor_.vm_num(); ++vm) {
      hypervisor_.vm(vm).set_observer(this);
      // The memory that they work on is not there.
      take_devices_away(hypervisor_.vm(vm), /*use_memory=*/true, *this, taken_);
    }
    hypervisor_.boot_all();
    constexpr unsigned kMostTries = 100;  // others wake up, alarms go off: no more often than this
    std::uint64_t taken = 0;
    unsigned tries = 0;
    while (!report_.divergence && feed_.head() != nullptr) {
      apply_inputs(feed_.block());
      if (apply_cpu_line()) continue;
      const traces::ExitRecord* const exit = feed_.exit();
      tries = taken == takes_ ? tries + 1 : 0;
      taken = takes_;
      // An answer that nobody gave, or an exit that the monitor did not come to.
      if (exit == nullptr || tries > kMostTries) {
        if (exit == nullptr && tries <= kMostTries && come_to_device_line()) continue;
        if (exit == nullptr && apply_input()) continue;
        missing();
        break;
      }
      (void)hypervisor_.wake();
      skip_to(exit->idle_ns);
      clock_.set_slice_end(kNever);
      const auto vm = position_of(exit->vm);
      if (!vm || index(exit->vcpu) >= hypervisor_.vm(*vm).config().cpu_num) {
        missing();
        break;
      }
      (void)hypervisor_.run({.vm = *vm, .vcpu = exit->vcpu});
    }
    for (std::size_t vm = 0; vm < hypervisor_.vm_num(); ++vm) {
      hypervisor_.vm(vm).set_observer(nullptr);
    }
    return std::move(report_);
  }

 private:
  void on_device_access() override {
    for (;;) {
      const auto* const line = std::get_if<traces::InjectionRecord>(feed_.head());
      const auto level = line == nullptr ? std::nullopt : device_level(line->change);
      if (!level) return;
      const auto vm = position_of(line->vm);
      if (!vm) return;
      hypervisor_.vm(*vm).board().interrupts().set_line(static_cast<std::uint32_t>(line->vector),
                                                        *level);
      take();
    }
  }
  std::uint64_t recorded_answer() override {
    const auto* const answer = std::get_if<traces::AnswerRecord>(feed_.head());
    return answer == nullptr ? 0 : answer->value;
  }
  void take() {
    ++takes_;
    history_.add(*feed_.head(), feed_.number());
    feed_.advance();
  }
  void check(const traces::Event& seen) {
    if (feed_.head() != nullptr && *feed_.head() == seen) return take();
    differ(seen);
  }
  void differ(const traces::Event& seen) {
    if (report_.divergence) return;
    const traces::Event* const recorded = feed_.head();
    auto what = recorded == nullptr ? traces::FieldDifference{"event", "none", "one more"}
                                    : traces::difference(*recorded, seen)
                                          .value_or(traces::FieldDifference{"event", "", ""});
    report_.divergence =
        traces::divergence_between(recorded, &seen, std::move(what), feed_.number(), history_);
    clock_.set_slice_end(clock_.retired());
  }
  void missing() {
    report_.divergence = traces::divergence_between(
        feed_.head(), nullptr, {"event", "this", "none"}, feed_.number(), history_);
  }

  /// The trace answers: what the call points at, in the memory of its guest, is not there, so there
  /// are no channels. False where the trace has no answer.
  bool take_channel_answer(const ChannelCall& made) {
    const auto answer = [&]() -> const traces::AnswerRecord* {
      const auto* const next = std::get_if<traces::AnswerRecord>(feed_.head());
      const bool is_its = next != nullptr && next->vm == made.vm && next->vcpu == made.vcpu;
      return is_its ? next : nullptr;
    };
    const bool pulses = answer() == nullptr || answer()->value == 0;
    if (pulses && made.call.nr == static_cast<std::uint64_t>(HypercallNumber::IvcNotify)) {
      const auto target = position_of(VmId{static_cast<std::uint32_t>(made.call.args[2])});
      if (target && hypervisor_.vm(*target).is_built()) {
        (void)pulse_ivc_line(hypervisor_.vm(*target));
      }
    }
    if (answer() == nullptr) return false;
    take();
    return true;
  }

  /// Of the VM with this id, where it is there.
  [[nodiscard]] std::optional<std::size_t> position_of(VmId id) const {
    for (std::size_t vm = 0; vm < hypervisor_.vm_num(); ++vm) {
      if (hypervisor_.vm(vm).id() == id) return vm;
    }
    return std::nullopt;
  }

  void skip_to(std::uint64_t idle_ns) {
    while (clock_.idle_ns() < idle_ns && !report_.divergence) {
      const std::uint64_t target = clock_.now_ns() + (idle_ns - clock_.idle_ns());
      clock_.skip_to(std::min(target, clock_.next_alarm_ns()));
      if (clock_.alarm_is_due()) clock_.fire_due();
    }
  }

  /// A line that the CPU drove by itself, at the head: no exit of ours leads to it.
  bool apply_cpu_line() {
    const auto* const line = std::get_if<traces::InjectionRecord>(feed_.head());
    const auto level = line == nullptr ? std::nullopt : cpu_level(line->change);
    if (!level) return false;
    const auto vm = position_of(line->vm);
    if (!vm || index(line->vcpu) >= hypervisor_.vm(*vm).config().cpu_num) return false;
    lines_come_from_the_trace_ = true;
    hypervisor_.vm(*vm).board().interrupts().set_cpu_line(
        line->vcpu, static_cast<std::uint32_t>(line->vector), *level);
    lines_come_from_the_trace_ = false;
    take();
    return true;
  }

  /// Up to an instruction count between two exits, with the alarms on the way.
  void advance_to(std::uint64_t retired) {
    clock_.set_slice_end(kNever);
    while (clock_.retired() < retired && !report_.divergence) {
      const std::uint64_t to = std::min(retired, clock_.stop_at());
      if (to > clock_.retired()) clock_.retire_to(to);
      if (clock_.alarm_is_due()) {
        clock_.fire_due();
      } else if (to < retired) {
        return;
      }
    }
  }

  /// A line of a device is at the head: it is an alarm that changes it, or an input. True where
  /// something was done about it.
  bool come_to_device_line() {
    const auto* const line = std::get_if<traces::InjectionRecord>(feed_.head());
    if (line == nullptr || line->change == LineChange::Pulse ||
        line->change == LineChange::Deliver) {
      return false;
    }
    if (line->retired > clock_.retired()) {
      advance_to(line->retired);
      return true;
    }
    const bool by_input = input_ < trace_.inputs().size() &&
                          trace_.inputs()[input_].retired <= line->retired &&
                          trace_.block_of_input(input_) == feed_.block() + 1;
    if (by_input || clock_.next_alarm_ns() == kNever) return false;
    clock_.skip_to(clock_.next_alarm_ns());
    if (clock_.alarm_is_due()) clock_.fire_due();
    return true;
  }

  void apply_inputs(std::size_t block) {
    while (input_ < trace_.inputs().size() && trace_.block_of_input(input_) < block) {
      if (!apply_input()) return;
    }
  }
  /// False where none is left.
  bool apply_input() {
    if (input_ == trace_.inputs().size()) return false;
    const traces::InputRecord& record = trace_.inputs()[input_++];
    advance_to(record.retired);
    if (const auto vm = position_of(record.vm)) {
      apply(*vm, record.input);
    } else if (!report_.divergence) {
      report_.divergence = traces::divergence_between(
          nullptr, nullptr,
          {"input", traces::to_text(record), fmt::format("there is no vm {}", index(record.vm))},
          feed_.number(), history_);
    }
    return true;
  }

  /// What changes nothing for the monitor is passed over: its guest does not run.
  void apply(std::size_t position, const traces::Input& input) {
    Vm& vm = hypervisor_.vm(position);
    if (std::holds_alternative<traces::ShutdownInput>(input)) {
      (void)hypervisor_.shutdown(position);
    } else if (std::holds_alternative<traces::DestroyInput>(input)) {
      (void)hypervisor_.destroy(position);
    } else if (!vm.is_built()) {
      return;
    } else if (const auto* console = std::get_if<traces::ConsoleInput>(&input)) {
      for (const char byte : console->bytes) (void)vm.board().receive(byte);
    } else if (const auto* interrupt = std::get_if<traces::InterruptInput>(&input)) {
      (void)vm.inject_interrupt_to_vcpu(interrupt->vcpu, interrupt->vector);
    } else if (const auto* memory = std::get_if<traces::MemoryInput>(&input)) {
      (void)vm.memory().write(GuestPhys(memory->gpa), std::as_bytes(std::span(memory->bytes)));
    } else if (const auto* map = std::get_if<traces::MapInput>(&input)) {
      (void)vm.map_region(GuestPhys(map->gpa), HostPhys(map->hpa), map->size,
                          MappingFlags(map->flags));
    } else if (const auto* unmap = std::get_if<traces::UnmapInput>(&input)) {
      (void)vm.unmap_region(GuestPhys(unmap->gpa), unmap->size);
    } else if (const auto* grow = std::get_if<traces::GrowInput>(&input)) {
      (void)vm.grow_memory(GuestPhys(grow->gpa), grow->size, MappingFlags(grow->flags));
    } else if (std::holds_alternative<traces::ResetInput>(input)) {
      if (!hypervisor_.reset(position)) return;
      take_devices_away(vm, /*use_memory=*/true, *this, taken_);
      hypervisor_.boot_all();
    }
  }

  const traces::Reader& trace_;
  EventFeed& feed_;
  Clock& clock_;
  Hypervisor& hypervisor_;
  traces::History history_;
  ExitReplayReport report_;
  std::size_t input_ = 0;
  std::uint64_t takes_ = 0;  ///< events of the feed
  bool lines_come_from_the_trace_ = false;
  std::optional<ChannelCall> channel_call_;  ///< that has no answer yet
  std::vector<std::unique_ptr<Device>> taken_;
};

}  // namespace

Result<ExitReplayReport> replay_exits(const traces::Reader& trace,
                                      std::span<const VmConfig> configs, ExitReplayBoard board) {
  if (trace.header().detail == traces::Detail::Inputs) {
    return fail(ErrorCode::Unsupported,
                "{}: holds inputs only; record with --record exits to replay exits", trace.name());
  }
  RETRAP_TRY(check_counts(trace));
  constexpr std::uint64_t kMemory = std::uint64_t{16} << 30;
  RETRAP_TRY(HostRam ram, HostRam::map(kMemory));
  // On x86_64 an interrupt enters the guest with its CPU, on the others the guest's own access to
  // the controller delivers it.
  std::vector<VmId> without_deliveries;
  for (const VmConfig& config : configs) {
    if (config.arch == ArchId::X86_64) without_deliveries.push_back(VmId{config.id});
  }
  EventFeed feed(trace, std::move(without_deliveries));
  RecordedHost host(std::move(ram), board, feed, trace.header().seed);
  Hypervisor hypervisor;
  for (const VmConfig& config : configs) {
    VmConfig lazy = config;
    lazy.populate = Populate::Lazy;
    RETRAP_TRY(auto vm, Vm::create(std::move(lazy), host, host)
                            .map_error(while_doing("{}: its configuration", trace.name())));
    RETRAP_TRY([[maybe_unused]] Vm * adopted,
               hypervisor.adopt(std::move(vm))
                   .map_error(while_doing("{}: its configuration", trace.name())));
  }
  auto report = Replay(trace, feed, host.clock(), hypervisor).run();
  if (feed.error()) return tl::unexpected(*feed.error());
  return report;
}

}  // namespace retrap
