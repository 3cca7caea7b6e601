// The simulated machine: builds the parts, adds VMs, runs them and says how it ended.
#include "sim/machine.h"

#include <algorithm>
#include <array>
#include <optional>

#include "sim/architectures.h"
#include "sim/host_ram.h"
#include "sim/scheduler.h"
#include "vmm/base/bits.h"
#include "vmm/base/check.h"
#include "vmm/base/overloaded.h"
#include "vmm/examine.h"

namespace retrap {
namespace {

/// Where host RAM is, unless an identity mapping wants another place: no guest address by accident.
constexpr HostPhys kDefaultBase(0x1'0000'0000);
/// Only what is touched costs anything.
constexpr std::uint64_t kDefaultMemory = std::uint64_t{16} << 30;
/// For page tables, beside the RAM of the guests.
constexpr std::uint64_t kSlack = std::uint64_t{1} << 30;
constexpr std::uint64_t kMaxMemory = std::uint64_t{1} << 40;
/// Of instructions: as good as for ever, and far from an overflow.
constexpr std::uint64_t kLongestMeanTurn = std::uint64_t{1} << 40;
/// Long enough for a loop of LL and SC, which fails where the turn ends within.
constexpr std::uint64_t kShortestMeanTurn = 16;

/// Keeps what a guest prints, and passes it on.
class Console final : public ConsoleSink {
 public:
  explicit Console(ConsoleSink* copy) : copy_(copy) {}
  void put(char byte) override {
    text_.push_back(byte);
    if (copy_ != nullptr) copy_->put(byte);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
  ConsoleSink* copy_;  ///< may be null; outlives this
};

/// Passes on what it hears to several.
class FanOut final : public Observer {
 public:
  void set(std::vector<Observer*> listeners) { listeners_ = std::move(listeners); }
  void on_exit(const ExitEvent& event) override {
    for (Observer* const listener : listeners_) listener->on_exit(event);
  }
  void on_answer(const AnswerEvent& event) override {
    for (Observer* const listener : listeners_) listener->on_answer(event);
  }
  void on_injection(const InjectionEvent& event) override {
    for (Observer* const listener : listeners_) listener->on_injection(event);
  }

 private:
  std::vector<Observer*> listeners_;  ///< never null; outlive this
};

/// What a configuration asks of the host's memory.
struct MemoryWish {
  HostPhys base = kDefaultBase;
  std::uint64_t size = kDefaultMemory;
};

/// The host ranges that `config` names: identity mappings and passthrough windows.
std::vector<HostRange> named_ranges(const VmConfig& config, const HostDevices& devices) {
  std::vector<HostRange> ranges;
  const auto add = [&](std::uint64_t base, std::uint64_t size) {
    const auto range = HostRange::make(HostPhys(base), size);
    if (range && !devices.touches(*range)) ranges.push_back(*range);
  };
  for (const MemoryRegionConfig& region : config.memory_regions) {
    if (region.map_type != MapType::Alloc) add(region.gpa, region.size);
  }
  for (const auto& device : config.passthrough_devices) add(device.base_hpa, device.length);
  for (const auto& window : config.passthrough_addresses) add(window.base_gpa, window.length);
  return ranges;
}

MemoryWish wish_of(const VmConfig& config, const HostDevices& devices) {
  MemoryWish wish;
  std::uint64_t last = 0;
  for (const HostRange range : named_ranges(config, devices)) {
    // Some room below, for the page tables that are allocated first.
    constexpr std::uint64_t kGrain = std::uint64_t{1} << 16;
    constexpr std::uint64_t kRoom = std::uint64_t{1} << 28;
    const std::uint64_t low = align_down(range.base().raw(), kGrain);
    const std::uint64_t room = low > kGrain ? std::min(low - kGrain, kRoom) : low;
    wish.base = std::min(wish.base, HostPhys(low - room));
    last = std::max(last, range.last().raw());
  }
  std::uint64_t needed = kSlack;
  for (const MemoryRegionConfig& region : config.memory_regions) {
    needed = checked_add(needed, region.size).value_or(kMaxMemory);
  }
  if (last > wish.base.raw()) needed = std::max(needed, last - wish.base.raw() + 1);
  wish.size =
      std::clamp(checked_align_up(needed, kSlack).value_or(kMaxMemory), kDefaultMemory, kMaxMemory);
  return wish;
}

traces::InputRecord::When when_after(StopReason reason) {
  using When = traces::InputRecord::When;
  switch (reason) {
    case StopReason::BudgetSpent:
    case StopReason::Interrupted: return When::Stopped;
    case StopReason::Deadlocked:  return When::Resting;
    case StopReason::PoweredOff:
    case StopReason::Crashed:
    case StopReason::Reset:
    case StopReason::Paused:      return When::Ended;
  }
  return When::Stopped;
}

StopReason reason_of(Scheduler::Stop stop) {
  switch (stop) {
    case Scheduler::Stop::BudgetSpent: return StopReason::BudgetSpent;
    case Scheduler::Stop::Requested:   return StopReason::Interrupted;
    case Scheduler::Stop::Deadlocked:
    case Scheduler::Stop::GuestEnded:  return StopReason::Deadlocked;
  }
  return StopReason::Deadlocked;
}

}  // namespace

std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::PoweredOff:  return "powered-off";
    case StopReason::BudgetSpent: return "budget-spent";
    case StopReason::Crashed:     return "crashed";
    case StopReason::Deadlocked:  return "deadlocked";
    case StopReason::Reset:       return "reset";
    case StopReason::Paused:      return "paused";
    case StopReason::Interrupted: return "interrupted";
  }
  return "?";
}

/// Everything, in the order in which it is built; the VMs go first.
struct Machine::State {
  struct Host {
    Host(HostRam mapping, HostPhys base)
        : ram(std::move(mapping)), memory(base, ram.bytes()), frames(memory) {}
    HostRam ram;
    HostMemory memory;
    Frames frames;
  };

  explicit State(const MachineOptions& given) : options(given) {}

  MachineOptions options;
  Clock clock;
  std::optional<Host> host;
  std::array<std::unique_ptr<Architecture>, kAllArchs.size()> architectures;
  std::vector<std::unique_ptr<Console>> consoles;  ///< by position of the VM
  HostDevices devices;
  Hypervisor hypervisor;
  Scheduler scheduler{
      hypervisor,
      clock,
      {.seed = options.seed,
       .slice = options.slice,
       .mean_turn = options.mean_turn == 0
                        ? Scheduler::kMeanTurn
                        : std::clamp(options.mean_turn, kShortestMeanTurn, kLongestMeanTurn),
       .phys_cpus = options.phys_cpus}};
  MachineObserver* observer = nullptr;  ///< may be null
  bool hears_events = false;            ///< that observer
  std::vector<Observer*> listeners;     ///< never null
  FanOut fan_out;
  using When = traces::InputRecord::When;
  When when = When::Stopped;  ///< where an input comes now

  [[nodiscard]] Result<> map_host(HostPhys base, std::uint64_t size) {
    if (const auto range = HostRange::make(base, size); range && devices.touches(*range)) {
      return fail(ErrorCode::Overlap, "the host's memory {} overlaps one of its devices", *range);
    }
    RETRAP_TRY(HostRam ram, HostRam::map(size));
    host.emplace(std::move(ram), base);
    return {};
  }

  /// Before the first VM the host's memory may still move and grow to what that VM asks for.
  [[nodiscard]] Result<> fit_host(const VmConfig& config) {
    const bool used = host->frames.bytes_free() != host->memory.size();
    if (options.memory_bytes != 0 || used || hypervisor.vm_num() != 0) return {};
    const MemoryWish wish = wish_of(config, devices);
    if (wish.base == host->memory.base() && wish.size == host->memory.size()) return {};
    for (auto& architecture : architectures) architecture.reset();
    return map_host(wish.base, wish.size);
  }
};

Machine::Machine(std::unique_ptr<State> state) : state_(std::move(state)) {}

Machine::~Machine() = default;

Result<std::unique_ptr<Machine>> Machine::create(const MachineOptions& options) {
  if (options.memory_bytes % kPageSize != 0 || options.memory_bytes > kMaxMemory) {
    return fail(ErrorCode::InvalidInput,
                "host memory of {:#x} bytes is not a multiple of 4 KiB up to 1 TiB",
                options.memory_bytes);
  }
  if (options.phys_cpus == 0 || options.phys_cpus > kMaxVcpus) {
    return fail(ErrorCode::InvalidInput, "a machine has 1 to {} physical CPUs, not {}", kMaxVcpus,
                options.phys_cpus);
  }
  auto state = std::make_unique<State>(options);
  RETRAP_TRY(state->map_host(kDefaultBase,
                             options.memory_bytes == 0 ? kDefaultMemory : options.memory_bytes));
  return std::unique_ptr<Machine>(new Machine(std::move(state)));
}

Hypervisor& Machine::hypervisor() {
  return state_->hypervisor;
}

void Machine::tell(const Vm& vm, traces::Input input) {
  State& state = *state_;
  if (state.observer == nullptr) return;
  state.observer->on_input({.retired = state.clock.retired(),
                            .when = state.when,
                            .vm = vm.id(),
                            .input = std::move(input)});
  state.when = State::When::Same;
}

Frames& Machine::frames() {
  return state_->host->frames;
}

Clock& Machine::clock() {
  return state_->clock;
}

Architecture* Machine::architecture(ArchId arch) {
  auto& architecture = state_->architectures[static_cast<std::size_t>(arch)];
  if (architecture == nullptr) {
    architecture = make_architecture(arch, state_->host->memory, state_->clock);
  }
  return architecture.get();
}

std::uint64_t Machine::seed() const {
  return state_->options.seed;
}

HostDevices* Machine::host_devices() {
  return &state_->devices;
}

Result<Device*> Machine::add_host_device(HostPhys base, std::unique_ptr<Device> device) {
  const HostMemory& memory = state_->host->memory;
  const auto range = HostRange::make(base, device->size());
  const auto ram = HostRange::make(memory.base(), memory.size());
  if (range && ram && range->overlaps(*ram)) {
    return fail(ErrorCode::Overlap, "host device {} at {} is in the host's memory {}",
                device->name(), *range, *ram);
  }
  return state_->devices.add(base, std::move(device));
}

ConfigFindings Machine::examine(const VmConfig& config) {
  ConfigFindings findings = retrap::examine(config, *this);
  const auto masks = state_->scheduler.phys_cpus().check(config);
  if (!masks) findings.problems.push_back(problem_of(masks.error().message));
  return findings;
}

Result<Vm*> Machine::add_vm(VmConfig config, const Images& images, ConsoleSink* console) {
  RETRAP_TRY(state_->scheduler.phys_cpus().check(config));
  RETRAP_TRY(state_->fit_host(config));
  auto own = std::make_unique<Console>(console);
  RETRAP_TRY(auto vm, Vm::create(std::move(config), *this, *own));
  RETRAP_TRY(vm->load(images));
  RETRAP_TRY(Vm* const added, state_->hypervisor.adopt(std::move(vm)));
  state_->consoles.push_back(std::move(own));
  return added;
}

RunReport Machine::run(std::uint64_t max_instructions) {
  State& state = *state_;
  state.hypervisor.boot_all();
  const std::uint64_t retired = state.clock.retired();
  const std::uint64_t limit =
      max_instructions > kNever - retired ? kNever : retired + max_instructions;
  RunReport report;
  while (true) {
    const auto stop = state.scheduler.run(limit);
    if (stop == Scheduler::Stop::GuestEnded) {
      // One VM that powers off leaves the others running; whatever else ends one stops the machine.
      const auto reason = ended();
      if (!reason) continue;
      report.reason = *reason;
    } else {
      report.reason = stop == Scheduler::Stop::Deadlocked ? without_runnable() : reason_of(stop);
    }
    break;
  }
  state.when = when_after(report.reason);
  report.detail = detail_of(report.reason);
  report.instructions = state.clock.retired();
  report.virtual_time_ns = state.clock.now_ns();
  return report;
}

std::optional<StopReason> Machine::ended() const {
  bool alive = false;
  bool reset = false;
  for (std::size_t vm = 0; vm < vm_num(); ++vm) {
    const VmFate fate = state_->hypervisor.fate(vm);
    if (fate == VmFate::Crashed) return StopReason::Crashed;
    reset = reset || fate == VmFate::Reset;
    alive = alive || fate == VmFate::Alive;
  }
  if (reset) return StopReason::Reset;
  if (alive) return std::nullopt;
  return StopReason::PoweredOff;
}

StopReason Machine::without_runnable() const {
  for (std::size_t vm = 0; vm < vm_num(); ++vm) {
    if (state_->hypervisor.vm(vm).state() == VmState::Running) return StopReason::Deadlocked;
  }
  return StopReason::Paused;
}

std::string Machine::detail_of(StopReason reason) const {
  const Hypervisor& hypervisor = state_->hypervisor;
  if (vm_num() == 0) return "there is no VM";
  if (reason == StopReason::Deadlocked) return "every vCPU waits, and nothing will wake one";
  if (reason != StopReason::Crashed) return {};
  for (std::size_t vm = 0; vm < vm_num(); ++vm) {
    if (hypervisor.fate(vm) == VmFate::Crashed) return hypervisor.detail(vm);
  }
  return {};
}

std::size_t Machine::vm_num() const {
  return state_->hypervisor.vm_num();
}

Vm& Machine::vm(std::size_t index) {
  RETRAP_CHECK(index < vm_num(), "there are {} VMs, and no number {}", vm_num(), index);
  return state_->hypervisor.vm(index);
}

std::size_t Machine::position_of(const Vm& vm) const {
  for (std::size_t position = 0; position < vm_num(); ++position) {
    if (&state_->hypervisor.vm(position) == &vm) return position;
  }
  RETRAP_CHECK(false, "vm {} is not of this machine", index(vm.id()));
  std::abort();
}

std::optional<std::uint32_t> Machine::phys_cpu_of(const Vm& vm, VcpuId vcpu) const {
  return state_->scheduler.phys_cpus().cpu_of({.vm = position_of(vm), .vcpu = vcpu});
}

const std::string& Machine::console_of(const Vm& vm) const {
  return state_->consoles[position_of(vm)]->text();
}

void Machine::set_observer(MachineObserver* observer, Listen listen) {
  state_->observer = observer;
  state_->hears_events = listen == Listen::Everything;
  connect_observers();
}

void Machine::add_listener(Observer& listener) {
  state_->listeners.push_back(&listener);
  connect_observers();
}

void Machine::remove_listener(Observer& listener) {
  std::erase(state_->listeners, &listener);
  connect_observers();
}

void Machine::connect_observers() {
  std::vector<Observer*> all = state_->listeners;
  if (state_->observer != nullptr && state_->hears_events) all.push_back(state_->observer);
  Observer* const one = all.empty() ? nullptr : all.front();
  Observer* const heard = all.size() > 1 ? &state_->fan_out : one;
  state_->fan_out.set(std::move(all));
  for (std::size_t vm = 0; vm < vm_num(); ++vm) state_->hypervisor.vm(vm).set_observer(heard);
}

void Machine::reseed(std::uint64_t seed) {
  state_->scheduler.reseed(seed);
}

void Machine::request_stop() {
  state_->scheduler.request_stop();
}

void Machine::set_stop_flag(const std::atomic<bool>* flag) {
  state_->scheduler.set_stop_flag(flag);
}

std::uint64_t Machine::digest() const {
  Digest digest;
  digest.add(state_->clock.retired());
  digest.add(state_->clock.now_ns());
  for (std::size_t vm = 0; vm < vm_num(); ++vm) {
    state_->hypervisor.vm(vm).digest(digest);
    digest.add(std::string_view(state_->consoles[vm]->text()));
  }
  return digest.value();
}

}  // namespace retrap
