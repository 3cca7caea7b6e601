// The table of identification registers (DDI 0487, D24.2; values of the A57: DDI 0488, 4.3).
#include "arch/aarch64/idregs.h"

#include <array>
#include <string_view>

#include "arch/aarch64/registers.h"

namespace retrap::aarch64 {
namespace {

struct Row {
  SysReg reg;
  std::string_view name;
  std::uint64_t value;
};

constexpr std::array<Row, 4> kRows = {{
    // GIC: system registers. AdvSIMD, FP: with half precision conversions only. EL1, EL0: AArch64.
    {SysReg::ID_AA64PFR0_EL1, "ID_AA64PFR0_EL1", 0x0100'0011},
    // Two context-aware of six breakpoints, four watchpoints, ARMv8 debug; no PMU, no trace.
    {SysReg::ID_AA64DFR0_EL1, "ID_AA64DFR0_EL1", 0x1030'5006},
    // CRC32, SHA2, SHA1, AES and PMULL; no LSE, no RNDR.
    {SysReg::ID_AA64ISAR0_EL1, "ID_AA64ISAR0_EL1", 0x0001'1120},
    // 4 KiB and 64 KiB granules, 16-bit ASIDs, 48-bit physical addresses, little-endian only.
    {SysReg::ID_AA64MMFR0_EL1, "ID_AA64MMFR0_EL1", 0x0000'1025},
}};

}  // namespace

std::uint64_t id_register(std::uint32_t number) {
  for (const Row& row : kRows) {
    if (static_cast<std::uint32_t>(row.reg) == number) return row.value;
  }
  return 0;
}

}  // namespace retrap::aarch64
