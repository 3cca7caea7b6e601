// Results and flags against definitions that do not share the implementation's tricks.
#include "arch/x86_64/alu.h"

#include <gtest/gtest.h>

#include "arch/x86_64/emulate.h"
#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

/// Signed value of a byte.
int as_signed(unsigned byte) {
  return byte < 128 ? static_cast<int>(byte) : static_cast<int>(byte) - 256;
}

std::uint64_t expected_result_flags(unsigned byte) {
  unsigned ones = 0;
  for (unsigned i = 0; i < 8; ++i) ones += byte >> i & 1;
  return (byte == 0 ? flag::kZero : 0) | (byte >= 128 ? flag::kSign : 0) |
         (ones % 2 == 0 ? flag::kParity : 0);
}

TEST(Alu, AddsEveryPairOfBytesWithTheFlagsOfTheManual) {
  for (unsigned carry = 0; carry < 2; ++carry) {
    for (unsigned a = 0; a < 256; ++a) {
      for (unsigned b = 0; b < 256; ++b) {
        const unsigned sum = a + b + carry;
        const int exact = as_signed(a) + as_signed(b) + static_cast<int>(carry);
        const std::uint64_t flags = expected_result_flags(sum & 0xff) |
                                    (sum > 255 ? flag::kCarry : 0) |
                                    ((a & 15) + (b & 15) + carry > 15 ? flag::kAuxiliary : 0) |
                                    (exact < -128 || exact > 127 ? flag::kOverflow : 0);

        const AluResult result = alu(AluOp::Adc, a, b, 1, 0x202 | carry);

        ASSERT_EQ(result.value, sum & 0xff) << a << " + " << b;
        ASSERT_EQ(result.rflags, 0x202 | flags) << a << " + " << b << " + " << carry;
      }
    }
  }
}

TEST(Alu, SubtractsEveryPairOfBytesWithTheFlagsOfTheManual) {
  for (unsigned borrow = 0; borrow < 2; ++borrow) {
    for (unsigned a = 0; a < 256; ++a) {
      for (unsigned b = 0; b < 256; ++b) {
        const unsigned difference = (a - b - borrow) & 0xff;
        const int exact = as_signed(a) - as_signed(b) - static_cast<int>(borrow);
        const std::uint64_t flags = expected_result_flags(difference) |
                                    (a < b + borrow ? flag::kCarry : 0) |
                                    ((a & 15) < (b & 15) + borrow ? flag::kAuxiliary : 0) |
                                    (exact < -128 || exact > 127 ? flag::kOverflow : 0);

        const AluResult result = alu(AluOp::Sbb, a, b, 1, 2 | borrow);

        ASSERT_EQ(result.value, difference) << a << " - " << b;
        ASSERT_EQ(result.rflags, 2 | flags) << a << " - " << b << " - " << borrow;
      }
    }
  }
}

struct Case {
  AluOp op;
  std::uint64_t left, right;
  unsigned bytes;
  std::uint64_t before, value, after;
};

TEST(Alu, DoesWhatEachInstructionPageSays) {
  constexpr std::uint64_t kCf = flag::kCarry, kPf = flag::kParity, kAf = flag::kAuxiliary,
                          kZf = flag::kZero, kSf = flag::kSign, kOf = flag::kOverflow;
  const Case cases[] = {
      {AluOp::Add, 0xffff'ffff, 1, 4, 0, 0, kCf | kPf | kAf | kZf},
      {AluOp::Add, 0x7fff'ffff'ffff'ffff, 1, 8, 0, 0x8000'0000'0000'0000, kPf | kAf | kSf | kOf},
      {AluOp::Sub, 0, 1, 2, 0, 0xffff, kCf | kPf | kAf | kSf},
      {AluOp::Cmp, 5, 5, 8, kCf, 5, kPf | kZf},
      {AluOp::Or, 0xf0, 0x0f, 1, kCf | kOf | kAf, 0xff, kPf | kSf},
      {AluOp::And, 0x1'0000'0001, 1, 4, kCf, 1, 0},
      {AluOp::Xor, 0x1234, 0x1234, 2, kOf, 0, kPf | kZf},
      {AluOp::Test, 0x80, 0x80, 1, kCf, 0x80, kSf},
      {AluOp::Inc, 0xff, 0, 1, kCf, 0, kCf | kPf | kAf | kZf},
      {AluOp::Dec, 0, 0, 4, 0, 0xffff'ffff, kPf | kAf | kSf},
      {AluOp::Not, 0, 0, 2, kCf | kZf, 0xffff, kCf | kZf},
      {AluOp::Neg, 1, 0, 1, 0, 0xff, kCf | kPf | kAf | kSf},
      {AluOp::Neg, 0, 0, 8, kCf, 0, kPf | kZf},
      {AluOp::Bt, 0x10, 4, 4, kZf, 0x10, kCf | kZf},
      {AluOp::Bt, 0x10, 5, 4, kCf, 0x10, 0},
      {AluOp::Bts, 0, 35, 4, 0, 8, 0},
      {AluOp::Btr, 8, 3, 4, 0, 0, kCf},
      {AluOp::Btc, 0, 63, 8, kCf, 0x8000'0000'0000'0000, 0},
  };
  for (const Case& one : cases) {
    const AluResult result = alu(one.op, one.left, one.right, one.bytes, one.before);

    EXPECT_EQ(result.value, one.value) << static_cast<int>(one.op);
    EXPECT_EQ(result.rflags, one.after) << static_cast<int>(one.op);
  }
}

TEST(Conditions, FollowTableA6) {
  // Each condition and its opposite, with flags that make it true.
  const std::uint64_t makes_true[8] = {flag::kOverflow, flag::kCarry,   flag::kZero,
                                       flag::kCarry,    flag::kSign,    flag::kParity,
                                       flag::kSign,     flag::kOverflow};
  for (std::uint8_t pair = 0; pair < 8; ++pair) {
    const auto even = static_cast<std::uint8_t>(2 * pair);
    const auto odd = static_cast<std::uint8_t>(2 * pair + 1);
    EXPECT_TRUE(condition_holds(even, makes_true[pair])) << int{even};
    EXPECT_FALSE(condition_holds(odd, makes_true[pair])) << int{odd};
    EXPECT_FALSE(condition_holds(even, 0)) << int{even};
    EXPECT_TRUE(condition_holds(odd, 0)) << int{odd};
  }
  EXPECT_FALSE(condition_holds(0xc, flag::kSign | flag::kOverflow)) << "less: SF != OF";
}

}  // namespace
}  // namespace retrap::x86_64
