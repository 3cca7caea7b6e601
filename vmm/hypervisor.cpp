// What exits mean: hypercalls, halting, CPU bring-up, IPIs, and how VMs end.
#include "vmm/hypervisor.h"

#include <algorithm>
#include <optional>

#include "vmm/base/check.h"
#include "vmm/base/overloaded.h"
#include "vmm/ivc_calls.h"

namespace retrap {
namespace {

std::optional<VcpuId> vcpu_with(const VmConfig& config, std::uint64_t id) {
  for (std::uint32_t vcpu = 0; vcpu < config.cpu_num; ++vcpu) {
    if (phys_cpu_id_of(config, vcpu) == id) return VcpuId{vcpu};
  }
  return std::nullopt;
}

}  // namespace

Result<Vm*> Hypervisor::adopt(std::unique_ptr<Vm> vm) {
  RETRAP_CHECK(vm != nullptr, "a VM is never null");
  for (const Guest& guest : guests_) {
    if (guest.vm->id() != vm->id() || guest.vm->state() == VmState::Destroyed) continue;
    return fail(ErrorCode::AlreadyExists, "there is a vm {} already", index(vm->id()));
  }
  // The embedder may have destroyed the last VM of this id behind our back: its channels are not
  // the new one's.
  let_go_of_ended();
  std::vector<VcpuActivity> activity(vm->vcpu_num(), VcpuActivity::Off);
  guests_.push_back({.vm = std::move(vm), .activity = std::move(activity)});
  return guests_.back().vm.get();
}

VcpuActivity Hypervisor::activity(Place place) const {
  const Guest& guest = guests_[place.vm];
  return guest.vm->life().is_running() ? guest.activity[index(place.vcpu)] : VcpuActivity::Off;
}

std::size_t Hypervisor::live_vms() const {
  return static_cast<std::size_t>(std::ranges::count_if(guests_, [](const Guest& guest) {
    const VmState state = guest.vm->state();
    return state == VmState::Ready || state == VmState::Running || state == VmState::Paused;
  }));
}

VmFate Hypervisor::fate(std::size_t vm) const {
  const LifeCycle& life = guests_[vm].vm->life();
  if (life.state() == VmState::Destroyed) return VmFate::Destroyed;
  switch (life.reason()) {
    case VmEnd::None:       return VmFate::Alive;
    case VmEnd::PoweredOff: return VmFate::PoweredOff;
    case VmEnd::Reset:      return VmFate::Reset;
    case VmEnd::ShutDown:   return VmFate::ShutDown;
    case VmEnd::Fault:      return VmFate::Crashed;
  }
  return VmFate::Alive;
}

Result<> Hypervisor::shutdown(std::size_t vm) {
  RETRAP_TRY(guests_[vm].vm->shutdown());
  let_go(vm);
  return {};
}

// The mappings go with the old memory, and then the channels that they were of.
Result<> Hypervisor::reset(std::size_t vm) {
  auto done = guests_[vm].vm->reset();
  // Where it could not be built again, it has ended.
  if (done || guests_[vm].vm->state() == VmState::Failed) let_go(vm);
  return done;
}

Result<> Hypervisor::destroy(std::size_t vm) {
  Vm& guest = *guests_[vm].vm;
  if (guest.life().is_inside()) return guest.life().refuse("be destroyed");
  if (guest.state() == VmState::Running || guest.state() == VmState::Paused) {
    RETRAP_TRY(guest.shutdown());
  }
  RETRAP_TRY(guest.destroy());
  let_go(vm);
  return {};
}

void Hypervisor::let_go(std::size_t vm) {
  channels_.drop(*guests_[vm].vm);
  for (std::uint32_t vcpu = 0; vcpu < guests_[vm].activity.size(); ++vcpu) {
    become({.vm = vm, .vcpu = VcpuId{vcpu}}, VcpuActivity::Off);
  }
}

void Hypervisor::let_go_of_ended() {
  if (channels_.empty()) return;
  for (std::size_t vm = 0; vm < guests_.size(); ++vm) {
    if (fate(vm) != VmFate::Alive) let_go(vm);
  }
}

void Hypervisor::boot_all() {
  for (Guest& guest : guests_) {
    if (guest.vm->state() != VmState::Ready) continue;
    RETRAP_CHECK(guest.vm->boot().has_value(), "a VM that is Ready boots");
    guest.activity[index(kBootVcpu)] = VcpuActivity::Runnable;
  }
}

/// Deals with exits while the vCPU's turn goes on.
class Hypervisor::Answers final : public VcpuRunner {
 public:
  Answers(Hypervisor& hypervisor, Place place) : hypervisor_(hypervisor), place_(place) {}
  bool handle(ExitReason& exit) override { return hypervisor_.handle(place_, exit); }
  bool wants_back() override { return hypervisor_.waiting_ != 0 && hypervisor_.wake(); }

 private:
  Hypervisor& hypervisor_;
  Place place_;
};

AfterExit Hypervisor::run(Place place) {
  // The embedder may have stopped or suspended it since its turn began.
  if (activity(place) != VcpuActivity::Runnable) return AfterExit::Reschedule;
  Answers answers(*this, place);
  const auto exit = guests_[place.vm].vm->run_vcpu(place.vcpu, &answers);
  if (!exit) (void)end(place, VmEnd::Fault, exit.error().message);
  const bool spent = exit && std::holds_alternative<exits::BudgetSpent>(*exit);
  return spent ? AfterExit::BudgetSpent : AfterExit::Reschedule;
}

bool Hypervisor::wake() {
  bool woken = false;
  let_go_of_ended();
  for (std::size_t vm = 0; vm < guests_.size(); ++vm) {
    if (!guests_[vm].vm->is_built()) continue;
    const auto& activity = guests_[vm].activity;
    for (std::uint32_t vcpu = 0; vcpu < activity.size(); ++vcpu) {
      const Place place{.vm = vm, .vcpu = VcpuId{vcpu}};
      if (activity[vcpu] != VcpuActivity::Waiting || !arch(place).wakeup_pending()) continue;
      become(place, VcpuActivity::Runnable);
      woken = true;
    }
  }
  return woken;
}

void Hypervisor::become(Place place, VcpuActivity now) {
  VcpuActivity& activity = guests_[place.vm].activity[index(place.vcpu)];
  if (activity == VcpuActivity::Waiting) --waiting_;
  if (now == VcpuActivity::Waiting) ++waiting_;
  activity = now;
}

bool Hypervisor::handle(Place place, const ExitReason& exit) {
  const auto own = [](const auto&) {
    RETRAP_CHECK(false, "run_vcpu deals with this exit itself");
    return false;
  };
  return std::visit(
      Overloaded{
          [&](const exits::Hypercall& call) { return on(place, call); },
          [&](const exits::Halt& halt) { return on(place, halt); },
          [&](const exits::CpuUp& up) { return on(place, up); },
          [&](const exits::CpuDown&) { return switch_off(place); },
          [&](const exits::SendIPI& ipi) { return on(place, ipi); },
          [&](const exits::SystemDown&) { return end(place, VmEnd::PoweredOff); },
          [&](const exits::SystemReset&) { return end(place, VmEnd::Reset); },
          [&](const exits::GuestCrash& crash) {
            return end(place, VmEnd::Fault,
                       crash.cause == kNoProgress
                           ? fmt::format("exits without end at pc {:#x}", crash.address)
                           : fmt::format("the guest cannot go on: cause {:#x}, address {:#x}",
                                         crash.cause, crash.address));
          },
          [&](const exits::FailEntry& failure) {
            return end(place, VmEnd::Fault,
                       fmt::format("the hardware refused to enter the guest: reason {:#x}",
                                   failure.hardware_entry_failure_reason));
          },
          // The host's own interrupts are not simulated; whoever reports one has dealt with it.
          [](const exits::ExternalInterrupt&) { return true; },
          [](const exits::Nothing&) { return true; },
          [&](const exits::BudgetSpent& spent) { return own(spent); },
          [&](const exits::MmioRead& read) { return own(read); },
          [&](const exits::MmioWrite& write) { return own(write); },
          [&](const exits::SysRegRead& read) { return own(read); },
          [&](const exits::SysRegWrite& write) { return own(write); },
          [&](const exits::IoRead& read) { return own(read); },
          [&](const exits::IoWrite& write) { return own(write); },
          [&](const exits::NestedPageFault& fault) { return own(fault); },
      },
      exit);
}

bool Hypervisor::on(Place place, const exits::Hypercall& call) {
  const auto answered = guests_[place.vm].vm->answer_hypercall(place.vcpu, answer_to(place, call));
  RETRAP_CHECK(answered.has_value(), "the vCPU that asked is there");
  return true;
}

// A guest may not switch its hypervisor off: to the guest, these numbers are as unknown as any
// other.
std::uint64_t Hypervisor::answer_to(Place place, const exits::Hypercall& call) {
  const auto number = static_cast<HypercallNumber>(call.nr);
  switch (number) {
    case HypercallNumber::HypervisorDisable:
    case HypercallNumber::HypervisorPrepareDisable:
    case HypercallNumber::HypervisorDebug:          return arch(place).not_supported();
    case HypercallNumber::IvcPublishChannel:
    case HypercallNumber::IvcSubscribeChannel:
    case HypercallNumber::IvcUnpublishChannel:
    case HypercallNumber::IvcUnsubscribeChannel:
    case HypercallNumber::IvcNotify:
      return answer_channel_call(place,
                                 {.nr = static_cast<std::uint64_t>(number), .args = call.args});
  }
  return arch(place).not_supported();
}

std::uint64_t Hypervisor::answer_channel_call(Place place, const exits::Hypercall& call) {
  const IvcAnswer answer = answer_ivc_call(channels_, *guests_[place.vm].vm, call);
  if (!answer.notify) return answer.value;
  const auto pulsed = pulse_ivc_line(*answer.notify->target);
  if (!pulsed) return answer_of(pulsed.error());
  return answer.value;
}

bool Hypervisor::on(Place place, const exits::Halt&) {
  if (arch(place).wakeup_pending()) return true;
  become(place, VcpuActivity::Waiting);
  return false;
}

bool Hypervisor::on(Place place, const exits::CpuUp& up) {
  Guest& guest = guests_[place.vm];
  const auto target = vcpu_with(guest.vm->config(), up.target_cpu);
  if (!target) {
    arch(place).answer_cpu_up(CpuUpResult::NoSuchCpu);
    return true;
  }
  const Place started_place{.vm = place.vm, .vcpu = *target};
  // Its own activity: to who schedules it, it is Off while the VM is suspended.
  if (guest.activity[index(*target)] != VcpuActivity::Off) {
    arch(place).answer_cpu_up(CpuUpResult::AlreadyOn);
    return true;
  }
  Vcpu* const vcpu = *guest.vm->vcpu(*target);
  const auto started =
      vcpu->reset().and_then([&] { return vcpu->set_entry(up.entry_point, up.arg); });
  RETRAP_CHECK(started.has_value(), "a vCPU that is off is Free");
  become(started_place, VcpuActivity::Runnable);
  arch(place).answer_cpu_up(CpuUpResult::Started);
  return false;
}

bool Hypervisor::on(Place place, const exits::SendIPI& ipi) {
  Guest& guest = guests_[place.vm];
  const VmConfig& config = guest.vm->config();
  for (std::uint32_t vcpu = 0; vcpu < config.cpu_num; ++vcpu) {
    const std::uint64_t id = phys_cpu_id_of(config, vcpu);
    const bool self = VcpuId{vcpu} == place.vcpu;
    // The auxiliary target is a list of 16 CPUs that differ in the lowest affinity field.
    const bool listed = ipi.target_cpu_aux == 0 ? id == ipi.target_cpu
                                                : (id & ~std::uint64_t{0xf}) ==
                                                          (ipi.target_cpu & ~std::uint64_t{0xf}) &&
                                                      ((ipi.target_cpu_aux >> (id & 0xf)) & 1) != 0;
    const bool named = !ipi.send_to_all && !ipi.send_to_self && listed;
    if (!named && !(ipi.send_to_all && !self) && !(ipi.send_to_self && self)) continue;
    // A vector that the architecture does not have reaches nobody.
    (void)guest.vm->inject_interrupt_to_vcpu(VcpuId{vcpu}, ipi.vector);
  }
  return true;
}

bool Hypervisor::switch_off(Place place) {
  become(place, VcpuActivity::Off);
  return false;
}

bool Hypervisor::end(Place place, VmEnd reason, std::string detail) {
  Guest& guest = guests_[place.vm];
  if (!detail.empty()) {
    detail = fmt::format("vm {} vcpu {}: {}", index(guest.vm->id()), index(place.vcpu), detail);
  }
  // Refused where another vCPU has said the same before.
  (void)guest.vm->end(reason, std::move(detail));
  let_go(place.vm);
  return false;
}

}  // namespace retrap
