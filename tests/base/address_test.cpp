// Addresses and ranges.
#include "vmm/base/address.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace retrap {
namespace {

using namespace literals;

static_assert(!std::is_convertible_v<GuestVirt, GuestPhys>, "a translation cannot be forgotten");
static_assert(!std::is_convertible_v<std::uint64_t, GuestPhys>, "a number is not yet an address");
static_assert((0x1000_gpa).checked_add(0xfff) == 0x1fff_gpa);
static_assert(!GuestPhys(~0ull).checked_add(1), "the top byte has no successor");
static_assert(GuestPhys(~0ull).wrapping_add(2) == 1_gpa);
static_assert((0x1fff_gpa).align_down(0x1000) == 0x1000_gpa);

TEST(Address, PrintsTheSpaceItBelongsTo) {
  EXPECT_EQ(fmt::format("{}", 0x0900'0000_gpa), "gpa:0x000009000000");
  EXPECT_EQ(fmt::format("{}", 0x1000_gva), "gva:0x000000001000");
  EXPECT_EQ(fmt::format("{}", 0x1000_hpa), "hpa:0x000000001000");
}

TEST(Address, KnowsItsAlignment) {
  EXPECT_TRUE((0x20'0000_gpa).is_aligned(2_MiB));
  EXPECT_FALSE((0x20'1000_gpa).is_aligned(2_MiB));
}

TEST(GuestRange, ReachesTheLastByteOfTheSpace) {
  const auto top = GuestRange::make(GuestPhys(~0ull - 0xfff), 0x1000);

  ASSERT_TRUE(top);
  EXPECT_EQ(top->last(), GuestPhys(~0ull));
  EXPECT_TRUE(top->contains(GuestPhys(~0ull), 1));
  EXPECT_FALSE(top->contains(GuestPhys(~0ull), 2));
}

TEST(GuestRange, IsNeverEmptyAndNeverWraps) {
  EXPECT_FALSE(GuestRange::make(0x1000_gpa, 0));
  EXPECT_FALSE(GuestRange::make(GuestPhys(~0ull), 2));
  EXPECT_FALSE(GuestRange::make(1_gpa, ~0ull) && GuestRange::make(2_gpa, ~0ull));
}

TEST(GuestRange, ContainsWholeAccessesOnly) {
  const auto range = *GuestRange::make(0x1000_gpa, 0x1000);

  EXPECT_TRUE(range.contains(0x1ffc_gpa, 4));
  EXPECT_FALSE(range.contains(0x1ffd_gpa, 4));
  EXPECT_FALSE(range.contains(0x0fff_gpa, 2));
  EXPECT_FALSE(range.contains(0x1000_gpa, ~0ull));
}

TEST(GuestRange, OverlapsWhereOneByteIsShared) {
  const auto range = *GuestRange::make(0x1000_gpa, 0x1000);

  EXPECT_TRUE(range.overlaps(*GuestRange::make(0x1fff_gpa, 1)));
  EXPECT_FALSE(range.overlaps(*GuestRange::make(0x2000_gpa, 1)));
  EXPECT_TRUE(range.contains(*GuestRange::make(0x1800_gpa, 0x800)));
  EXPECT_FALSE(range.contains(*GuestRange::make(0x1800_gpa, 0x801)));
  EXPECT_EQ(fmt::format("{}", range), "gpa:0x000000001000+0x1000");
}

}  // namespace
}  // namespace retrap
