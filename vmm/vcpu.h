// One vCPU as the monitor sees it: a state machine around an architecture's vCPU.
#pragma once

#include <cstdint>
#include <string_view>

#include "vmm/arch_vcpu.h"
#include "vmm/ids.h"

namespace retrap {

/// Created -setup-> Free -bind-> Ready -run-> Running -> Ready -unbind-> Free.
enum class VcpuState : std::uint8_t { Created, Free, Ready, Running };

[[nodiscard]] std::string_view to_string(VcpuState state);

/// A refused transition is BadState, names both states, and changes nothing.
class Vcpu {
 public:
  Vcpu(VcpuId id, ArchVcpu& arch) : id_(id), arch_(&arch) {}

  [[nodiscard]] Result<> setup();
  [[nodiscard]] Result<> bind() { return move(VcpuState::Free, VcpuState::Ready, "bind"); }
  [[nodiscard]] Result<> unbind() { return move(VcpuState::Ready, VcpuState::Free, "unbind"); }
  /// Ready -> Running -> Ready around one ArchVcpu::run().
  [[nodiscard]] Result<ExitReason> run();

  /// The run loop's own way in, where the vCPU is known to be Ready. It is Ready again while
  /// `handler` deals with an exit.
  [[nodiscard]] ExitReason run_with(ExitHandler& handler) {
    state_ = VcpuState::Running;
    const ExitReason exit = arch_->run_with(handler);
    state_ = VcpuState::Ready;
    return exit;
  }
  /// In the guest no longer, or again: for that handler.
  void set_in_guest(bool in_guest) { state_ = in_guest ? VcpuState::Running : VcpuState::Ready; }
  /// Only while Free: the entry of a CPU that is brought up.
  [[nodiscard]] Result<> set_entry(GuestPhys entry, std::uint64_t arg);
  [[nodiscard]] Result<> set_gpr(unsigned index, std::uint64_t value);  ///< not while Running
  /// Back to Free with power-on registers; from any state but Running.
  [[nodiscard]] Result<> reset();

  [[nodiscard]] VcpuId id() const { return id_; }
  [[nodiscard]] bool is_bsp() const { return id_ == kBootVcpu; }
  [[nodiscard]] VcpuState state() const { return state_; }
  [[nodiscard]] ArchVcpu& arch() { return *arch_; }
  [[nodiscard]] const ArchVcpu& arch() const { return *arch_; }

 private:
  [[nodiscard]] Result<> move(VcpuState from, VcpuState to, std::string_view operation) {
    RETRAP_TRY(require(from, operation));
    state_ = to;
    return {};
  }
  [[nodiscard]] Result<> require(VcpuState wanted, std::string_view operation) const {
    if (state_ == wanted) [[likely]]
      return {};
    return refuse(wanted, operation);
  }
  [[nodiscard]] tl::unexpected<Error> refuse(VcpuState wanted, std::string_view operation) const;

  VcpuId id_;
  ArchVcpu* arch_;  ///< never null; outlives this
  VcpuState state_ = VcpuState::Created;
};

}  // namespace retrap
