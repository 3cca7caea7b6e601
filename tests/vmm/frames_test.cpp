// The ledger of frames, in every order of giving back.
#include "vmm/frames.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tests/support/matchers.h"
#include "vmm/base/prng.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::Succeeds;
using test::SucceedsWith;

constexpr FrameOwner kRam{.vm = VmId{1}, .use = FrameUse::GuestRam};
constexpr FrameOwner kTable{.vm = VmId{1}, .use = FrameUse::PageTable};
constexpr FrameOwner kOther{.vm = VmId{2}, .use = FrameUse::GuestRam};
constexpr FrameOwner kShared{.vm = VmId{2}, .use = FrameUse::Shared};

class AHostOfSixteenFrames : public ::testing::Test {
 public:
  static constexpr std::uint64_t kSize = 16 * kPageSize;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kSize);
  HostMemory memory_{0x8000'0000_hpa, bytes_};
  Frames frames_{memory_};
};

TEST_F(AHostOfSixteenFrames, TakesTheLowestPlaceThatFits) {
  EXPECT_THAT(frames_.allocate(1, kPageSize, kRam), SucceedsWith(0x8000'0000_hpa));
  EXPECT_THAT(frames_.allocate(2 * kPageSize, 4 * kPageSize, kRam), SucceedsWith(0x8000'4000_hpa));
  EXPECT_THAT(frames_.allocate(3 * kPageSize, kPageSize, kRam), SucceedsWith(0x8000'1000_hpa));
  EXPECT_EQ(frames_.bytes_of(VmId{1}), 6 * kPageSize);
  EXPECT_EQ(frames_.bytes_free(), kSize - 6 * kPageSize);
}

TEST_F(AHostOfSixteenFrames, RefusesWhatIsNoRun) {
  EXPECT_THAT(frames_.allocate(0, kPageSize, kRam), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(frames_.allocate(~std::uint64_t{0}, kPageSize, kRam),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(frames_.allocate(1, 2048, kRam), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(frames_.allocate(1, 3 * kPageSize, kRam), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(frames_.allocate(kSize + 1, kPageSize, kRam), FailsWith(ErrorCode::NoMemory));
  EXPECT_THAT(frames_.allocate(1, std::uint64_t{1} << 40, kRam), FailsWith(ErrorCode::NoMemory));
  EXPECT_EQ(frames_.bytes_free(), kSize);
}

TEST_F(AHostOfSixteenFrames, NamesTheOwnerInTheWay) {
  ASSERT_THAT(frames_.allocate_at(0x8000'2000_hpa, kPageSize, kTable), Succeeds());

  EXPECT_THAT(frames_.allocate_at(0x8000'0000_hpa, 4 * kPageSize, kOther),
              FailsSaying(ErrorCode::AlreadyExists, "vm 1 (page table)"));
  EXPECT_EQ(frames_.bytes_of(VmId{2}), 0u);
}

TEST_F(AHostOfSixteenFrames, RefusesPlacesThatAreNotThere) {
  EXPECT_THAT(frames_.allocate_at(0x8000'0800_hpa, kPageSize, kRam),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(frames_.allocate_at(0x7fff'f000_hpa, 2 * kPageSize, kRam),
              FailsWith(ErrorCode::NoMemory));
  EXPECT_THAT(frames_.allocate_at(0x8000'0000_hpa, kSize + kPageSize, kRam),
              FailsWith(ErrorCode::NoMemory));
}

TEST_F(AHostOfSixteenFrames, FreesASharedRunWithItsLastReference) {
  const HostPhys run = *frames_.allocate(kPageSize, kPageSize, kShared);
  ASSERT_THAT(frames_.share(run), Succeeds());

  EXPECT_THAT(frames_.free(run), Succeeds());
  EXPECT_TRUE(frames_.owns(VmId{2}, run, kPageSize));
  EXPECT_THAT(frames_.free(run), Succeeds());
  EXPECT_FALSE(frames_.owns(VmId{2}, run, kPageSize));
  EXPECT_THAT(frames_.free(run), FailsWith(ErrorCode::NotFound));
  EXPECT_THAT(frames_.share(run), FailsWith(ErrorCode::NotFound));
}

TEST_F(AHostOfSixteenFrames, OwnsARangeOverSeveralRuns) {
  const HostPhys first = *frames_.allocate(2 * kPageSize, kPageSize, kRam);
  ASSERT_THAT(frames_.allocate(2 * kPageSize, kPageSize, kTable), Succeeds());
  ASSERT_THAT(frames_.allocate(kPageSize, kPageSize, kOther), Succeeds());

  EXPECT_TRUE(frames_.owns(VmId{1}, first.wrapping_add(100), 4 * kPageSize - 100));
  EXPECT_FALSE(frames_.owns(VmId{1}, first, 4 * kPageSize + 1));
  EXPECT_FALSE(frames_.owns(VmId{1}, first, ~std::uint64_t{0}));
  EXPECT_EQ(frames_.owner_of(first.wrapping_add(0x4000)), kOther);
  EXPECT_EQ(frames_.owner_of(first.wrapping_add(0x5000)), std::nullopt);
}

TEST_F(AHostOfSixteenFrames, IsWholeAgainInWhateverOrderRunsAreFreed) {
  std::array<int, 4> order = {0, 1, 2, 3};
  do {
    std::vector<HostPhys> runs;
    for (int i = 0; i < 4; ++i) runs.push_back(*frames_.allocate(4 * kPageSize, kPageSize, kRam));
    EXPECT_THAT(frames_.allocate(1, kPageSize, kRam), FailsWith(ErrorCode::NoMemory));

    for (const int i : order) {
      ASSERT_THAT(frames_.free(runs[static_cast<std::size_t>(i)]), Succeeds());
    }

    const auto all = frames_.allocate(kSize, kPageSize, kRam);
    ASSERT_THAT(all, SucceedsWith(0x8000'0000_hpa));
    ASSERT_THAT(frames_.free(*all), Succeeds());
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(AHostOfSixteenFrames, HoldsFreeFramesSoThatNobodyElseGetsThem) {
  ASSERT_THAT(frames_.hold(0x8000'0000_hpa, 2 * kPageSize, kShared), Succeeds());

  EXPECT_THAT(frames_.allocate(kPageSize, kPageSize, kOther), SucceedsWith(0x8000'2000_hpa));
  frames_.release(0x8000'0000_hpa, 2 * kPageSize);
  EXPECT_THAT(frames_.allocate(kPageSize, kPageSize, kOther), SucceedsWith(0x8000'0000_hpa));
}

TEST_F(AHostOfSixteenFrames, NeverHoldsATableOrTheMemoryOfAnother) {
  ASSERT_THAT(frames_.allocate_at(0x8000'1000_hpa, kPageSize, kTable), Succeeds());
  ASSERT_THAT(frames_.allocate_at(0x8000'4000_hpa, kPageSize, kOther), Succeeds());
  const std::uint64_t free = frames_.bytes_free();

  EXPECT_THAT(frames_.hold(0x8000'0000_hpa, 2 * kPageSize, kRam),
              FailsSaying(ErrorCode::PermissionDenied, "page table"));
  EXPECT_THAT(frames_.hold(0x8000'3000_hpa, 4 * kPageSize, kRam),
              FailsSaying(ErrorCode::PermissionDenied, "vm 2"));
  EXPECT_THAT(frames_.hold(0x8000'4000_hpa, kPageSize, kOther), Succeeds());
  EXPECT_EQ(frames_.bytes_free(), free);
}

TEST_F(AHostOfSixteenFrames, KeepsWhatIsHeldWhenItsOwnerLetsGo) {
  const HostPhys run = *frames_.allocate(4 * kPageSize, kPageSize, kShared);
  ASSERT_THAT(frames_.hold(run.wrapping_add(kPageSize), kPageSize, kRam), Succeeds());

  frames_.release(run, 4 * kPageSize);

  EXPECT_EQ(frames_.bytes_free(), kSize - kPageSize);
  EXPECT_EQ(frames_.owner_of(run.wrapping_add(kPageSize)), kShared);
  frames_.release(run.wrapping_add(kPageSize), kPageSize);
  EXPECT_EQ(frames_.bytes_free(), kSize);
}

TEST_F(AHostOfSixteenFrames, AgreesWithAModelThatCountsEachFrame) {
  std::array<unsigned, 16> references{};
  Prng prng(7);
  for (int step = 0; step < 5000; ++step) {
    const std::uint64_t first = prng.below(16);
    const std::uint64_t count = prng.between(1, 16 - first);
    const HostPhys at = memory_.base().wrapping_add(first * kPageSize);
    const auto range = std::span(references).subspan(first, count);
    if (prng.chance(1, 2)) {
      ASSERT_THAT(frames_.hold(at, count * kPageSize, kShared), Succeeds());
      for (unsigned& frame : range) ++frame;
    } else if (std::ranges::all_of(range, [](unsigned frame) { return frame != 0; })) {
      frames_.release(at, count * kPageSize);
      for (unsigned& frame : range) --frame;
    }
    for (std::uint64_t frame = 0; frame < 16; ++frame) {
      const bool owned = frames_.owns(VmId{2}, memory_.base().wrapping_add(frame * kPageSize), 1);
      ASSERT_EQ(owned, references[frame] != 0) << "step " << step << " frame " << frame;
    }
  }
}

}  // namespace
}  // namespace retrap
