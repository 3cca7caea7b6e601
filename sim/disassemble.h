// What instructions mean, for people who look at a guest; Capstone stands behind it.
#pragma once

#include <string>
#include <vector>

#include "vmm/arch_id.h"
#include "vmm/arch_vcpu.h"

namespace retrap {

/// A line for each instruction of `code`, which begins at `pc`: "0xffff8000  str w0, [x1]". What
/// is no instruction is shown as its bytes.
[[nodiscard]] std::vector<std::string> disassemble(ArchId arch, std::uint64_t pc,
                                                   const CodeAtPc& code);

}  // namespace retrap
