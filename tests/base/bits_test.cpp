// Fields, alignment, widths and little-endian words.
#include "vmm/base/bits.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>

#include "vmm/base/bytes.h"
#include "vmm/base/width.h"

namespace retrap {
namespace {

static_assert(low_bits(0) == 0 && low_bits(64) == ~0ull);
static_assert(extract(0xabcd'ef01, 15, 8) == 0xef);
static_assert(extract(~0ull, 63, 0) == ~0ull);
static_assert(insert(0xffff, 7, 4, 0x123) == 0xff3f, "what does not fit is dropped");
static_assert(insert(0, 63, 0, ~0ull) == ~0ull);
static_assert(sign_extend(0x80, 8) == 0xffff'ffff'ffff'ff80);
static_assert(sign_extend(0x17f, 8) == 0x7f);
static_assert(sign_extend(~0ull, 64) == ~0ull);
static_assert(is_power_of_two(1) && !is_power_of_two(0) && !is_power_of_two(6));
static_assert(align_down(0x1fff, 0x1000) == 0x1000 && align_up(0x1001, 0x1000) == 0x2000);
static_assert(checked_align_up(~0ull - 0xfff, 0x1000) == ~0ull - 0xfff);
static_assert(!checked_align_up(~0ull - 0xffe, 0x1000));
static_assert(checked_add(1, 2) == 3 && !checked_add(~0ull, 1));
static_assert(has_bit(bit(63), 63) && !has_bit(bit(63), 62));
static_assert(all_ones(Width::Byte) == 0xff && all_ones(Width::Double) == ~0ull);
static_assert(truncate(0x1234'5678, Width::Half) == 0x5678);
static_assert(width_of(8) == Width::Double && !width_of(3) && !width_of(0));

TEST(Width, IsCalledByAxvmsNames) {
  EXPECT_EQ(axvm_name(Width::Byte), "Byte");
  EXPECT_EQ(axvm_name(Width::Half), "Word");
  EXPECT_EQ(axvm_name(Width::Word), "Dword");
  EXPECT_EQ(axvm_name(Width::Double), "Qword");
}

TEST(Bytes, AreLittleEndianOnEveryHost) {
  std::array<std::byte, 8> buffer{};

  EXPECT_TRUE(store_le<std::uint32_t>(buffer, 2, 0x1234'5678));

  EXPECT_EQ(buffer[2], std::byte{0x78});
  EXPECT_EQ(buffer[5], std::byte{0x12});
  EXPECT_EQ(load_le<std::uint32_t>(buffer, 2), 0x1234'5678u);
  EXPECT_EQ(load_le<std::uint16_t>(buffer, 1), 0x7800u);
}

TEST(Bytes, OfEveryWidthComeBack) {
  for (const Width width : {Width::Byte, Width::Half, Width::Word, Width::Double}) {
    std::array<std::byte, 10> buffer{};

    EXPECT_TRUE(store_le(buffer, 1, width, 0x8877'6655'4433'2211));

    EXPECT_EQ(load_le(buffer, 1, width), truncate(0x8877'6655'4433'2211, width));
    EXPECT_EQ(buffer[1 + bytes(width)], std::byte{0});
  }
}

TEST(Bytes, BeyondTheEndAreRefused) {
  std::array<std::byte, 4> buffer{};

  EXPECT_FALSE(load_le<std::uint32_t>(buffer, 1));
  EXPECT_FALSE(load_le<std::uint8_t>(buffer, ~0ull));
  EXPECT_FALSE(store_le<std::uint64_t>(buffer, 0, 1));
  EXPECT_FALSE(load_le(buffer, 3, Width::Half));
  EXPECT_FALSE(load_le(buffer, ~0ull, Width::Byte));
  EXPECT_FALSE(store_le(buffer, 4, Width::Byte, 1));
  EXPECT_EQ(buffer, (std::array<std::byte, 4>{}));
}

}  // namespace
}  // namespace retrap
