// Where the engine keeps the status flags when a SETcc cannot store its byte.
//
// The engine computes flags late: it notes the last operation and its operands (cc_op, cc_src,
// cc_dst), and a fault finds them by the cc_op that was known in front of the instruction. Some
// conditions of SETcc make the flags first, which puts them into cc_src, and store afterwards: a
// fault of the store then reads an operand where the flags are.
#pragma once

#include <cstdint>
#include <span>

#include "sim/unicorn/x86_64/instruction.h"

namespace retrap::unicorn::x86_64 {

/// Whether `instruction` is a SETcc to memory.
[[nodiscard]] constexpr bool is_setcc_to_memory(const Instruction& instruction) {
  return instruction.map == OpcodeMap::Two && (instruction.opcode & 0xf0) == 0x90 &&
         instruction.has_memory_operand();
}

/// Whether cc_src holds the flags when `setcc`, behind the instructions `before` of its block, has
/// faulted with `cc_op`.
[[nodiscard]] bool has_flags_in_source(const Instruction& setcc, std::uint32_t cc_op,
                                       std::span<const std::uint8_t> before, unsigned code_bytes);

}  // namespace retrap::unicorn::x86_64
