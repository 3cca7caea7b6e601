// One simulated hart: its registers in the engine while it is active, in a context otherwise.
#pragma once

#include <unicorn/unicorn.h>

#include <cstdint>
#include <optional>

#include "arch/riscv64/cpu.h"
#include "arch/riscv64/csr.h"
#include "sim/unicorn/riscv64/env.h"

namespace retrap::unicorn::riscv64 {

using retrap::riscv64::Privilege;

class Processor;

/// Bits of sip and mip that a guest has.
inline constexpr std::uint64_t kSsip = bit(1);
inline constexpr std::uint64_t kStip = bit(5);
inline constexpr std::uint64_t kSeip = bit(9);
inline constexpr std::uint64_t kSupervisorInterrupts = kSsip | kStip | kSeip;

/// Interrupts: the engine takes them by itself, at the points where it looks for them, but the
/// lowest number first. The architecture wants external before software before timer. So while an
/// external one is pending and enabled, the others are hidden from the engine, and sip and sie are
/// emulated.
class Hart final : public retrap::riscv64::Cpu {
  friend class Processor;

 public:
  explicit Hart(Processor& processor);
  ~Hart() override;
  Hart(const Hart&) = delete;
  Hart& operator=(const Hart&) = delete;

  [[nodiscard]] const retrap::riscv64::RawExit& run() override;
  [[nodiscard]] const retrap::riscv64::RawExit& run_with(
      retrap::riscv64::RawExitHandler& handler) override;
  [[nodiscard]] const retrap::riscv64::RawExit& last_exit() const override { return exit_; }
  [[nodiscard]] std::uint64_t x(unsigned index) const override;
  void set_x(unsigned index, std::uint64_t value) override;
  [[nodiscard]] std::array<std::uint64_t, 8> arguments() const override;
  [[nodiscard]] std::uint64_t f(unsigned index) const override;
  void set_f(unsigned index, std::uint64_t value) override;
  [[nodiscard]] std::uint64_t pc() const override { return pc_; }
  void set_pc(std::uint64_t value) override { pc_ = value & ~std::uint64_t{1}; }
  [[nodiscard]] Privilege privilege() const override;
  void set_privilege(Privilege value) override;
  [[nodiscard]] std::uint64_t csr(retrap::riscv64::Csr number) const override;
  void set_csr(retrap::riscv64::Csr number, std::uint64_t value) override;
  [[nodiscard]] std::uint64_t hvip() const override;
  void set_hvip(std::uint64_t mask, std::uint64_t value) override;
  void retire(unsigned length) override;
  [[nodiscard]] std::optional<std::uint16_t> fetch(std::uint64_t va) override;
  void flush_tlb() override;
  void reset() override;
  [[nodiscard]] std::vector<NamedRegister> registers() const override;
  void digest(Digest& into) const override;

  // For the processor, while this hart is the active one.
  /// Any CSR, whatever the privilege, without disturbing a reservation.
  [[nodiscard]] std::uint64_t read_csr(int id) const;
  void write_csr(int id, std::uint64_t value) const;
  [[nodiscard]] Privilege privilege_now() const {
    return env_.priv == 0 ? Privilege::User : Privilege::Supervisor;
  }
  /// Runs `action` with M-mode's rights.
  template <class Action>
  void in_machine_mode(Action action) const {
    const std::uint64_t privilege = env_.priv;
    env_.priv = kMachineMode;
    action();
    env_.priv = privilege;
  }
  /// sip as the guest must see it. This and enabled() are known of any hart at any time: whoever
  /// waits is asked often.
  [[nodiscard]] std::uint64_t pending() const {
    return ((is_active() ? env_.mip : parked_mip_) & kSupervisorInterrupts) | hidden_;
  }
  /// sie.
  [[nodiscard]] std::uint64_t enabled() const {
    return (is_active() ? env_.mie : parked_mie_) & kSupervisorInterrupts;
  }
  /// Takes over SSIP and sie from an emulated instruction.
  void set_software_pending(bool pending);
  void choose_visible();
  /// Whether sip and sie must be emulated: an external interrupt is pending.
  [[nodiscard]] bool emulates_interrupt_csrs() const { return (lines_ & kSeip) != 0; }
  /// Out of the engine, and into it (with an empty TLB).
  void park();
  void unpark();
  [[nodiscard]] std::uint64_t satp() const { return satp_; }
  void set_satp(std::uint64_t satp) { satp_ = satp; }

 private:
  static constexpr std::uint64_t kMachineMode = 3;

  void wake() const;  ///< makes this hart the active one
  [[nodiscard]] bool is_active() const;
  /// Makes `pending` what is pending, and shows the engine what of it it may take.
  void show(std::uint64_t pending);

  Processor& processor_;
  uc_engine* uc_;
  Env& env_;                      ///< of the active hart: wake() first
  uc_context* parked_ = nullptr;  ///< registers while another hart is active
  std::uint64_t parked_fflags_ = 0;
  std::uint64_t parked_mip_ = 0;
  std::uint64_t parked_mie_ = 0;
  std::uint64_t satp_ = 0;
  std::uint64_t lines_ = 0;   ///< STIP and SEIP, as the monitor drives them
  std::uint64_t hidden_ = 0;  ///< pending, and not in the engine's mip
  /// The program counter between two runs: the engine is told at its start.
  std::uint64_t pc_ = 0;
  retrap::riscv64::RawExit exit_;
};

}  // namespace retrap::unicorn::riscv64
