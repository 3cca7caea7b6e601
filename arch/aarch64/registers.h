// System registers by the numbers that trapped accesses report, and the bits of PSTATE.
#pragma once

#include <cstdint>

#include "vmm/base/bits.h"

namespace retrap::aarch64 {

/// A system register as the ISS of a trapped MSR or MRS numbers it (DDI 0487, D24.2.37, EC 0x18):
/// op0 [21:20], op2 [19:17], op1 [16:14], CRn [13:10], CRm [4:1]. Rt and Direction are zero.
[[nodiscard]] constexpr std::uint32_t sysreg_number(std::uint32_t op0, std::uint32_t op1,
                                                    std::uint32_t crn, std::uint32_t crm,
                                                    std::uint32_t op2) {
  return op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1;
}

/// The bits of an ISS that say which register it is.
inline constexpr std::uint32_t kSysRegMask = 0x3f'fc1e;

// clang-format off
/// Registers that we name. The order is that of the manual's index by op0, op1, CRn, CRm, op2.
// NOLINTBEGIN(readability-identifier-naming): the manual's spelling.
enum class SysReg : std::uint32_t {
  MDSCR_EL1        = sysreg_number(2, 0, 0, 2, 2),
  OSLAR_EL1        = sysreg_number(2, 0, 1, 0, 4),
  OSLSR_EL1        = sysreg_number(2, 0, 1, 1, 4),
  MIDR_EL1         = sysreg_number(3, 0, 0, 0, 0),
  MPIDR_EL1        = sysreg_number(3, 0, 0, 0, 5),
  ID_AA64PFR0_EL1  = sysreg_number(3, 0, 0, 4, 0),
  ID_AA64DFR0_EL1  = sysreg_number(3, 0, 0, 5, 0),
  ID_AA64ISAR0_EL1 = sysreg_number(3, 0, 0, 6, 0),
  ID_AA64MMFR0_EL1 = sysreg_number(3, 0, 0, 7, 0),
  SCTLR_EL1        = sysreg_number(3, 0, 1, 0, 0),
  ACTLR_EL1        = sysreg_number(3, 0, 1, 0, 1),
  CPACR_EL1        = sysreg_number(3, 0, 1, 0, 2),
  TTBR0_EL1        = sysreg_number(3, 0, 2, 0, 0),
  TTBR1_EL1        = sysreg_number(3, 0, 2, 0, 1),
  TCR_EL1          = sysreg_number(3, 0, 2, 0, 2),
  SPSR_EL1         = sysreg_number(3, 0, 4, 0, 0),
  ELR_EL1          = sysreg_number(3, 0, 4, 0, 1),
  SP_EL0           = sysreg_number(3, 0, 4, 1, 0),
  ICC_PMR_EL1      = sysreg_number(3, 0, 4, 6, 0),
  AFSR0_EL1        = sysreg_number(3, 0, 5, 1, 0),
  AFSR1_EL1        = sysreg_number(3, 0, 5, 1, 1),
  ESR_EL1          = sysreg_number(3, 0, 5, 2, 0),
  FAR_EL1          = sysreg_number(3, 0, 6, 0, 0),
  PAR_EL1          = sysreg_number(3, 0, 7, 4, 0),
  MAIR_EL1         = sysreg_number(3, 0, 10, 2, 0),
  AMAIR_EL1        = sysreg_number(3, 0, 10, 3, 0),
  VBAR_EL1         = sysreg_number(3, 0, 12, 0, 0),
  ICC_IAR0_EL1     = sysreg_number(3, 0, 12, 8, 0),
  ICC_EOIR0_EL1    = sysreg_number(3, 0, 12, 8, 1),
  ICC_HPPIR0_EL1   = sysreg_number(3, 0, 12, 8, 2),
  ICC_BPR0_EL1     = sysreg_number(3, 0, 12, 8, 3),
  ICC_AP0R0_EL1    = sysreg_number(3, 0, 12, 8, 4),
  ICC_AP0R1_EL1    = sysreg_number(3, 0, 12, 8, 5),
  ICC_AP0R2_EL1    = sysreg_number(3, 0, 12, 8, 6),
  ICC_AP0R3_EL1    = sysreg_number(3, 0, 12, 8, 7),
  ICC_AP1R0_EL1    = sysreg_number(3, 0, 12, 9, 0),
  ICC_AP1R1_EL1    = sysreg_number(3, 0, 12, 9, 1),
  ICC_AP1R2_EL1    = sysreg_number(3, 0, 12, 9, 2),
  ICC_AP1R3_EL1    = sysreg_number(3, 0, 12, 9, 3),
  ICC_DIR_EL1      = sysreg_number(3, 0, 12, 11, 1),
  ICC_RPR_EL1      = sysreg_number(3, 0, 12, 11, 3),
  ICC_SGI1R_EL1    = sysreg_number(3, 0, 12, 11, 5),
  ICC_ASGI1R_EL1   = sysreg_number(3, 0, 12, 11, 6),
  ICC_SGI0R_EL1    = sysreg_number(3, 0, 12, 11, 7),
  ICC_IAR1_EL1     = sysreg_number(3, 0, 12, 12, 0),
  ICC_EOIR1_EL1    = sysreg_number(3, 0, 12, 12, 1),
  ICC_HPPIR1_EL1   = sysreg_number(3, 0, 12, 12, 2),
  ICC_BPR1_EL1     = sysreg_number(3, 0, 12, 12, 3),
  ICC_CTLR_EL1     = sysreg_number(3, 0, 12, 12, 4),
  ICC_SRE_EL1      = sysreg_number(3, 0, 12, 12, 5),
  ICC_IGRPEN0_EL1  = sysreg_number(3, 0, 12, 12, 6),
  ICC_IGRPEN1_EL1  = sysreg_number(3, 0, 12, 12, 7),
  CONTEXTIDR_EL1   = sysreg_number(3, 0, 13, 0, 1),
  TPIDR_EL1        = sysreg_number(3, 0, 13, 0, 4),
  CNTKCTL_EL1      = sysreg_number(3, 0, 14, 1, 0),
  CSSELR_EL1       = sysreg_number(3, 2, 0, 0, 0),
  FPCR             = sysreg_number(3, 3, 4, 4, 0),
  FPSR             = sysreg_number(3, 3, 4, 4, 1),
  TPIDR_EL0        = sysreg_number(3, 3, 13, 0, 2),
  TPIDRRO_EL0      = sysreg_number(3, 3, 13, 0, 3),
  CNTFRQ_EL0       = sysreg_number(3, 3, 14, 0, 0),
  CNTPCT_EL0       = sysreg_number(3, 3, 14, 0, 1),
  CNTVCT_EL0       = sysreg_number(3, 3, 14, 0, 2),
  CNTP_TVAL_EL0    = sysreg_number(3, 3, 14, 2, 0),
  CNTP_CTL_EL0     = sysreg_number(3, 3, 14, 2, 1),
  CNTP_CVAL_EL0    = sysreg_number(3, 3, 14, 2, 2),
  CNTV_TVAL_EL0    = sysreg_number(3, 3, 14, 3, 0),
  CNTV_CTL_EL0     = sysreg_number(3, 3, 14, 3, 1),
  CNTV_CVAL_EL0    = sysreg_number(3, 3, 14, 3, 2),
  SP_EL1           = sysreg_number(3, 4, 4, 1, 0),
};
// NOLINTEND(readability-identifier-naming)
// clang-format on

[[nodiscard]] constexpr std::uint32_t number(SysReg reg) {
  return static_cast<std::uint32_t>(reg);
}

/// The five numbers of a register, taken out of an ISS or a SysReg.
struct SysRegFields {
  std::uint32_t op0, op1, crn, crm, op2;
};
[[nodiscard]] constexpr SysRegFields fields_of(std::uint32_t iss) {
  return {.op0 = iss >> 20 & 3,
          .op1 = iss >> 14 & 7,
          .crn = iss >> 10 & 15,
          .crm = iss >> 1 & 15,
          .op2 = iss >> 17 & 7};
}

/// PSTATE in the layout of SPSR_EL1 (DDI 0487, C5.2.19).
namespace pstate {
inline constexpr std::uint32_t kSpSel = 1;  ///< M[0]: SP_ELx instead of SP_EL0
inline constexpr std::uint32_t kAArch32 = 1u << 4;
inline constexpr std::uint32_t kF = 1u << 6;
inline constexpr std::uint32_t kI = 1u << 7;
inline constexpr std::uint32_t kA = 1u << 8;
inline constexpr std::uint32_t kD = 1u << 9;
inline constexpr std::uint32_t kDaif = kD | kA | kI | kF;
inline constexpr std::uint32_t kIl = 1u << 20;
inline constexpr std::uint32_t kSs = 1u << 21;
inline constexpr std::uint32_t kNzcv = 0xfu << 28;
inline constexpr std::uint32_t kEl1h = 5;
/// EL1h with all interrupts masked: after reset and after an exception.
inline constexpr std::uint32_t kReset = kEl1h | kDaif;

[[nodiscard]] constexpr unsigned el(std::uint32_t value) {
  return value >> 2 & 3;
}
}  // namespace pstate

/// What the model calls itself: a Cortex-A57 r1p0 (DDI 0488, 4.3.1).
inline constexpr std::uint64_t kMidr = 0x411f'd070;

/// SCTLR_EL1 after reset: MMU and caches off, RES1 bits set (DDI 0488, 4.3.30).
inline constexpr std::uint64_t kSctlrReset = 0x30d0'0800;
/// SCTLR_EL1.M: the MMU of EL1 and EL0 is on.
inline constexpr std::uint64_t kSctlrM = bit(0);

/// The generic counter: 62.5 MHz, so 16 ns a tick.
inline constexpr std::uint64_t kCounterHz = 62'500'000;
inline constexpr unsigned kNsPerTickShift = 4;

}  // namespace retrap::aarch64
