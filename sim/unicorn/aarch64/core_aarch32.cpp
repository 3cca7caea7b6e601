// Keeps the guest out of AArch32, which the model does not have but the engine does.
#include <array>

#include "sim/unicorn/aarch64/core.h"

namespace retrap::unicorn::aarch64 {
namespace {

namespace pstate = retrap::aarch64::pstate;

/// What a guest can have put into system registers, but for those that have their own place below.
constexpr std::array kKept = {
    SysReg::SCTLR_EL1, SysReg::ACTLR_EL1,   SysReg::CPACR_EL1,      SysReg::TTBR0_EL1,
    SysReg::TTBR1_EL1, SysReg::TCR_EL1,     SysReg::MAIR_EL1,       SysReg::AMAIR_EL1,
    SysReg::AFSR0_EL1, SysReg::AFSR1_EL1,   SysReg::CONTEXTIDR_EL1, SysReg::TPIDR_EL1,
    SysReg::TPIDR_EL0, SysReg::TPIDRRO_EL0, SysReg::CNTKCTL_EL1,    SysReg::PAR_EL1,
    SysReg::VBAR_EL1,  SysReg::ESR_EL1,     SysReg::FAR_EL1,        SysReg::ELR_EL1,
    SysReg::SPSR_EL1,  SysReg::CSSELR_EL1,
};
constexpr std::array kKeptDirect = {UC_ARM64_REG_FPCR, UC_ARM64_REG_FPSR, UC_ARM64_REG_SP_EL0,
                                    UC_ARM64_REG_SP_EL1, UC_ARM64_REG_SP};

}  // namespace

// The engine shows no bit for it. In AArch32 its 64-bit PC stands still, at the block that had the
// ERET; where that block is also the target, SPSR_EL1 and ELR_EL1 tell.
bool Core::is_aarch32(std::uint64_t at) const {
  if (registers_.pc() != at) return true;
  if ((registers_.sysreg(SysReg::SPSR_EL1) & pstate::kAArch32) == 0) return false;
  return ((registers_.direct(UC_ARM64_REG_ELR_EL1) ^ at) & 0xffff'fffc) == 0;
}

// The ERET was an illegal return (DDI 0487, D1.3.4): exception level and stack pointer stay,
// PSTATE.IL is set. Only a restored context brings the engine back to AArch64; nothing of AArch32
// has run, so the registers are those of the ERET.
void Core::leave_aarch32() {
  std::array<std::uint64_t, 31> x{};
  std::array<Vector, 32> v{};
  std::array<std::uint64_t, kKept.size()> kept{};
  std::array<std::uint64_t, kKeptDirect.size()> direct{};
  for (unsigned i = 0; i < x.size(); ++i) x[i] = registers_.x(i);
  for (unsigned i = 0; i < v.size(); ++i) v[i] = registers_.v(i);
  for (unsigned i = 0; i < kept.size(); ++i) kept[i] = registers_.sysreg(kKept[i]);
  for (unsigned i = 0; i < direct.size(); ++i) direct[i] = registers_.direct(kKeptDirect[i]);
  const std::uint32_t state = registers_.pstate() | pstate::kIl;

  check(uc_context_restore(engine_.get(), power_on_), "context_restore");
  registers_.set_raw_pstate(state & ~(pstate::kSs | pstate::kAArch32));
  for (unsigned i = 0; i < x.size(); ++i) registers_.set_x(i, x[i]);
  for (unsigned i = 0; i < v.size(); ++i) registers_.set_v(i, v[i]);
  for (unsigned i = 0; i < direct.size(); ++i) registers_.set_direct(kKeptDirect[i], direct[i]);
  for (unsigned i = 0; i < kept.size(); ++i) registers_.set_sysreg(kKept[i], kept[i]);
  restore_identity(*current_);
  stepping_ = false;
  current_->pc = registers_.direct(UC_ARM64_REG_ELR_EL1) & ~std::uint64_t{3};
  regime_valid_ = false;
  code_pages_.forget();
  engine_.flush_tlb();
}

}  // namespace retrap::unicorn::aarch64
