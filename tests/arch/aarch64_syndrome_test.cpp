// What the syndrome of a data abort says about the access, and what it does not.
#include <gtest/gtest.h>

#include "arch/aarch64/emulate.h"
#include "tests/arch/aarch64_fake.h"

namespace retrap::aarch64::test {
namespace {

constexpr std::uint64_t kDevice = 0x0900'0000;

TEST(ASyndrome, DescribesTheAccess) {
  const auto access =
      access_of(trap_of(ExceptionClass::DataAbortLower,
                        abort_iss::kIsv | 1u << abort_iss::kSasShift | abort_iss::kSse |
                            5u << abort_iss::kSrtShift | abort_iss::kSf | 7,
                        0xffff'0000'0000'0124, kDevice));
  ASSERT_TRUE(access.has_value());
  EXPECT_EQ(access->at, GuestPhys(kDevice + 0x124));
  EXPECT_EQ(access->width, Width::Half);
  EXPECT_EQ(access->rt, 5u);
  EXPECT_TRUE(access->sign_extend);
  EXPECT_EQ(access->register_width, Width::Double);
}
// R1: ISV = 0 has no description; what it would say is not to be believed.
TEST(ASyndrome, WithoutIsvDescribesNothing) {
  EXPECT_FALSE(access_of(trap_of(ExceptionClass::DataAbortLower, 7, 0, kDevice)).has_value());
}
TEST(ASyndrome, OfAnAccessThatLeavesItsPageDescribesNothing) {
  const auto exit = trap_of(ExceptionClass::DataAbortLower,
                            abort_iss::kIsv | 3u << abort_iss::kSasShift, 0xffc, kDevice);
  EXPECT_FALSE(access_of(exit).has_value());
}

}  // namespace
}  // namespace retrap::aarch64::test
