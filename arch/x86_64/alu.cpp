// Results and flags of the operations.
#include "arch/x86_64/alu.h"

#include <bit>

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint64_t when(bool condition, std::uint64_t flag) {
  return condition ? flag : 0;
}

/// ZF, SF and PF of a result.
std::uint64_t result_flags(std::uint64_t value, unsigned width) {
  return when(value == 0, flag::kZero) | when(has_bit(value, width - 1), flag::kSign) |
         when(std::popcount(value & 0xff) % 2 == 0, flag::kParity);
}

AluResult add(std::uint64_t left, std::uint64_t right, bool carry, unsigned width,
              std::uint64_t rflags) {
  const std::uint64_t sum = (left + right + (carry ? 1 : 0)) & low_bits(width);
  // The carry out of each bit, from the two inputs and the sum.
  const std::uint64_t carries = (left & right) | ((left | right) & ~sum);
  const std::uint64_t flags =
      result_flags(sum, width) | when(has_bit(carries, width - 1), flag::kCarry) |
      when(has_bit(carries, 3), flag::kAuxiliary) |
      when(has_bit((left ^ sum) & (right ^ sum), width - 1), flag::kOverflow);
  return {sum, (rflags & ~flag::kArithmetic) | flags};
}

AluResult subtract(std::uint64_t left, std::uint64_t right, bool borrow, unsigned width,
                   std::uint64_t rflags) {
  const std::uint64_t difference = (left - right - (borrow ? 1 : 0)) & low_bits(width);
  const std::uint64_t borrows = (~left & right) | ((~left | right) & difference);
  const std::uint64_t flags =
      result_flags(difference, width) | when(has_bit(borrows, width - 1), flag::kCarry) |
      when(has_bit(borrows, 3), flag::kAuxiliary) |
      when(has_bit((left ^ right) & (left ^ difference), width - 1), flag::kOverflow);
  return {difference, (rflags & ~flag::kArithmetic) | flags};
}

AluResult logic(std::uint64_t value, unsigned width, std::uint64_t rflags) {
  return {value, (rflags & ~flag::kArithmetic) | result_flags(value, width)};
}

/// INC and DEC leave CF alone.
AluResult keep_carry(AluResult result, std::uint64_t rflags) {
  result.rflags = (result.rflags & ~flag::kCarry) | (rflags & flag::kCarry);
  return result;
}

std::uint64_t with_carry(std::uint64_t rflags, bool carry) {
  return (rflags & ~flag::kCarry) | when(carry, flag::kCarry);
}

}  // namespace

AluResult alu(AluOp op, std::uint64_t left, std::uint64_t right, unsigned bytes,
              std::uint64_t rflags) {
  const unsigned width = bytes * 8;
  left &= low_bits(width);
  right &= low_bits(width);
  const bool carry = (rflags & flag::kCarry) != 0;
  const auto index = static_cast<unsigned>(right % width);
  const std::uint64_t bit_flags = with_carry(rflags, has_bit(left, index));
  switch (op) {
    case AluOp::Add:  return add(left, right, false, width, rflags);
    case AluOp::Or:   return logic(left | right, width, rflags);
    case AluOp::Adc:  return add(left, right, carry, width, rflags);
    case AluOp::Sbb:  return subtract(left, right, carry, width, rflags);
    case AluOp::And:  return logic(left & right, width, rflags);
    case AluOp::Sub:  return subtract(left, right, false, width, rflags);
    case AluOp::Xor:  return logic(left ^ right, width, rflags);
    case AluOp::Cmp:  return {left, subtract(left, right, false, width, rflags).rflags};
    case AluOp::Test: return {left, logic(left & right, width, rflags).rflags};
    case AluOp::Inc:  return keep_carry(add(left, 1, false, width, rflags), rflags);
    case AluOp::Dec:  return keep_carry(subtract(left, 1, false, width, rflags), rflags);
    case AluOp::Not:  return {~left & low_bits(width), rflags};
    case AluOp::Neg:  return subtract(0, left, false, width, rflags);
    case AluOp::Bt:   return {left, bit_flags};
    case AluOp::Bts:  return {left | bit(index), bit_flags};
    case AluOp::Btr:  return {left & ~bit(index), bit_flags};
    case AluOp::Btc:  return {left ^ bit(index), bit_flags};
  }
  return {left, rflags};
}

}  // namespace retrap::x86_64
