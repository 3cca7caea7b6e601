// Stage-2 descriptors of VMSAv8-64: what was encoded is what is decoded.
#include <gtest/gtest.h>

#include "arch/aarch64/stage2.h"

namespace retrap::aarch64::test {
namespace {

// R13: what is offered is what the hardware below offers; the format is the one in use (R10).
TEST(Stage2Tables, SayWhatTheyWereTold) {
  const Stage2Format format;
  EXPECT_EQ(format.levels(), 4u);
  EXPECT_EQ(format.address_bits(), 48u);
  EXPECT_EQ(format.root_size(), 4096u);
  using enum MappingFlags;
  for (const MappingFlags flags : {Read, Read | Write, Read | Execute, Read | Write | Execute,
                                   Read | Write | Device, Read | Write | Uncached, Execute, None}) {
    for (const unsigned level : {0u, 1u, 2u}) {
      const auto entry = format.encode_leaf(HostPhys(0x1'4000'0000), level, flags);
      const auto decoded = format.decode(entry, level);
      EXPECT_EQ(decoded.kind, PageTableFormat::Kind::Leaf);
      EXPECT_EQ(decoded.address, HostPhys(0x1'4000'0000));
      EXPECT_EQ(decoded.flags, flags);
    }
  }
}
TEST(Stage2Tables, KnowTablesFromLeaves) {
  const Stage2Format format;
  const auto table = format.encode_table(HostPhys(0x1'0000'5000));
  for (const unsigned level : {1u, 2u, 3u}) {
    EXPECT_EQ(format.decode(table, level).kind, PageTableFormat::Kind::Table);
    EXPECT_EQ(format.decode(table, level).address, HostPhys(0x1'0000'5000));
  }
  EXPECT_EQ(format.decode(0, 0).kind, PageTableFormat::Kind::Invalid);
  EXPECT_EQ(format.decode(1, 0).kind, PageTableFormat::Kind::Invalid) << "reserved at level 3";
  EXPECT_EQ(format.decode(1, 3).kind, PageTableFormat::Kind::Invalid) << "no block at level 0";
}

}  // namespace
}  // namespace retrap::aarch64::test
