// One riscv64 vCPU: raw exits become exit reasons.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "arch/riscv64/cpu.h"
#include "arch/riscv64/csr.h"
#include "arch/riscv64/emulate.h"
#include "arch/riscv64/memo.h"
#include "arch/riscv64/plic.h"
#include "arch/riscv64/sbi.h"
#include "vmm/devices/test_finisher.h"

namespace retrap::riscv64 {

/// What a vCPU is plugged into. All outlive it.
struct VcpuParts {
  Cpu& cpu;
  Clock& clock;
  AddressSpace& memory;
  Sbi& sbi;
  const Plic& plic;
  TestFinisher& finisher;
  std::uint64_t hart_id;  ///< what the guest calls it
};

/// ecall is answered by the firmware of the VM (or is a Hypercall); guest-page faults are nested
/// faults; WFI halts; counters are answered from virtual time; custom CSRs go to the
/// system-register bus; every other CSR and instruction that traps is illegal to the guest.
class Vcpu final : public ArchVcpu, AlarmSink {
 public:
  /// `hart` is the vCPU's number: its context of the PLIC, and what the firmware calls it.
  Vcpu(unsigned hart, const VcpuParts& parts);
  ~Vcpu() override;
  Vcpu(const Vcpu&) = delete;
  Vcpu& operator=(const Vcpu&) = delete;

  [[nodiscard]] ExitReason run() override;
  [[nodiscard]] ExitReason run_with(ExitHandler& handler) override;
  void complete(std::uint64_t value) override;
  void refuse() override;
  [[nodiscard]] Emulated emulate(AccessPort& port) override;
  void inject_abort(const exits::NestedPageFault& fault) override;
  void reset() override;
  void set_entry(GuestPhys entry, std::uint64_t arg) override;
  [[nodiscard]] Result<std::uint64_t> gpr(unsigned index) const override;
  [[nodiscard]] Result<> set_gpr(unsigned index, std::uint64_t value) override;
  [[nodiscard]] std::uint64_t pc() const override { return cpu_.pc(); }
  void set_return_value(std::uint64_t value) override;
  [[nodiscard]] std::uint64_t not_supported() const override;
  void answer_cpu_up(CpuUpResult result) override;
  [[nodiscard]] bool wakeup_pending() const override;
  [[nodiscard]] CodeAtPc code_at_pc() override;
  [[nodiscard]] std::vector<NamedRegister> registers() const override { return cpu_.registers(); }
  void digest(Digest& into) const override;

  // The firmware's side.
  [[nodiscard]] HartState state() const { return state_; }
  void set_state(HartState state) { state_ = state; }
  /// The timer interrupt goes away and comes back at `ticks` of the time CSR.
  void set_timer(std::uint64_t ticks);
  /// Makes the timer interrupt pending until the next set_timer().
  void inject_timer() { timer_pending_ = true; }
  void set_software_interrupt(bool pending) { cpu_.set_hvip(kVssip, pending ? kVssip : 0); }
  void fence() { cpu_.flush_tlb(); }
  /// A naturally aligned doubleword at a virtual address, as S-mode loads it.
  [[nodiscard]] std::optional<std::uint64_t> load(std::uint64_t va);

 private:
  class Turn;
  /// A CSR instruction on its way through the system-register bus: read, then write, then done.
  struct CsrAccess {
    CsrInstruction instruction;
    std::uint32_t word;     ///< the instruction, for stval
    std::uint64_t old = 0;  ///< what the read gave
    bool write_is_due = false;
  };

  void on_alarm(std::uint64_t now_ns) override;
  /// Whether there is an exit before the guest can go on, and which.
  [[nodiscard]] bool is_exit_due() const {
    return crash_ || finisher_.has_request() || (csr_access_ && csr_access_->write_is_due);
  }
  [[nodiscard]] ExitReason due_exit();
  void prepare_entry();
  void apply_interrupts();
  [[nodiscard]] std::uint64_t wanted_hvip() const;

  [[nodiscard]] ExitReason reason(const RawExit& exit);
  [[nodiscard]] ExitReason on_ecall();
  [[nodiscard]] ExitReason on_guest_page_fault(const RawExit& exit) const;
  [[nodiscard]] ExitReason on_instruction(const RawExit& exit);
  [[nodiscard]] ExitReason on_wfi();
  [[nodiscard]] ExitReason on_csr(const CsrInstruction& access, std::uint32_t word,
                                  Privilege privilege);
  [[nodiscard]] ExitReason csr_write() const;
  [[nodiscard]] std::uint64_t operand(const CsrInstruction& access) const;
  [[nodiscard]] std::uint64_t counter(std::uint16_t number) const;
  [[nodiscard]] std::optional<std::uint32_t> fetch(std::uint64_t va);

  /// Moves past an emulated instruction and counts it.
  void retire(unsigned length);
  /// Raises an exception in the guest's S-mode; a handler that cannot even begin is a crash.
  void deliver(Cause cause, std::uint64_t value);
  [[nodiscard]] ExitReason illegal_instruction(std::uint32_t word);

  unsigned hart_;
  std::uint64_t hart_id_;
  Cpu& cpu_;
  Clock& clock_;
  AddressSpace& memory_;
  Sbi& sbi_;
  const Plic& plic_;
  TestFinisher& finisher_;
  Clock::AlarmId alarm_;

  HartState state_ = HartState::Stopped;
  bool timer_pending_ = false;
  std::uint64_t deadline_ns_ = kNever;
  std::uint64_t applied_hvip_ = 0;  ///< of VSTIP and VSEIP, as the hart has them
  std::uint64_t retired_ = 0;       ///< by this vCPU since reset
  std::uint64_t entered_at_ = 0;    ///< Clock::retired() when the guest last went on
  Memo<std::optional<TransformedInstruction>> transformed_;  ///< by htinst
  std::optional<CsrAccess> csr_access_;
  std::optional<SbiSuspend::Resume> resume_;
  std::optional<exits::GuestCrash> crash_;
};

}  // namespace retrap::riscv64
