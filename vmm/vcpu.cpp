// One vCPU's state machine: a refused transition says why and changes nothing.
#include "vmm/vcpu.h"

namespace retrap {

std::string_view to_string(VcpuState state) {
  switch (state) {
    case VcpuState::Created: return "Created";
    case VcpuState::Free:    return "Free";
    case VcpuState::Ready:   return "Ready";
    case VcpuState::Running: return "Running";
  }
  return "?";
}

tl::unexpected<Error> Vcpu::refuse(VcpuState wanted, std::string_view operation) const {
  return fail(ErrorCode::BadState, "vcpu {} cannot {}: it is {}, and not {}", index(id_), operation,
              to_string(state_), to_string(wanted));
}

Result<> Vcpu::setup() {
  RETRAP_TRY(move(VcpuState::Created, VcpuState::Free, "set up"));
  arch_->reset();
  return {};
}

Result<ExitReason> Vcpu::run() {
  if (state_ != VcpuState::Ready) return refuse(VcpuState::Ready, "run");
  state_ = VcpuState::Running;
  const ExitReason exit = arch_->run();
  state_ = VcpuState::Ready;
  return exit;
}

Result<> Vcpu::set_entry(GuestPhys entry, std::uint64_t arg) {
  RETRAP_TRY(require(VcpuState::Free, "take an entry"));
  arch_->set_entry(entry, arg);
  return {};
}

Result<> Vcpu::set_gpr(unsigned index, std::uint64_t value) {
  if (state_ == VcpuState::Running) {
    return fail(ErrorCode::BadState, "vcpu {} cannot take a register: it is Running",
                retrap::index(id_));
  }
  return arch_->set_gpr(index, value);
}

Result<> Vcpu::reset() {
  if (state_ == VcpuState::Running) {
    return fail(ErrorCode::BadState, "vcpu {} cannot reset: it is Running", index(id_));
  }
  arch_->reset();
  state_ = VcpuState::Free;
  return {};
}

}  // namespace retrap
