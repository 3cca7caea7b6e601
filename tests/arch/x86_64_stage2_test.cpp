// Nested page-table entries, bit for bit.
#include "arch/x86_64/stage2.h"

#include <gtest/gtest.h>

namespace retrap::x86_64 {
namespace {

using Kind = PageTableFormat::Kind;
constexpr auto kAll = MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;

TEST(NestedPageTable, HasFourLevelsOfFortyEightBits) {
  const NestedPageTableFormat format;

  EXPECT_EQ(format.levels(), 4u);
  EXPECT_EQ(format.address_bits(), 48u);
  EXPECT_EQ(format.root_size(), 4096u);
}

TEST(NestedPageTable, WritesAPageEntryAsTheManualHasIt) {
  const NestedPageTableFormat format;

  EXPECT_EQ(format.encode_leaf(HostPhys(0x1'2345'6000), 0, kAll), 0x1'2345'6067u);
  EXPECT_EQ(format.encode_leaf(HostPhys(0x1'2340'0000), 1, kAll), 0x1'2340'00e7u);
  EXPECT_EQ(format.encode_leaf(HostPhys(0x1'4000'0000), 2, MappingFlags::Read),
            0x8000'0001'4000'00e5u);
  EXPECT_EQ(format.encode_table(HostPhys(0x1'0000'2000)), 0x1'0000'2027u);
}

TEST(NestedPageTable, RoundTripsEveryCombinationOfFlagsAtEveryLevel) {
  const NestedPageTableFormat format;
  for (unsigned level = 0; level <= 2; ++level) {
    for (std::uint32_t raw = 0; raw < 8; ++raw) {
      for (const auto kind : {MappingFlags::None, MappingFlags::Device, MappingFlags::Uncached}) {
        const auto flags = MappingFlags(raw) | MappingFlags::Read | kind;
        const HostPhys page(0x1'4000'0000);

        const auto entry = format.decode(format.encode_leaf(page, level, flags), level);

        EXPECT_EQ(entry.kind, Kind::Leaf);
        EXPECT_EQ(entry.address, page);
        EXPECT_EQ(entry.flags, flags) << raw;
      }
    }
  }
}

TEST(NestedPageTable, CannotMapWhatMayNotBeRead) {
  const NestedPageTableFormat format;

  EXPECT_EQ(format.encode_leaf(HostPhys(0x1000), 0, MappingFlags::Write), 0u);
}

TEST(NestedPageTable, DecodesTables) {
  const NestedPageTableFormat format;
  for (unsigned level = 1; level <= 3; ++level) {
    const auto entry = format.decode(format.encode_table(HostPhys(0x1'0000'3000)), level);

    EXPECT_EQ(entry.kind, Kind::Table);
    EXPECT_EQ(entry.address, HostPhys(0x1'0000'3000));
  }
}

TEST(NestedPageTable, RefusesWhatHardwareRefuses) {
  const NestedPageTableFormat format;
  const std::uint64_t leaf = format.encode_leaf(HostPhys(0x1'4000'0000), 1, kAll);

  EXPECT_EQ(format.decode(0, 0).kind, Kind::Invalid);
  EXPECT_EQ(format.decode(leaf & ~npt::kPresent, 1).kind, Kind::Invalid);
  EXPECT_EQ(format.decode(leaf & ~npt::kUser, 1).kind, Kind::Invalid);
  EXPECT_EQ(format.decode(leaf, 3).kind, Kind::Invalid) << "PS is reserved in a PML4E";
  EXPECT_EQ(format.decode(leaf | 0x2000, 1).kind, Kind::Invalid) << "unaligned large page";
  EXPECT_EQ(format.decode(leaf | 0x1000, 1).kind, Kind::Leaf) << "bit 12 is PAT";
}

}  // namespace
}  // namespace retrap::x86_64
