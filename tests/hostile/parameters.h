// The block through which a hostile run tells its launcher (launch_*.S) what to load.
#pragma once

#include <array>
#include <cstdint>

namespace retrap::hostile {

/// One page after the launcher's page. The launchers know the offsets.
struct Parameters {
  std::uint64_t root;     ///< 0x000: TTBR0_EL1, satp, CR3
  std::uint64_t control;  ///< 0x008: SCTLR_EL1, sie, CR0
  std::uint64_t format;   ///< 0x010: TCR_EL1, -, CR4
  std::uint64_t vectors;  ///< 0x018: VBAR_EL1, stvec, LSTAR
  std::uint64_t pc;       ///< 0x020
  std::uint64_t state;    ///< 0x028: SPSR_EL1, sstatus, RFLAGS
  std::uint64_t stack;    ///< 0x030: SP_EL0, sscratch, RSP
  std::uint64_t extra;    ///< 0x038: CPACR_EL1, scounteren, EFER
  /// 0x040: x1 to x30, x1 to x31, rax to r15 in their encoding's order; unused ones last.
  std::array<std::uint64_t, 32> registers;
  std::uint64_t code_selector;   ///< 0x140: x86_64
  std::uint64_t stack_selector;  ///< 0x148: x86_64
  std::uint64_t gdt[16];         ///< 0x150: x86_64, the last two describe the task state
  std::uint64_t gdtr[2];         ///< 0x1d0: limit in the upper 16 bits of the first 8 bytes
  std::uint64_t idtr[2];         ///< 0x1e0: the same
  std::uint64_t attributes;      ///< 0x1f0: MAIR_EL1, -, STAR
};

}  // namespace retrap::hostile
