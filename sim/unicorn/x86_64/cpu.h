// One CPU of a VM, as the monitor sees it.
#pragma once

#include "sim/unicorn/x86_64/core.h"

namespace retrap::unicorn::x86_64 {

class UnicornCpu final : public retrap::x86_64::Cpu {
 public:
  /// The core outlives this.
  explicit UnicornCpu(Core& core) : core_(core), vcpu_(core.make_vcpu()) {}

  const RawExit& run() override;
  const RawExit& run_with(RawExitHandler& handler) override { return core_.run(*vcpu_, handler); }
  [[nodiscard]] const RawExit& last_exit() const override { return vcpu_->exit; }

  [[nodiscard]] std::uint64_t gpr(Gpr name) const override;
  [[nodiscard]] std::span<const std::uint64_t, 16> gprs() const override { return head().regs; }
  void set_gpr(Gpr name, std::uint64_t value) override;
  [[nodiscard]] std::uint64_t rip() const override { return head().eip; }
  void set_rip(std::uint64_t value) override { head().eip = value; }
  [[nodiscard]] std::uint64_t rflags() const override { return head().eflags | 2; }
  void set_arithmetic_flags(std::uint64_t value) override {
    head().eflags = (head().eflags & ~rflags::kStatus) | (value & rflags::kStatus);
  }
  [[nodiscard]] unsigned cpl() const override { return vcpu_->env.cpl(); }
  [[nodiscard]] Segment segment(SegmentName name) const override;
  [[nodiscard]] std::uint64_t cr0() const override { return head().cr[0]; }
  [[nodiscard]] std::uint64_t cr4() const override { return head().cr[4]; }
  [[nodiscard]] std::uint64_t efer() const override { return head().efer & ~efer::kSvme; }
  void set_efer(std::uint64_t value) override;
  [[nodiscard]] unsigned code_bytes() const override { return vcpu_->env.code_bytes(); }

  [[nodiscard]] CpuState state() const override;
  void set_state(const CpuState& state) override { core_.reset(*vcpu_, state); }

  [[nodiscard]] bool has_msr(std::uint32_t number) const override;
  [[nodiscard]] std::uint64_t msr(std::uint32_t number) const override;
  void set_msr(std::uint32_t number, std::uint64_t value) override;
  void set_tsc_offset(std::uint64_t offset) override { vcpu_->tsc_offset = offset; }
  [[nodiscard]] std::uint64_t tsc_offset() const override { return vcpu_->tsc_offset; }

  void advance(unsigned length) override;
  void inject(const Event& event) override { vcpu_->pending = PendingEvent{.event = event}; }
  [[nodiscard]] bool has_pending_event() const override { return vcpu_->pending.has_value(); }
  [[nodiscard]] bool can_take_interrupt() const override;
  void request_windows(bool interrupts, bool nmi) override {
    vcpu_->window_wanted = interrupts;
    vcpu_->nmi_window_wanted = nmi;
  }
  void intercept_iret(bool wanted) override { unicorn::x86_64::intercept_iret(vcpu_->env, wanted); }

  [[nodiscard]] Translation translate(std::uint64_t linear, Access access,
                                      Privilege privilege) override;
  [[nodiscard]] std::size_t fetch(std::span<std::uint8_t, 15> into) override;
  [[nodiscard]] Completion complete_on(std::span<const ScratchPage> pages) override {
    return core_.complete_on(*vcpu_, pages);
  }
  void flush_tlb() override { core_.mmu().forget_nested(); }

  [[nodiscard]] std::vector<NamedRegister> registers() const override;
  void digest(Digest& into) const override;

 private:
  [[nodiscard]] EnvHead& head() { return vcpu_->env.head(); }
  [[nodiscard]] const EnvHead& head() const { return vcpu_->env.head(); }
  [[nodiscard]] std::uint64_t context_register(int id) const;

  Core& core_;
  std::unique_ptr<Vcpu> vcpu_;
};

}  // namespace retrap::unicorn::x86_64
