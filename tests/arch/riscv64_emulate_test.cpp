// What the atomic memory operations store.
#include "arch/riscv64/emulate.h"

#include <gtest/gtest.h>

namespace retrap::riscv64 {
namespace {

TEST(AtomicOperation, ComputesAsTheManualSays) {
  EXPECT_EQ(apply(AmoOperation::Swap, Width::Word, 1, 2), 2u);
  EXPECT_EQ(apply(AmoOperation::Add, Width::Word, 0xffff'ffff, 2), 1u);
  EXPECT_EQ(apply(AmoOperation::Add, Width::Double, 0xffff'ffff, 2), 0x1'0000'0001u);
  EXPECT_EQ(apply(AmoOperation::Xor, Width::Word, 0b1100, 0b1010), 0b0110u);
  EXPECT_EQ(apply(AmoOperation::And, Width::Word, 0b1100, 0b1010), 0b1000u);
  EXPECT_EQ(apply(AmoOperation::Or, Width::Word, 0b1100, 0b1010), 0b1110u);
}

TEST(AtomicOperation, ComparesWordsBySignOrWithout) {
  constexpr std::uint64_t kMinusOne = 0xffff'ffff;
  EXPECT_EQ(apply(AmoOperation::Min, Width::Word, kMinusOne, 1), kMinusOne);
  EXPECT_EQ(apply(AmoOperation::Max, Width::Word, kMinusOne, 1), 1u);
  EXPECT_EQ(apply(AmoOperation::MinU, Width::Word, kMinusOne, 1), 1u);
  EXPECT_EQ(apply(AmoOperation::MaxU, Width::Word, kMinusOne, 1), kMinusOne);
  EXPECT_EQ(apply(AmoOperation::Min, Width::Double, kMinusOne, 1), 1u);
}

}  // namespace
}  // namespace retrap::riscv64
