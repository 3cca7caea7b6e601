// Guests made of random bytes: a sample of what hostile_runs does at length.
#include <gtest/gtest.h>

#include "tests/hostile/campaign.h"
#include "tests/hostile/watch.h"
#include "tests/support/sim/archs.h"

namespace retrap::hostile {
namespace {

constexpr std::uint64_t kRuns = 300;

class AHostileGuest : public ::testing::TestWithParam<ArchId> {};

TEST_P(AHostileGuest, HarmsNothingAndIsReproducible) {
  const Totals totals =
      run_campaign({.arch = GetParam(), .runs = kRuns, .repeat_every = 1, .seconds_for_one = 60});

  EXPECT_EQ(totals.findings, 0u);
  EXPECT_EQ(totals.runs, kRuns);
  EXPECT_EQ(totals.repeated, kRuns);
  // Most of them get somewhere.
  EXPECT_GT(totals.instructions, kRuns * 100);
}

INSTANTIATE_TEST_SUITE_P(All, AHostileGuest, ::testing::ValuesIn(test::available_archs()),
                         test::arch_name);

// A block that begins in one page and ends in the next stores into the latter through an alias: its
// translation went, came again and went, for ever.
TEST(AHostilePc, StoresIntoTheSecondPageOfItsOwnBlockThroughAnAlias) {
  constexpr std::uint64_t kSeed = 917048;
  const Totals totals =
      run_campaign({.arch = ArchId::X86_64, .runs = 1, .seed = kSeed, .slice = 1});

  EXPECT_EQ(totals.findings, 0u);
  EXPECT_EQ(totals.repeated, 1u);
}

/// A host of 16 pages, of which vm 1 has the first two and vm 2 the next.
struct WatchedHost {
  std::unique_ptr<Machine> machine = std::move(*Machine::create({.memory_bytes = 16 * kPageSize}));
  Frames& frames = machine->frames();
  HostPhys ram = *frames.allocate(kPageSize, kPageSize, {VmId{1}, FrameUse::GuestRam});
  HostPhys table = *frames.allocate(kPageSize, kPageSize, {VmId{1}, FrameUse::PageTable});
  HostPhys foreign = *frames.allocate(kPageSize, kPageSize, {VmId{2}, FrameUse::GuestRam});

  void touch(HostPhys at) const {
    HostMemory& memory = frames.memory();
    auto* const byte = memory.data() + at.offset_from(memory.base());
    *static_cast<volatile std::byte*>(byte) = std::byte{1};
  }
};

TEST(AWatch, FindsNothingWhereAGuestWritesToItsOwnMemory) {
  const WatchedHost host;
  const Watch watch(host.frames, VmId{1}, false);

  host.touch(host.ram);

  EXPECT_EQ(watch.finding(), "");
}

TEST(AWatch, FindsAWriteToAFrameThatNobodyOwns) {
  const WatchedHost host;
  const Watch watch(host.frames, VmId{1}, false);

  host.touch(host.frames.memory().base().wrapping_add(9 * kPageSize + 5));

  EXPECT_EQ(watch.finding(), "the host's page 0x100009000 was touched, and nobody owns it");
}

TEST(AWatch, FindsAReadOfAFrameThatNobodyOwns) {
  const WatchedHost host;
  const Watch watch(host.frames, VmId{1}, false);

  const volatile std::byte* const byte = host.frames.memory().data() + 15 * kPageSize;
  (void)*byte;

  EXPECT_EQ(watch.finding(), "the host's page 0x10000f000 was touched, and nobody owns it");
}

TEST(AWatch, FindsAWriteToAStageTwoTableOrToAnotherGuest) {
  const WatchedHost host;
  for (const HostPhys page : {host.table, host.foreign}) {
    const Watch watch(host.frames, VmId{1}, false);

    host.touch(page.wrapping_add(8));

    EXPECT_NE(watch.finding().find("it is not the guest's"), std::string::npos);
    host.frames.memory().zero(page, kPageSize);
  }
}

}  // namespace
}  // namespace retrap::hostile
