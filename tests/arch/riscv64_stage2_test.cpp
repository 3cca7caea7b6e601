// G-stage entries, and the walk through both stages.
#include "arch/riscv64/stage2.h"

#include <gtest/gtest.h>

#include <map>

#include "arch/riscv64/translation.h"

namespace retrap::riscv64 {
namespace {

using Kind = PageTableFormat::Kind;

constexpr MappingFlags kAll = MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;

TEST(GStage, HasTheGeometryOfSv39x4) {
  EXPECT_EQ(sv39x4().levels(), 3u);
  EXPECT_EQ(sv39x4().address_bits(), 41u);
  EXPECT_EQ(sv39x4().root_size(), 16384u);
  EXPECT_EQ(hgatp(sv39x4(), HostPhys(0x1'0000'4000)), 8ull << 60 | 0x10'0004);
}

TEST(GStage, HasTheGeometryOfSv48x4) {
  EXPECT_EQ(sv48x4().levels(), 4u);
  EXPECT_EQ(sv48x4().address_bits(), 50u);
  EXPECT_EQ(hgatp(sv48x4(), HostPhys(0x4000)) >> 60, 9u);
}

TEST(GStage, TakesElevenBitsOfIndexAtTheRoot) {
  EXPECT_EQ(g_stage_index(0x1ff'ffff'ffff, 2, 3), 0x7ffu);
  EXPECT_EQ(g_stage_index(0x1ff'ffff'ffff, 1, 3), 0x1ffu);
}

TEST(GStage, WritesAUserLeafThatNeedsNoUpdate) {
  const std::uint64_t entry = sv39x4().encode_leaf(HostPhys(0x1'2345'6000), 0, kAll);

  EXPECT_EQ(entry, 0x12'3456ull << 10 | 0xdf);
}

TEST(GStage, ReadsItsOwnLeavesBack) {
  for (const MappingFlags flags : {MappingFlags::Read, kAll, MappingFlags::Execute,
                                   MappingFlags::Read | MappingFlags::Write}) {
    const auto back = sv39x4().decode(sv39x4().encode_leaf(HostPhys(0x4000'0000), 2, flags), 2);
    EXPECT_EQ(back.kind, Kind::Leaf);
    EXPECT_EQ(back.address, HostPhys(0x4000'0000));
    EXPECT_EQ(back.flags, flags);
  }
}

TEST(GStage, ReadsItsOwnTablesBack) {
  const auto back = sv39x4().decode(sv39x4().encode_table(HostPhys(0x5000)), 1);

  EXPECT_EQ(back.kind, Kind::Table);
  EXPECT_EQ(back.address, HostPhys(0x5000));
}

TEST(GStage, CannotSayThatMemoryMayOnlyBeWritten) {
  EXPECT_EQ(sv39x4().encode_leaf(HostPhys(0x5000), 0, MappingFlags::Write), 0u);
}

TEST(GStage, RefusesReservedEntries) {
  const std::uint64_t leaf = sv39x4().encode_leaf(HostPhys(0x20'0000), 0, kAll);
  EXPECT_EQ(sv39x4().decode(0, 0).kind, Kind::Invalid);
  EXPECT_EQ(sv39x4().decode(leaf & ~pte::kR, 0).kind, Kind::Invalid) << "W without R";
  EXPECT_EQ(sv39x4().decode(leaf | bit(61), 0).kind, Kind::Invalid) << "PBMT";
  EXPECT_EQ(sv39x4().decode(leaf & ~pte::kU, 0).kind, Kind::Invalid) << "not a user page";
  EXPECT_EQ(sv39x4().decode(sv39x4().encode_table(HostPhys(0x5000)), 0).kind, Kind::Invalid)
      << "a table below the last level";
  EXPECT_EQ(sv39x4().decode(sv39x4().encode_leaf(HostPhys(0x1000), 1, kAll), 1).kind, Kind::Invalid)
      << "a misaligned large page";
}

/// Page tables by address; some cannot be read or written, as stage 2 may have it.
struct Tables {
  std::map<std::uint64_t, std::uint64_t> entries;
  std::uint64_t unreadable = ~std::uint64_t{0};
  std::uint64_t unwritable = ~std::uint64_t{0};

  bool read(std::uint64_t gpa, std::uint64_t& entry) {
    if (gpa == unreadable) return false;
    entry = entries.contains(gpa) ? entries[gpa] : 0;
    return true;
  }
  bool update(std::uint64_t gpa, std::uint64_t entry) {
    if (gpa == unwritable) return false;
    entries[gpa] = entry;
    return true;
  }
};

constexpr std::uint64_t entry_of(std::uint64_t address, std::uint64_t bits) {
  return address >> 12 << 10 | bits;
}

/// Sv39 with the root at 0x1000: one 4 KiB page at 0x4000'0000, a gigapage at 0x8000'0000.
class VsStage : public ::testing::Test {
 public:
  VsStage() {
    tables_.entries[0x1000 + 8] = entry_of(0x2000, pte::kV);
    tables_.entries[0x2000] = entry_of(0x3000, pte::kV);
    set_leaf(pte::kV | pte::kR | pte::kW | pte::kX | pte::kA | pte::kD);
    tables_.entries[0x1000 + 16] =
        entry_of(0xc000'0000, pte::kV | pte::kR | pte::kX | pte::kA | pte::kU);
  }

  void set_leaf(std::uint64_t bits) { tables_.entries[0x3000] = entry_of(0x9000, bits); }

  VsWalk walk(std::uint64_t va, AccessKind access = AccessKind::Load) {
    return walk_vs_stage(context_, va, access, tables_);
  }

  VsContext context_{
      .satp = 8ull << 60 | 1, .privilege = Privilege::Supervisor, .sum = false, .mxr = false};
  Tables tables_;
};

TEST_F(VsStage, IsTheIdentityInBareMode) {
  context_.satp = 0;

  EXPECT_EQ(walk(0x1234'5678).gpa, 0x1234'5678u);
}

TEST_F(VsStage, FindsAPageOnTheLastLevel) {
  const VsWalk walked = walk(0x4000'0123);

  EXPECT_EQ(walked.kind, VsWalk::Kind::Ok);
  EXPECT_EQ(walked.gpa, 0x9123u);
  EXPECT_EQ(walked.rights, kMayRead | kMayWrite | kMayExecute);
  EXPECT_EQ(walked.shift, 12u);
}

TEST_F(VsStage, FindsAGigapage) {
  context_.privilege = Privilege::User;

  const VsWalk walked = walk(0x8123'4567);

  EXPECT_EQ(walked.gpa, 0xc123'4567u);
  EXPECT_EQ(walked.shift, 30u);
}

TEST_F(VsStage, KnowsSv48) {
  context_.satp = 9ull << 60 | 0x10;
  tables_.entries[0x10000 + 8] = entry_of(0x1000, pte::kV);  // 512 GiB on

  EXPECT_EQ(walk((1ull << 39) + 0x4000'0010).gpa, 0x9010u);
  EXPECT_EQ(walk(1ull << 47).kind, VsWalk::Kind::PageFault) << "not canonical";
}

TEST_F(VsStage, FaultsWhereTheAddressIsNotCanonical) {
  EXPECT_EQ(walk(0x40'0000'0000).kind, VsWalk::Kind::PageFault);
}

TEST_F(VsStage, FaultsWhereTheEntryIsNotValid) {
  EXPECT_EQ(walk(0x4000'1000).kind, VsWalk::Kind::PageFault);
}

TEST_F(VsStage, FaultsOnReservedEntries) {
  for (const std::uint64_t bits :
       {pte::kV | pte::kW | pte::kA, pte::kV | pte::kR | pte::kA | bit(54),
        pte::kV | pte::kR | pte::kA | bit(61), pte::kV | pte::kR | pte::kA | bit(63)}) {
    set_leaf(bits);
    EXPECT_EQ(walk(0x4000'0000).kind, VsWalk::Kind::PageFault) << std::hex << bits;
  }
  tables_.entries[0x1000 + 8] = entry_of(0x2000, pte::kV | pte::kA);
  EXPECT_EQ(walk(0x4000'0000).kind, VsWalk::Kind::PageFault) << "A in a pointer";
}

TEST_F(VsStage, FaultsOnAMisalignedLargePage) {
  tables_.entries[0x1000 + 16] = entry_of(0xc000'1000, pte::kV | pte::kR | pte::kA);

  EXPECT_EQ(walk(0x8000'0000).kind, VsWalk::Kind::PageFault);
}

TEST_F(VsStage, FaultsWhereTheLastLevelHoldsAPointer) {
  set_leaf(pte::kV);

  EXPECT_EQ(walk(0x4000'0000).kind, VsWalk::Kind::PageFault);
}

TEST_F(VsStage, KeepsTheSupervisorOffUserPagesWithoutSum) {
  EXPECT_EQ(walk(0x8000'0000).kind, VsWalk::Kind::PageFault);

  context_.sum = true;
  EXPECT_EQ(walk(0x8000'0000).kind, VsWalk::Kind::Ok);
  EXPECT_EQ(walk(0x8000'0000, AccessKind::Fetch).kind, VsWalk::Kind::PageFault)
      << "SUM is not for fetches";
}

TEST_F(VsStage, KeepsTheUserOffSupervisorPages) {
  context_.privilege = Privilege::User;

  EXPECT_EQ(walk(0x4000'0000).kind, VsWalk::Kind::PageFault);
}

TEST_F(VsStage, LetsLoadsReadWhatIsExecutableWithMxr) {
  set_leaf(pte::kV | pte::kX | pte::kA);
  EXPECT_EQ(walk(0x4000'0000).kind, VsWalk::Kind::PageFault);

  context_.mxr = true;
  EXPECT_EQ(walk(0x4000'0000).kind, VsWalk::Kind::Ok);
}

TEST_F(VsStage, SetsTheAccessedBitOnALoad) {
  set_leaf(pte::kV | pte::kR | pte::kW);

  const VsWalk walked = walk(0x4000'0000);

  EXPECT_EQ(tables_.entries[0x3000], entry_of(0x9000, pte::kV | pte::kR | pte::kW | pte::kA));
  EXPECT_EQ(walked.rights, kMayRead) << "the first store must come here again, for D";
}

TEST_F(VsStage, SetsTheDirtyBitOnAStore) {
  set_leaf(pte::kV | pte::kR | pte::kW);

  EXPECT_EQ(walk(0x4000'0000, AccessKind::Store).rights, kMayRead | kMayWrite);
  EXPECT_EQ(tables_.entries[0x3000] & pte::kD, pte::kD);
}

TEST_F(VsStage, SaysWhichTableStageTwoRefusesToRead) {
  tables_.unreadable = 0x2000;

  const VsWalk walked = walk(0x4000'0000);

  EXPECT_EQ(walked.kind, VsWalk::Kind::ImplicitRead);
  EXPECT_EQ(walked.gpa, 0x2000u);
}

TEST_F(VsStage, SaysWhichTableStageTwoRefusesToWrite) {
  set_leaf(pte::kV | pte::kR);
  tables_.unwritable = 0x3000;

  EXPECT_EQ(walk(0x4000'0000).kind, VsWalk::Kind::ImplicitWrite);
  EXPECT_EQ(walk(0x4000'0000).gpa, 0x3000u);
}

TEST(GStageWalk, RefusesAddressesBeyondItsWidth) {
  const auto load = [](std::uint64_t, std::uint64_t&) { return true; };

  EXPECT_FALSE(walk_g_stage(0, 3, 1ull << 41, load).valid);
  EXPECT_FALSE(walk_g_stage(0, 4, 1ull << 50, load).valid);
}

TEST(GStageWalk, FindsALargePageThroughTheWideRoot) {
  std::map<std::uint64_t, std::uint64_t> tables;
  tables[0x4000 + 0x600 * 8] = entry_of(0x8000, pte::kV);
  tables[0x8000 + 8] = entry_of(0x4020'0000, 0xdf);
  const auto load = [&](std::uint64_t at, std::uint64_t& entry) {
    entry = tables.contains(at) ? tables[at] : 0;
    return true;
  };

  const GStageLeaf leaf = walk_g_stage(0x4000, 3, (0x600ull << 30) + 0x20'1234, load);

  EXPECT_TRUE(leaf.valid);
  EXPECT_EQ(leaf.hpa, 0x4020'1234u);
  EXPECT_EQ(leaf.shift, 21u);
  EXPECT_FALSE(walk_g_stage(0x4000, 3, 0x5000, load).valid);
}

TEST(GStageWalk, GrantsNothingWithoutUserAndAccessed) {
  for (const std::uint64_t bits : {0xcfull, 0x9full, 0x5full & ~pte::kR}) {
    const auto load = [&](std::uint64_t, std::uint64_t& entry) {
      entry = entry_of(0, bits);
      return true;
    };
    EXPECT_FALSE(walk_g_stage(0, 3, 0, load).valid) << std::hex << bits;
  }
}

TEST(GStageWalk, GrantsNoWriteWithoutDirty) {
  const auto load = [](std::uint64_t, std::uint64_t& entry) {
    entry = entry_of(0, 0x5f);
    return true;
  };

  EXPECT_EQ(walk_g_stage(0, 3, 0, load).rights, kMayRead | kMayExecute);
}

TEST(GStageWalk, StopsWhereThereIsNoMemory) {
  const auto load = [](std::uint64_t, std::uint64_t&) { return false; };

  EXPECT_FALSE(walk_g_stage(0, 3, 0, load).valid);
}

TEST(Causes, HaveTheManualsNames) {
  EXPECT_EQ(cause_name(22), "virtual instruction");
  EXPECT_EQ(cause_name(23), "store/AMO guest-page fault");
  EXPECT_EQ(cause_name(14), "reserved");
}

TEST(Causes, FollowTheAccess) {
  EXPECT_EQ(page_fault(AccessKind::Fetch), Cause::InstructionPageFault);
  EXPECT_EQ(page_fault(AccessKind::Store), Cause::StorePageFault);
  EXPECT_EQ(guest_page_fault(AccessKind::Load), Cause::LoadGuestPageFault);
  EXPECT_EQ(guest_page_fault(AccessKind::Fetch), Cause::InstructionGuestPageFault);
  EXPECT_EQ(guest_page_fault(AccessKind::Store), Cause::StoreGuestPageFault);
  EXPECT_EQ(access_fault(AccessKind::Fetch), Cause::InstructionAccessFault);
}

}  // namespace
}  // namespace retrap::riscv64
