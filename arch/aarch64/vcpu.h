// The aarch64 vCPU: raw exits become exit reasons, answers become register writes.
#pragma once

#include <cstdint>

#include "arch/aarch64/cpu.h"
#include "arch/aarch64/gicv3.h"
#include "arch/aarch64/psci.h"
#include "vmm/clock.h"
#include "vmm/devices/test_finisher.h"

namespace retrap::aarch64 {

/// What a vCPU shares with the others of its VM. All outlive it.
struct VcpuParts {
  Clock& clock;
  Gicv3& gic;
  PowerStates& power;
  TestFinisher& finisher;
};

class Aarch64Vcpu final : public ArchVcpu {
 public:
  /// `cpu` outlives this; `index` is its place in the VM.
  Aarch64Vcpu(Cpu& cpu, std::uint32_t index, VcpuParts parts)
      : cpu_(cpu), index_(index), parts_(parts) {}

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
  void set_return_value(std::uint64_t value) override { cpu_.set_x(0, value); }
  [[nodiscard]] std::uint64_t not_supported() const override { return ~std::uint64_t{0}; }
  void answer_cpu_up(CpuUpResult result) override;

  [[nodiscard]] bool wakeup_pending() const override { return parts_.gic.signals(index_); }

  [[nodiscard]] CodeAtPc code_at_pc() override;
  [[nodiscard]] std::vector<NamedRegister> registers() const override;
  void digest(Digest& into) const override;

 private:
  class Turn;
  [[nodiscard]] ExitReason reason();
  [[nodiscard]] ExitReason ended();
  [[nodiscard]] bool is_exit_due() const { return crash_ || parts_.finisher.has_request(); }
  [[nodiscard]] ExitReason due_exit();
  [[nodiscard]] ExitReason unexpected() const;
  [[nodiscard]] ExitReason on_wait();
  [[nodiscard]] ExitReason on_hypervisor_call();
  [[nodiscard]] ExitReason on_secure_monitor_call();
  [[nodiscard]] bool is_undefined_access();
  [[nodiscard]] ExitReason on_system_register();
  [[nodiscard]] ExitReason on_abort();
  [[nodiscard]] ExitReason firmware_call(const Call& call);
  [[nodiscard]] ExitReason send_interrupt(std::uint64_t value);

  void inject(std::uint32_t esr, std::optional<std::uint64_t> far);
  void inject_undefined();
  void inject_abort(std::uint32_t fsc, std::uint64_t far, bool write);

  static constexpr RawExit kNoExit{};
  Cpu& cpu_;
  std::uint32_t index_;
  VcpuParts parts_;
  const RawExit* exit_ = &kNoExit;          ///< never null: the last one
  std::uint32_t known_access_ = 0;          ///< the last system-register access that was in order
  std::optional<exits::GuestCrash> crash_;  ///< there is no way out: what every run() gives
};

}  // namespace retrap::aarch64
