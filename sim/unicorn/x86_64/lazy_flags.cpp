// What the translator knows about the flags at a point of a block.
#include "sim/unicorn/x86_64/lazy_flags.h"

namespace retrap::unicorn::x86_64 {
namespace {

// CCOp of the engine: each has four widths.
constexpr std::uint32_t kSubtract = 14;
constexpr std::uint32_t kAdox = 47;

// Condition codes without their lowest bit, which negates them.
enum Condition : unsigned { kOverflow, kBelow, kZero, kBelowOrEqual, kSign, kParity, kLess };

Condition condition_of(const Instruction& in) {
  return static_cast<Condition>(in.opcode >> 1 & 7);
}

/// What an instruction does to the translator's knowledge of cc_op.
enum class Effect : std::uint8_t { None, Known, Unknown };

Effect effect_of_map_one(const Instruction& in) {
  const std::uint8_t op = in.opcode;
  const unsigned reg = in.reg();
  const bool moves = (op >= 0x50 && op <= 0x5f) || op == 0x63 || op == 0x68 || op == 0x6a ||
                     (op >= 0x86 && op <= 0x99) || op == 0x9b || (op >= 0xa0 && op <= 0xa5) ||
                     (op >= 0xaa && op <= 0xad) || (op >= 0xb0 && op <= 0xbf) ||
                     (op >= 0xc6 && op <= 0xc9) || op == 0xd7 || op == 0xfc || op == 0xfd;
  if (moves) return Effect::None;
  if (op >= 0xd8 && op <= 0xdf) {
    const bool compares = (op == 0xdb || op == 0xdf) && in.mod() == 3 && (reg == 5 || reg == 6);
    return compares ? Effect::Known : Effect::None;
  }
  if ((op & 0xfe) == 0xf6) return reg == 2 || reg >= 6 ? Effect::None : Effect::Known;
  // Shifts by CL may leave the flags alone.
  if ((op & 0xfe) == 0xd2) return (reg & 6) == 2 ? Effect::Known : Effect::Unknown;
  return Effect::Known;
}

Effect effect_of_map_two(const Instruction& in) {
  const std::uint8_t op = in.opcode;
  if ((op & 0xf0) == 0x40 || (op & 0xf0) == 0x90) {  // CMOVcc, SETcc
    return condition_of(in) == kBelow ? Effect::None : Effect::Known;
  }
  if (op == 0xa5 || op == 0xad) return Effect::Unknown;
  const bool compares = op == 0x2e || op == 0x2f;
  const bool moves = (op >= 0x10 && op <= 0x2f && !compares) || (op >= 0x50 && op <= 0x7f) ||
                     op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf || op >= 0xc2;
  return moves && op != 0xc7 ? Effect::None : Effect::Known;
}

Effect effect_of(const Instruction& in) {
  switch (in.map) {
    case OpcodeMap::One: return effect_of_map_one(in);
    case OpcodeMap::Two: return effect_of_map_two(in);
    case OpcodeMap::Three38:
      return in.opcode == 0x17 || in.opcode >= 0xf2 ? Effect::Known : Effect::None;
    case OpcodeMap::Three3a: return in.opcode >= 0x60 ? Effect::Known : Effect::None;
  }
  return Effect::Known;
}

/// A block begins without knowledge.
bool knows_operation(std::span<const std::uint8_t> before, unsigned code_bytes) {
  bool known = false;
  while (!before.empty()) {
    const Instruction in = decode(before, code_bytes);
    if (in.length == 0) break;
    const Effect effect = effect_of(in);
    if (effect != Effect::None) known = effect == Effect::Known;
    before = before.subspan(in.length);
  }
  return known;
}

}  // namespace

bool has_flags_in_source(const Instruction& setcc, std::uint32_t cc_op,
                         std::span<const std::uint8_t> before, unsigned code_bytes) {
  const bool known = knows_operation(before, code_bytes);
  switch (condition_of(setcc)) {
    case kBelow:    return false;
    case kParity:   return true;
    case kOverflow: return !known || cc_op < kAdox;
    case kZero:
    case kSign:     return !known;
    default:        return !known || cc_op - kSubtract >= 4;
  }
}

}  // namespace retrap::unicorn::x86_64
