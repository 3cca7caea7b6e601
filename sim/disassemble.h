// What instructions mean, for people who look at a guest; Capstone stands behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/arch_id.h"
#include "vmm/arch_vcpu.h"

namespace retrap {

/// A line for each instruction of `code`, which begins at `pc`: "0xffff8000  str w0, [x1]". What
/// is no instruction is shown as its bytes.
[[nodiscard]] std::vector<std::string> disassemble(ArchId arch, std::uint64_t pc,
                                                   const CodeAtPc& code);

/// The same of any bytes; x86 code has 16, 32 or 64 `bits`. It ends where the first bytes stand
/// that are no instruction.
[[nodiscard]] std::vector<std::string> disassemble(ArchId arch, unsigned bits,
                                                   std::uint64_t address,
                                                   std::span<const std::byte> code);

}  // namespace retrap
