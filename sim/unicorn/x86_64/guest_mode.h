// Puts the engine into SVM guest mode by one native VMRUN; it stays there for ever.
//
// Unicorn keeps QEMU's model of SVM but for the way back to the host: in guest mode every
// intercepted instruction and every exception stops precisely and arrives at UC_HOOK_INTR as 0x100
// + EXITCODE.
#pragma once

#include "sim/unicorn/x86_64/env.h"
#include "sim/unicorn/x86_64/monitor_memory.h"

namespace retrap::unicorn::x86_64 {

/// Whether IRET exits, which a VMCB says beside what all of ours say.
void intercept_iret(Env& env, bool wanted);

/// Knows the VMCB. One per engine.
class GuestMode {
 public:
  /// The engine is as it was opened; its state becomes the host state of every VMRUN.
  GuestMode(Engine& engine, MonitorMemory& monitor, const EnvLayout& layout);

  /// Loads `state` into the engine and leaves it in `env`: ready to run the guest's first
  /// instruction, FPU and SSE reset, MSRs zero. Cached translations are stale afterwards.
  void enter(const CpuState& state, Env& env);

  /// Whether enter() is at work: fill and block hooks then leave the decision to these.
  [[nodiscard]] bool entering() const { return entering_; }
  /// A TLB fill while entering: only the stub has a page, so the guest's first fetch is refused.
  [[nodiscard]] static bool fill(std::uint64_t linear, uc_tlb_entry* entry);

 private:
  void write_vmcb(const CpuState& state);
  void write_segment(unsigned index, const Segment& segment);
  template <class T>
  void put(std::uint64_t offset, T value);

  Engine& engine_;
  MonitorMemory& monitor_;
  Env host_;
  bool entering_ = false;
};

}  // namespace retrap::unicorn::x86_64
