// One x86_64 vCPU: raw SVM exits to exit reasons, and the answers back into registers.
//
// AMD64 APM volume 2, chapter 15 "Secure Virtual Machine".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/emulate.h"
#include "arch/x86_64/interrupts.h"
#include "arch/x86_64/msr.h"
#include "arch/x86_64/system_requests.h"
#include "vmm/arch_vcpu.h"

namespace retrap::x86_64 {

/// What a vCPU works with. All outlive it.
struct VcpuParts {
  Cpu& cpu;
  Clock& clock;
  AddressSpace& memory;
  Bus& mmio;
  Bus& sysregs;
  Interrupts& interrupts;
  SystemRequests& requests;
};

/// Policies where x86 leaves a choice:
/// - a port that nobody takes: all ones are read, writes vanish, the instruction retires;
/// - memory that is not there or not allowed: #MC for a guest that has set CR4.MCE. For all others
///   what PC chipsets do: all ones are read, writes vanish, the instruction retires; a fetch is
///   #UD, as the all-ones bytes are; page tables there are a GuestCrash;
/// - an exception that cannot be delivered because its stack or table is not there: GuestCrash;
/// - an MSR that neither the table nor a device of the system-register bus has: #GP;
/// - VMCALL and VMMCALL from rings 1 to 3: #UD;
/// - RDPMC #GP (no counters), MONITOR, MWAIT, XSETBV, RSM and the SVM instructions #UD, all as
///   CPUID says.
class Vcpu final : public ArchVcpu {
 public:
  /// `cause` of GuestCrash is the SVM exit code: 0x7f shutdown, 0x400 a nested fault that cannot be
  /// given to the guest, 0x1001 unmodelled.
  Vcpu(VcpuId id, const VcpuParts& parts);

  [[nodiscard]] ExitReason run() override;
  [[nodiscard]] ExitReason run_with(ExitHandler& handler) override;
  void complete(std::uint64_t value) override;
  void refuse() override;
  [[nodiscard]] Emulated emulate(AccessPort& port) override;
  void inject_abort(const exits::NestedPageFault& fault) override;

  void reset() override;
  /// Real mode at CS:IP = (entry & ~0xfff):(entry & 0xfff), as a SIPI does; `arg` goes to RSI.
  void set_entry(GuestPhys entry, std::uint64_t arg) override;
  /// Any state: 64-bit boot protocols.
  void set_state(const CpuState& state) { parts_.cpu.set_state(state); }

  [[nodiscard]] Result<std::uint64_t> gpr(unsigned index) const override;
  [[nodiscard]] Result<> set_gpr(unsigned index, std::uint64_t value) override;
  [[nodiscard]] std::uint64_t pc() const override { return parts_.cpu.rip(); }
  void set_return_value(std::uint64_t value) override { parts_.cpu.set_gpr(Gpr::Rax, value); }
  [[nodiscard]] std::uint64_t not_supported() const override;
  [[nodiscard]] bool wakeup_pending() const override;
  [[nodiscard]] CodeAtPc code_at_pc() override;
  [[nodiscard]] std::vector<NamedRegister> registers() const override;
  void digest(Digest& into) const override;

 private:
  friend struct ExitTable;
  class Turn;
  using Handled = std::optional<ExitReason>;  ///< nothing: enter the guest again

  /// What waits for complete() or refuse().
  enum class Awaited : std::uint8_t { Nothing, RegisterRead, RegisterWrite, PortRead, PortWrite };

  [[nodiscard]] bool has_own_exit() const;
  [[nodiscard]] Handled before_entry();
  void deliver_events();
  void block_nmi(bool blocked);
  [[nodiscard]] Handled handle(const RawExit& exit);

  [[nodiscard]] Handled on_cpuid(const RawExit& exit);
  [[nodiscard]] Handled on_hlt(const RawExit& exit);
  [[nodiscard]] Handled on_hypercall(const RawExit& exit);
  [[nodiscard]] Handled on_msr(const RawExit& exit);
  [[nodiscard]] Handled on_io(const RawExit& exit);
  [[nodiscard]] Handled on_string_io(const RawExit& exit);
  [[nodiscard]] Handled on_nested_fault(const RawExit& exit);
  [[nodiscard]] Handled on_read_cr8(const RawExit& exit);
  [[nodiscard]] Handled on_write_cr8(const RawExit& exit);
  [[nodiscard]] Handled on_cache_flush(const RawExit& exit);
  [[nodiscard]] Handled on_undefined(const RawExit& exit);
  [[nodiscard]] Handled on_privileged(const RawExit& exit);
  [[nodiscard]] Handled on_window(const RawExit& exit);
  [[nodiscard]] Handled on_iret(const RawExit& exit);
  [[nodiscard]] Handled on_limit(const RawExit& exit);
  [[nodiscard]] Handled on_host_interrupt(const RawExit& exit);
  [[nodiscard]] Handled on_crash(const RawExit& exit);
  [[nodiscard]] Handled on_invalid(const RawExit& exit);

  void retire(const RawExit& exit);
  [[nodiscard]] Handled fault(const Event& event);
  [[nodiscard]] Handled nested_fault_of(const OperandFault& fault);
  void finish_string_io(bool in, std::uint64_t value);
  [[nodiscard]] std::uint32_t number() const { return index(id_); }

  VcpuId id_;
  VcpuParts parts_;
  MsrFile msrs_;
  Decoder decoder_;
  Awaited awaited_ = Awaited::Nothing;
  bool nmi_is_blocked_ = false;          ///< from its delivery to the next IRET
  std::optional<ExitReason> next_exit_;  ///< given by the next run() before the guest is entered
};

}  // namespace retrap::x86_64
