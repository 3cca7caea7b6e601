// What exits mean: hypercalls, halting, CPU bring-up, IPIs, and how VMs end.
#include "vmm/hypervisor.h"

#include <optional>

#include "vmm/base/check.h"
#include "vmm/base/overloaded.h"

namespace retrap {
namespace {

/// What the guest's firmware interface calls a vCPU: MPIDR affinity, hart id, APIC id.
std::uint64_t hardware_id(const VmConfig& config, std::uint32_t vcpu) {
  return vcpu < config.phys_cpu_ids.size() ? config.phys_cpu_ids[vcpu] : vcpu;
}

std::optional<VcpuId> vcpu_with(const VmConfig& config, std::uint64_t id) {
  for (std::uint32_t vcpu = 0; vcpu < config.cpu_num; ++vcpu) {
    if (hardware_id(config, vcpu) == id) return VcpuId{vcpu};
  }
  return std::nullopt;
}

}  // namespace

Result<Vm*> Hypervisor::adopt(std::unique_ptr<Vm> vm) {
  RETRAP_CHECK(vm != nullptr, "a VM is never null");
  for (const Guest& guest : guests_) {
    if (guest.vm->id() != vm->id()) continue;
    return fail(ErrorCode::AlreadyExists, "there is a vm {} already", index(vm->id()));
  }
  std::vector<VcpuActivity> activity(vm->vcpu_num(), VcpuActivity::Off);
  guests_.push_back(
      {.vm = std::move(vm), .activity = std::move(activity), .fate = VmFate::Alive, .detail = {}});
  ++live_vms_;
  return guests_.back().vm.get();
}

VcpuActivity Hypervisor::activity(Place place) const {
  return guests_[place.vm].activity[index(place.vcpu)];
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
  Answers(Hypervisor& hypervisor, Place place, std::uint64_t due)
      : hypervisor_(hypervisor), place_(place), due_(due) {}
  bool handle(ExitReason& exit) override { return hypervisor_.handle(place_, exit); }
  bool wants_back(std::uint64_t retired) override {
    return retired >= due_ || (hypervisor_.waiting_ != 0 && hypervisor_.wake());
  }

 private:
  Hypervisor& hypervisor_;
  Place place_;
  std::uint64_t due_;
};

AfterExit Hypervisor::run(Place place, std::uint64_t due) {
  Answers answers(*this, place, due);
  const auto exit = guests_[place.vm].vm->run_vcpu(place.vcpu, &answers);
  if (!exit) (void)end(place, VmFate::Crashed, exit.error().message);
  const bool spent = exit && std::holds_alternative<exits::BudgetSpent>(*exit);
  return spent ? AfterExit::BudgetSpent : AfterExit::Reschedule;
}

bool Hypervisor::wake() {
  bool woken = false;
  for (std::size_t vm = 0; vm < guests_.size(); ++vm) {
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
          [&](const exits::SystemDown&) { return end(place, VmFate::PoweredOff); },
          [&](const exits::SystemReset&) { return end(place, VmFate::Reset); },
          [&](const exits::GuestCrash& crash) {
            return end(place, VmFate::Crashed,
                       crash.cause == kNoProgress
                           ? fmt::format("exits without end at pc {:#x}", crash.address)
                           : fmt::format("the guest cannot go on: cause {:#x}, address {:#x}",
                                         crash.cause, crash.address));
          },
          [&](const exits::FailEntry& failure) {
            return end(place, VmFate::Crashed,
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

// A guest may not switch its hypervisor off, and IVC channels are not offered: to the guest, these
// numbers are as unknown as any other.
bool Hypervisor::on(Place place, const exits::Hypercall& call) {
  Vm& vm = *guests_[place.vm].vm;
  const auto answered = vm.answer_hypercall(place.vcpu, answer_to(arch(place), call));
  RETRAP_CHECK(answered.has_value(), "the vCPU that asked is there");
  return true;
}

std::uint64_t Hypervisor::answer_to(const ArchVcpu& vcpu, const exits::Hypercall& call) {
  switch (static_cast<HypercallNumber>(call.nr)) {
    case HypercallNumber::HypervisorDisable:
    case HypercallNumber::HypervisorPrepareDisable:
    case HypercallNumber::HypervisorDebug:
    case HypercallNumber::IvcPublishChannel:
    case HypercallNumber::IvcSubscribeChannel:
    case HypercallNumber::IvcUnpublishChannel:
    case HypercallNumber::IvcUnsubscribeChannel:
    case HypercallNumber::IvcNotify:                return vcpu.not_supported();
  }
  return vcpu.not_supported();
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
  if (activity(started_place) != VcpuActivity::Off) {
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
    const std::uint64_t id = hardware_id(config, vcpu);
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

bool Hypervisor::end(Place place, VmFate fate, std::string detail) {
  Guest& guest = guests_[place.vm];
  // Another vCPU may have said the same before.
  if (guest.vm->state() != VmState::Stopped) {
    RETRAP_CHECK(guest.vm->shutdown().has_value(), "a VM that runs shuts down");
    guest.fate = fate;
    --live_vms_;
    if (!detail.empty()) {
      guest.detail =
          fmt::format("vm {} vcpu {}: {}", index(guest.vm->id()), index(place.vcpu), detail);
    }
  }
  for (std::uint32_t vcpu = 0; vcpu < guest.activity.size(); ++vcpu) {
    become({.vm = place.vm, .vcpu = VcpuId{vcpu}}, VcpuActivity::Off);
  }
  return false;
}

}  // namespace retrap
