// The run loop: nested fault first, then device, then decode, only then the program counter.
#include "vmm/base/bytes.h"
#include "vmm/base/check.h"
#include "vmm/base/overloaded.h"
#include "vmm/vm.h"

namespace retrap {
namespace {

/// An instruction that retires takes a handful of exits: one for each page it touches and each
/// level of the guest's tables. A vCPU that takes this many and retires nothing never will.
constexpr std::uint32_t kMaxFruitlessExits = 1000;

/// Unbinds however the run loop is left.
class BoundVcpu {
 public:
  BoundVcpu(Vcpu& vcpu, LifeCycle& life) : vcpu_(vcpu), life_(life) { life_.enter(); }
  BoundVcpu(const BoundVcpu&) = delete;
  BoundVcpu& operator=(const BoundVcpu&) = delete;
  ~BoundVcpu() {
    const auto unbound = vcpu_.unbind();
    RETRAP_CHECK(unbound.has_value(), "a vcpu that was bound unbinds");
    life_.leave();
  }

 private:
  Vcpu& vcpu_;
  LifeCycle& life_;
};

}  // namespace

/// The accesses of one emulated instruction: RAM or a device, whichever covers the address.
class Vm::Port final : public AccessPort {
 public:
  Port(Vm& vm, VcpuId vcpu) : vm_(vm), vcpu_(vcpu) {}

  bool read(const exits::MmioRead& access, std::uint64_t& value) override {
    if (!vm_.parts_->mmio.covers(access.addr.raw(), bytes(access.width)))
      return read_memory(access, value);
    saw(access);
    if (!vm_.parts_->mmio.read(access.addr.raw(), access.width, vcpu_, value)) return false;
    vm_.answered(vcpu_, value);
    return true;
  }

  bool write(const exits::MmioWrite& access) override {
    if (!vm_.parts_->mmio.covers(access.addr.raw(), bytes(access.width)))
      return write_memory(access);
    saw(access);
    return vm_.parts_->mmio.write(access.addr.raw(), access.width, access.data, vcpu_);
  }

 private:
  template <class Exit>
  void saw(const Exit& access) {
    // Not as an ExitReason unless somebody wants one.
    ++vm_.statistics_.exits[ExitReason(std::in_place_type<Exit>).index()];
    if (vm_.observer_ != nullptr) [[unlikely]]
      vm_.report(vcpu_, access);
  }

  [[nodiscard]] bool may(GuestPhys at, Width width, MappingFlags access) {
    return vm_.parts_->memory.find(at, bytes(width)) != nullptr &&
           vm_.parts_->memory.handle_fault(at, access) == FaultOutcome::Populated;
  }

  [[nodiscard]] bool read_memory(const exits::MmioRead& access, std::uint64_t& value) {
    if (!may(access.addr, access.width, MappingFlags::Read)) return false;
    std::array<std::byte, sizeof(std::uint64_t)> buffer{};
    const auto word = std::span(buffer).first(bytes(access.width));
    if (!vm_.parts_->memory.read(access.addr, word)) return false;
    value = load_le(word, 0, access.width).value_or(0);
    return true;
  }

  [[nodiscard]] bool write_memory(const exits::MmioWrite& access) {
    if (!may(access.addr, access.width, MappingFlags::Write)) return false;
    std::array<std::byte, sizeof(std::uint64_t)> buffer{};
    const auto word = std::span(buffer).first(bytes(access.width));
    return store_le(word, 0, access.width, access.data) &&
           vm_.parts_->memory.write(access.addr, word).has_value();
  }

  Vm& vm_;
  VcpuId vcpu_;
};

/// What happens between an exit and the next entry.
class Vm::RunLoop final : public ExitHandler {
 public:
  RunLoop(Vm& vm, Vcpu& vcpu, VcpuRunner* runner) : vm_(vm), vcpu_(vcpu), runner_(runner) {}

  bool handle(ExitReason& exit) override {
    vcpu_.set_in_guest(false);
    const bool goes_on = deal_with(exit);
    vcpu_.set_in_guest(goes_on);
    return goes_on;
  }

  /// A slice may have ended where an alarm is due: it is dealt with as if the slice had not.
  [[nodiscard]] std::optional<ExitReason> before_entry() {
    Clock& clock = vm_.clock_;
    if (!clock.alarm_is_due()) return std::nullopt;
    if (clock.fire_due() && !goes_on()) return exits::Nothing{};
    if (clock.retired() >= clock.slice_end()) return exits::BudgetSpent{};
    return std::nullopt;
  }

 private:
  [[nodiscard]] bool deal_with(ExitReason& exit) {
    Clock& clock = vm_.clock_;
    if (std::holds_alternative<exits::BudgetSpent>(exit)) {
      if (clock.retired() >= clock.slice_end()) return false;
      // An observer's alarm ends a slice and no turn.
      if (clock.alarm_is_due() && !clock.fire_due()) return clock.retired() < clock.slice_end();
    } else {
      vm_.saw(vcpu_.id(), exit);
      if (!vm_.handle(vcpu_, exit) && !runner_handles(exit)) return false;
    }
    if (!vm_.makes_progress(vcpu_.id())) {
      exit = vm_.no_progress(vcpu_);
      (void)runner_handles(exit);  // it is told; nothing can go on
      return false;
    }
    if (goes_on()) [[likely]]
      return true;
    exit = exits::Nothing{};  // dealt with
    return false;
  }

  /// Fires the alarms that are due. False where the runner wants the vCPU back, and where the VM
  /// was stopped or suspended.
  [[nodiscard]] bool goes_on() {
    Clock& clock = vm_.clock_;
    if (clock.alarm_is_due()) clock.fire_due();
    const bool wanted =
        runner_ != nullptr && (clock.retired() >= clock.turn_due() || runner_->wants_back());
    return !wanted && vm_.life_.is_running();
  }

  [[nodiscard]] bool runner_handles(ExitReason& exit) {
    return runner_ != nullptr && runner_->handle(exit);
  }

  Vm& vm_;
  Vcpu& vcpu_;
  VcpuRunner* runner_;  ///< may be null
};

Result<ExitReason> Vm::run_vcpu(VcpuId id, VcpuRunner* runner) {
  if (!life_.is_running()) return life_.refuse("run");
  RETRAP_TRY(Vcpu* const vcpu, this->vcpu(id));
  RETRAP_TRY(vcpu->bind());
  const BoundVcpu bound(*vcpu, life_);
  RunLoop loop(*this, *vcpu, runner);
  if (const auto exit = loop.before_entry()) return *exit;
  return vcpu->run_with(loop);
}

bool Vm::makes_progress(VcpuId id) {
  Progress& progress = parts_->progress[index(id)];
  const std::uint64_t retired = clock_.retired();
  if (progress.retired != retired) progress = {.retired = retired, .fruitless = 0};
  return ++progress.fruitless <= kMaxFruitlessExits;
}

ExitReason Vm::no_progress(Vcpu& vcpu) {
  parts_->progress[index(vcpu.id())] = {};
  const ExitReason crash = exits::GuestCrash{.cause = kNoProgress, .address = vcpu.arch().pc()};
  saw(vcpu.id(), crash);
  return crash;
}

bool Vm::handle(Vcpu& vcpu, const ExitReason& exit) {
  return std::visit(Overloaded{
                        [&](const exits::MmioRead& read) { return on(vcpu, read); },
                        [&](const exits::MmioWrite& write) { return on(vcpu, write); },
                        [&](const exits::SysRegRead& read) { return on(vcpu, read); },
                        [&](const exits::SysRegWrite& write) { return on(vcpu, write); },
                        [&](const exits::IoRead& read) { return on(vcpu, read); },
                        [&](const exits::IoWrite& write) { return on(vcpu, write); },
                        [&](const exits::NestedPageFault& fault) { return on(vcpu, fault); },
                        [](const exits::Hypercall&) { return false; },
                        [](const exits::ExternalInterrupt&) { return false; },
                        [](const exits::Halt&) { return false; },
                        [](const exits::CpuUp&) { return false; },
                        [](const exits::CpuDown&) { return false; },
                        [](const exits::SystemDown&) { return false; },
                        [](const exits::Nothing&) { return false; },
                        [](const exits::FailEntry&) { return false; },
                        [](const exits::SendIPI&) { return false; },
                        [](const exits::BudgetSpent&) { return false; },
                        [](const exits::SystemReset&) { return false; },
                        [](const exits::GuestCrash&) { return false; },
                    },
                    exit);
}

// An architecture that decodes by itself reports the access and not the fault.
bool Vm::on(Vcpu& vcpu, const exits::MmioRead& read) {
  std::uint64_t value = 0;
  if (parts_->mmio.read(read.addr.raw(), read.width, vcpu.id(), value)) {
    answered(vcpu.id(), value);
    vcpu.arch().complete(value);
  } else {
    ++statistics_.aborts;
    vcpu.arch().refuse();
  }
  return true;
}

bool Vm::on(Vcpu& vcpu, const exits::MmioWrite& write) {
  if (parts_->mmio.write(write.addr.raw(), write.width, write.data, vcpu.id())) {
    vcpu.arch().complete(0);
  } else {
    ++statistics_.aborts;
    vcpu.arch().refuse();
  }
  return true;
}

bool Vm::on(Vcpu& vcpu, const exits::SysRegRead& read) {
  std::uint64_t value = 0;
  if (parts_->sysregs.read(read.addr, Width::Double, vcpu.id(), value)) {
    answered(vcpu.id(), value);
    vcpu.arch().complete(value);
  } else {
    ++statistics_.refused_sysregs;
    vcpu.arch().refuse();
  }
  return true;
}

bool Vm::on(Vcpu& vcpu, const exits::SysRegWrite& write) {
  if (parts_->sysregs.write(write.addr, Width::Double, write.value, vcpu.id())) {
    vcpu.arch().complete(0);
  } else {
    ++statistics_.refused_sysregs;
    vcpu.arch().refuse();
  }
  return true;
}

// Where no device is, a port floats high and swallows what is written: guests probe for devices.
bool Vm::on(Vcpu& vcpu, const exits::IoRead& read) {
  std::uint64_t value = all_ones(read.width);
  if (!parts_->ports.read(read.port, read.width, vcpu.id(), value)) ++statistics_.unclaimed_ports;
  answered(vcpu.id(), value);
  vcpu.arch().complete(value);
  return true;
}

bool Vm::on(Vcpu& vcpu, const exits::IoWrite& write) {
  if (!parts_->ports.write(write.port, write.width, write.data, vcpu.id()))
    ++statistics_.unclaimed_ports;
  vcpu.arch().complete(0);
  return true;
}

bool Vm::on(Vcpu& vcpu, const exits::NestedPageFault& fault) {
  if (parts_->mmio.covers(fault.addr.raw(), 1)) {
    emulate(vcpu, fault);
    return true;
  }
  switch (parts_->memory.handle_fault(fault.addr, fault.access_flags)) {
    case FaultOutcome::Populated: ++statistics_.populated; break;
    case FaultOutcome::Permission:
    case FaultOutcome::Unmapped:
    case FaultOutcome::NoMemory:
      ++statistics_.aborts;
      vcpu.arch().inject_abort(fault);
      break;
  }
  return true;
}

void Vm::emulate(Vcpu& vcpu, const exits::NestedPageFault& fault) {
  Port port(*this, vcpu.id());
  switch (vcpu.arch().emulate(port)) {
    case Emulated::Retired:
    case Emulated::GuestFault:
    case Emulated::NestedFault: return;
    case Emulated::NoAccess:
    case Emulated::Unknown:
      ++statistics_.aborts;
      vcpu.arch().inject_abort(fault);
      return;
  }
}

Result<> Vm::answer_hypercall(VcpuId id, std::uint64_t value) {
  RETRAP_TRY(Vcpu* const vcpu, this->vcpu(id));
  vcpu->arch().set_return_value(value);
  answered(id, value);
  return {};
}

void Vm::report(VcpuId id, const ExitReason& exit) {
  const Clock::Lap lap = clock_.lap();
  observer_->on_exit({.vm = this->id(),
                      .vcpu = id,
                      .sequence = sequence_++,
                      .retired = clock_.retired(),
                      .now_ns = clock_.now_ns(),
                      .cost = {.instructions = lap.instructions, .idle_ns = lap.idle_ns},
                      .pc = parts_->vcpus[index(id)].arch().pc(),
                      .reason = exit});
}

void Vm::report_answer(VcpuId id, std::uint64_t value) {
  observer_->on_answer({.vm = this->id(), .vcpu = id, .sequence = sequence_ - 1, .value = value});
}

}  // namespace retrap
