// How long an instruction is, and the little else that exactness needs to know about it.
//
// Counting instructions, stopping between two of them and naming the access of a faulting one must
// agree with the engine's translator for every byte sequence, also for those no disassembler
// accepts: so this decodes by the opcode maps alone (APM volume 3, appendix A).
#pragma once

#include <cstdint>
#include <span>

#include "sim/unicorn/x86_64/env.h"

namespace retrap::unicorn::x86_64 {

enum class OpcodeMap : std::uint8_t { One, Two, Three38, Three3a };

struct Instruction {
  static constexpr std::uint8_t kNoSegment = 0xff;

  std::uint8_t length = 0;  ///< 0: the bytes end before the instruction does
  OpcodeMap map = OpcodeMap::One;
  std::uint8_t opcode = 0;
  std::uint8_t modrm = 0;
  std::uint8_t sib = 0;
  std::uint8_t rex = 0;
  std::uint8_t repeat = 0;            ///< 0xf2, 0xf3 or 0
  std::uint8_t segment = kNoSegment;  ///< override: index of SegmentName
  std::uint8_t operand_bytes = 4;     ///< 2, 4 or 8
  std::uint8_t address_bytes = 8;     ///< 2, 4 or 8
  bool has_modrm = false;
  bool lock = false;
  std::uint8_t immediate8 = 0;  ///< where the instruction ends with one byte
  std::int32_t displacement = 0;

  [[nodiscard]] constexpr unsigned mod() const { return modrm >> 6; }
  [[nodiscard]] constexpr unsigned reg() const { return modrm >> 3 & 7; }
  [[nodiscard]] constexpr unsigned rm() const { return modrm & 7; }
  [[nodiscard]] constexpr bool has_memory_operand() const { return has_modrm && mod() != 3; }
  [[nodiscard]] constexpr bool is(OpcodeMap in, std::uint8_t code) const {
    return map == in && opcode == code;
  }
};

/// Decodes the first instruction in `bytes`. `code_bytes` is the width of the code segment: 2, 4 or
/// 8. Longer ones than 15 bytes end there.
[[nodiscard]] Instruction decode(std::span<const std::uint8_t> bytes, unsigned code_bytes);

/// Whether its memory operand is read and then written: the engine shows such an access as a read.
[[nodiscard]] bool is_read_modify_write(const Instruction& instruction);

/// Whether it may read descriptors or the TSS.
[[nodiscard]] bool is_system_reader(const Instruction& instruction);

/// STI, MOV SS and POP SS: no interrupt is taken after it.
[[nodiscard]] bool begins_shadow(const Instruction& instruction);

/// Whether a bad address of it is a stack fault: pushes, pops, and operands by RSP and RBP.
[[nodiscard]] bool uses_stack(const Instruction& instruction);

/// Where an instruction that writes to memory leads.
enum class Store : std::uint8_t {
  None,    ///< it does not write
  Onward,  ///< elsewhere, if it writes
  Loops,   ///< perhaps to itself: repeated strings, calls of what is not known
};

/// `bytes` begin with the instruction.
[[nodiscard]] Store store_of(const Instruction& instruction, std::span<const std::uint8_t> bytes);

/// MOVS, STOS, LODS, CMPS, SCAS, INS and OUTS with a REP prefix.
[[nodiscard]] bool is_repeated_string(const Instruction& instruction);

/// MOV, MOVZX and MOVSX from and to memory by ModRM.
[[nodiscard]] constexpr bool is_plain_move(const Instruction& in) {
  const std::uint8_t op = in.opcode;
  const bool one = (op >= 0x88 && op <= 0x8b) || ((op & 0xfe) == 0xc6 && in.reg() == 0);
  const bool two = (op & 0xf6) == 0xb6;  // b6 b7 be bf
  return in.has_memory_operand() &&
         (in.map == OpcodeMap::One ? one : in.map == OpcodeMap::Two && two);
}

/// The bytes of memory that a plain move reads or writes.
[[nodiscard]] constexpr unsigned moved_bytes(const Instruction& in) {
  if ((in.opcode & 1) == 0) return 1;
  return in.map == OpcodeMap::Two ? 2 : in.operand_bytes;
}

/// INS and OUTS.
[[nodiscard]] constexpr bool is_string_io(const Instruction& instruction) {
  return instruction.map == OpcodeMap::One && (instruction.opcode & 0xfc) == 0x6c;
}

/// INS, with or without a REP prefix.
[[nodiscard]] constexpr bool is_port_to_string(const Instruction& instruction) {
  return instruction.map == OpcodeMap::One && (instruction.opcode & 0xfe) == 0x6c;
}

/// LOOPE and LOOPNE.
[[nodiscard]] constexpr bool is_conditional_loop(const Instruction& instruction) {
  return instruction.map == OpcodeMap::One && (instruction.opcode & 0xfe) == 0xe0;
}

/// RCL and RCR.
[[nodiscard]] constexpr bool is_rotate_through_carry(const Instruction& instruction) {
  const std::uint8_t opcode = instruction.opcode;
  const bool shifts = (opcode & 0xfe) == 0xc0 || (opcode & 0xfc) == 0xd0;
  return instruction.map == OpcodeMap::One && shifts && (instruction.reg() & 6) == 2;
}

/// The linear address of the ModRM memory operand. `next_rip` is the RIP behind the instruction.
[[nodiscard]] std::uint64_t operand_address(const Instruction& instruction, const EnvHead& head,
                                            std::uint64_t next_rip);

}  // namespace retrap::unicorn::x86_64
