// Stage-2 tables against a model that maps pages one by one.
#include "vmm/page_table.h"

#include <gmock/gmock.h>

#include <map>
#include <vector>

#include "sim/scripted/scripted_format.h"
#include "tests/support/matchers.h"
#include "vmm/base/prng.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using scripted::ScriptedFormat;
using test::FailsSaying;
using test::FailsWith;
using test::Succeeds;

constexpr auto kReadWrite = MappingFlags::Read | MappingFlags::Write;

const ScriptedFormat& four_levels() {
  static const ScriptedFormat kFormat(4);
  return kFormat;
}

const ScriptedFormat& wide_root() {
  static const ScriptedFormat kFormat(3, true);
  return kFormat;
}

class APageTable : public ::testing::TestWithParam<const ScriptedFormat*> {
 public:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(1_MiB);
  HostMemory memory_{0x1'0000'0000_hpa, bytes_};
  Frames frames_{memory_};
  PageTable table_ = *PageTable::make(*GetParam(), frames_, VmId{1});
  std::uint64_t empty_bytes_ = frames_.bytes_of(VmId{1});
};

INSTANTIATE_TEST_SUITE_P(Formats, APageTable, ::testing::Values(&four_levels(), &wide_root()),
                         [](const ::testing::TestParamInfo<const ScriptedFormat*>& param) {
                           return param.param->levels() == 4 ? "FourLevels" : "WideRoot";
                         });

TEST_P(APageTable, TranslatesWhatItMapped) {
  ASSERT_THAT(table_.map(0x4000'0000_gpa, 0x1'2345'6000_hpa, 2 * kPageSize, kReadWrite),
              Succeeds());

  const auto there = table_.translate(0x4000'1234_gpa);
  ASSERT_TRUE(there.has_value());
  EXPECT_EQ(there->address, 0x1'2345'7234_hpa);
  EXPECT_EQ(there->flags, kReadWrite);
  EXPECT_EQ(there->level, 0u);
  EXPECT_FALSE(table_.translate(0x3fff'ffff_gpa).has_value());
  EXPECT_FALSE(table_.translate(0x4000'2000_gpa).has_value());
  EXPECT_FALSE(table_.translate(GuestPhys(~std::uint64_t{0})).has_value());
}

TEST_P(APageTable, UsesTheLargestLeavesThatBothAlignmentsAllow) {
  ASSERT_THAT(table_.map(0x3fe0'0000_gpa, 0x7fe0'0000_hpa, 1_GiB + 4_MiB, kReadWrite), Succeeds());
  ASSERT_THAT(table_.map(0x1'0000'0000_gpa, 0x1000_hpa, 4_MiB, kReadWrite), Succeeds());

  EXPECT_EQ(table_.translate(0x3fe0'0000_gpa)->level, 1u);
  EXPECT_EQ(table_.translate(0x4000'0000_gpa)->level, 2u);
  EXPECT_EQ(table_.translate(0x7fff'ffff_gpa)->address, 0xbfff'ffff_hpa);
  EXPECT_EQ(table_.translate(0x8000'0000_gpa)->level, 1u);
  EXPECT_EQ(table_.translate(0x1'0000'0000_gpa)->level, 0u);
}

TEST_P(APageTable, RefusesRangesThatItCannotHold) {
  const std::uint64_t end = std::uint64_t{1} << GetParam()->address_bits();

  EXPECT_THAT(table_.map(0x800_gpa, 0_hpa, kPageSize, kReadWrite),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(table_.map(0_gpa, 0x800_hpa, kPageSize, kReadWrite),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(table_.map(0_gpa, 0_hpa, 0, kReadWrite), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(table_.map(GuestPhys(end - kPageSize), 0_hpa, 2 * kPageSize, kReadWrite),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(table_.map(0_gpa, 0_hpa, kPageSize, MappingFlags::Write),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(table_.unmap(GuestPhys(end), kPageSize), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(table_.map(GuestPhys(end - kPageSize), 0_hpa, kPageSize, kReadWrite), Succeeds());
}

TEST_P(APageTable, RefusesToMapTwiceAndChangesNothing) {
  ASSERT_THAT(table_.map(0x40'0000_gpa, 0_hpa, kPageSize, kReadWrite), Succeeds());
  const std::uint64_t used = frames_.bytes_of(VmId{1});

  EXPECT_THAT(table_.map(0_gpa, 0x80'0000_hpa, 8_MiB, kReadWrite),
              FailsSaying(ErrorCode::AlreadyExists, "0x000000400000"));
  EXPECT_FALSE(table_.translate(0_gpa).has_value());
  EXPECT_EQ(frames_.bytes_of(VmId{1}), used);
}

TEST_P(APageTable, ChangesNothingWhereTheHostHasNoFrameForATable) {
  while (frames_.bytes_free() > kPageSize) {
    ASSERT_THAT(frames_.allocate(kPageSize, kPageSize, {VmId{2}, FrameUse::GuestRam}), Succeeds());
  }

  EXPECT_THAT(table_.map(0_gpa, 0_hpa, kPageSize, kReadWrite), FailsWith(ErrorCode::NoMemory));
  EXPECT_EQ(frames_.bytes_free(), kPageSize);
  EXPECT_FALSE(table_.translate(0_gpa).has_value());
}

TEST_P(APageTable, SplitsABlockAroundAHole) {
  ASSERT_THAT(table_.map(0_gpa, 0x4000'0000_hpa, 1_GiB, kReadWrite), Succeeds());

  ASSERT_THAT(table_.unmap(0x20'3000_gpa, kPageSize), Succeeds());

  EXPECT_EQ(table_.translate(0x20'2fff_gpa)->address, 0x4020'2fff_hpa);
  EXPECT_FALSE(table_.translate(0x20'3000_gpa).has_value());
  EXPECT_EQ(table_.translate(0x20'4000_gpa)->level, 0u);
  EXPECT_EQ(table_.translate(0x40'0000_gpa)->level, 1u);
}

TEST_P(APageTable, LeavesABlockWholeWhereTheHostHasNoFrameToSplitIt) {
  ASSERT_THAT(table_.map(0_gpa, 0x4000'0000_hpa, 1_GiB, kReadWrite), Succeeds());
  while (frames_.bytes_free() != 0) {
    ASSERT_THAT(frames_.allocate(kPageSize, kPageSize, {VmId{2}, FrameUse::GuestRam}), Succeeds());
  }

  EXPECT_THAT(table_.unmap(0x1000_gpa, kPageSize), FailsWith(ErrorCode::NoMemory));
  EXPECT_EQ(table_.translate(0x1000_gpa)->level, 2u);
}

TEST_P(APageTable, GivesBackEveryTableThatBecomesEmpty) {
  ASSERT_THAT(table_.map(0_gpa, 0x1000_hpa, 8_MiB, kReadWrite), Succeeds());
  ASSERT_GT(frames_.bytes_of(VmId{1}), empty_bytes_);

  ASSERT_THAT(table_.unmap(0_gpa, 4_MiB), Succeeds());
  ASSERT_THAT(table_.unmap(0x40'0000_gpa, 4_MiB), Succeeds());

  EXPECT_EQ(frames_.bytes_of(VmId{1}), empty_bytes_);
}

TEST_P(APageTable, GivesBackEverythingWhenItGoes) {
  {
    PageTable table = *PageTable::make(*GetParam(), frames_, VmId{3});
    ASSERT_THAT(table.map(0_gpa, 0x1000_hpa, 8_MiB, kReadWrite), Succeeds());
    const PageTable moved = std::move(table);
    EXPECT_TRUE(moved.translate(0_gpa).has_value());
  }
  EXPECT_EQ(frames_.bytes_of(VmId{3}), 0u);
}

TEST_P(APageTable, ProtectsPartOfABlock) {
  ASSERT_THAT(table_.map(0_gpa, 0x4000'0000_hpa, 2_MiB, kReadWrite), Succeeds());

  ASSERT_THAT(table_.protect(0x1000_gpa, 0x2000, MappingFlags::Read), Succeeds());

  EXPECT_EQ(table_.translate(0xfff_gpa)->flags, kReadWrite);
  EXPECT_EQ(table_.translate(0x1000_gpa)->flags, MappingFlags::Read);
  EXPECT_EQ(table_.translate(0x2fff_gpa)->address, 0x4000'2fff_hpa);
  EXPECT_EQ(table_.translate(0x3000_gpa)->flags, kReadWrite);
}

TEST_P(APageTable, WalksItsLeavesInOrder) {
  const GuestPhys high(std::uint64_t{1} << (GetParam()->address_bits() - 1));
  ASSERT_THAT(table_.map(0x1000_gpa, 0x5000_hpa, kPageSize, kReadWrite), Succeeds());
  ASSERT_THAT(table_.map(high, 0_hpa, 2_MiB, kReadWrite), Succeeds());

  const GuestPhys end(~std::uint64_t{0});
  const auto first = table_.next_leaf(0_gpa, end);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->base, 0x1000_gpa);
  const auto second = table_.next_leaf(first->last().wrapping_add(1), end);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->base, high);
  EXPECT_FALSE(table_.next_leaf(first->last().wrapping_add(1), 0x8000_gpa).has_value());
  EXPECT_FALSE(table_.next_leaf(second->last().wrapping_add(1), end).has_value());
}

/// What a table should say, page by page.
class Model {
 public:
  struct Page {
    std::uint64_t host;
    MappingFlags flags;
  };
  static constexpr std::uint64_t kPages = 3 * 512 + 40;

  bool map(std::uint64_t at, std::uint64_t to, std::uint64_t count, MappingFlags flags) {
    const auto first = pages_.lower_bound(at);
    if (first != pages_.end() && first->first < at + count) return false;
    for (std::uint64_t i = 0; i < count; ++i) pages_[at + i] = {to + i, flags};
    return true;
  }
  void unmap(std::uint64_t at, std::uint64_t count) {
    pages_.erase(pages_.lower_bound(at), pages_.lower_bound(at + count));
  }
  void protect(std::uint64_t at, std::uint64_t count, MappingFlags flags) {
    for (auto page = pages_.lower_bound(at); page != pages_.end() && page->first < at + count;
         ++page) {
      page->second.flags = flags;
    }
  }
  [[nodiscard]] const std::map<std::uint64_t, Page>& pages() const { return pages_; }

 private:
  std::map<std::uint64_t, Page> pages_;
};

void expect_equal(const PageTable& table, const Model& model, int step) {
  for (std::uint64_t page = 0; page < Model::kPages; ++page) {
    const auto there = table.translate(GuestPhys(page * kPageSize));
    const auto wanted = model.pages().find(page);
    ASSERT_EQ(there.has_value(), wanted != model.pages().end())
        << "step " << step << " page " << page;
    if (!there) continue;
    ASSERT_EQ(there->address.raw(), wanted->second.host * kPageSize) << "step " << step;
    ASSERT_EQ(there->flags, wanted->second.flags) << "step " << step << " page " << page;
  }
}

TEST_P(APageTable, AgreesWithAModelThatMapsPagesOneByOne) {
  Model model;
  Prng prng(11);
  for (int step = 0; step < 400; ++step) {
    // Half of the ranges are made of whole 2 MiB blocks.
    const std::uint64_t grain = prng.chance(1, 2) ? 512 : 1;
    const std::uint64_t at = prng.below(Model::kPages / grain) * grain;
    const std::uint64_t count =
        std::min(prng.between(1, grain == 1 ? 40 : 2) * grain, Model::kPages - at);
    const std::uint64_t to = prng.below(64) * grain + 0x100 * 512;
    const auto flags = prng.chance(1, 2) ? kReadWrite : MappingFlags::Read | MappingFlags::Execute;
    const GuestPhys gpa(at * kPageSize);
    switch (prng.below(3)) {
      case 0: {
        const bool mapped =
            table_.map(gpa, HostPhys(to * kPageSize), count * kPageSize, flags).has_value();
        ASSERT_EQ(mapped, model.map(at, to, count, flags)) << "step " << step;
        break;
      }
      case 1:
        ASSERT_THAT(table_.unmap(gpa, count * kPageSize), Succeeds());
        model.unmap(at, count);
        break;
      default:
        ASSERT_THAT(table_.protect(gpa, count * kPageSize, flags), Succeeds());
        model.protect(at, count, flags);
    }
    if (step % 8 == 0) expect_equal(table_, model, step);
  }
  ASSERT_THAT(table_.unmap(0_gpa, Model::kPages * kPageSize), Succeeds());
  EXPECT_EQ(frames_.bytes_of(VmId{1}), empty_bytes_);
}

}  // namespace
}  // namespace retrap
