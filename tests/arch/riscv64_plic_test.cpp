// Priorities, enables, thresholds, claims; the defects of the reference's PLIC (K12).
#include "arch/riscv64/plic.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/support/matchers.h"

namespace retrap::riscv64 {
namespace {

using retrap::test::FailsWith;
using retrap::test::Succeeds;

constexpr std::uint64_t kPending = 0x1000;
constexpr std::uint64_t kEnable0 = 0x2000;
constexpr std::uint64_t kEnable1 = 0x2080;
constexpr std::uint64_t kThreshold0 = 0x20'0000;
constexpr std::uint64_t kClaim0 = 0x20'0004;
constexpr std::uint64_t kClaim1 = 0x20'1004;

/// Two harts; source 10 enabled at hart 0 with priority 1.
class APlic : public ::testing::Test {
 public:
  APlic() {
    write(10 * 4, 1);
    write(kEnable0, 1u << 10);
  }

  static Access at(std::uint64_t offset, Width width = Width::Word) {
    return {.offset = offset, .width = width, .vcpu = kBootVcpu, .now_ns = 0};
  }
  std::uint64_t read(std::uint64_t offset) {
    const auto value = plic_.read(at(offset));
    EXPECT_TRUE(value) << std::hex << offset;
    return value.value_or(0xdead);
  }
  void write(std::uint64_t offset, std::uint64_t value) {
    EXPECT_TRUE(plic_.write(at(offset), value)) << std::hex << offset;
  }

  Plic plic_{2};
};

TEST_F(APlic, InterruptsTheHartThatEnabledTheSource) {
  plic_.set_line(10, true);

  EXPECT_TRUE(plic_.output(0));
  EXPECT_FALSE(plic_.output(1));
  EXPECT_EQ(read(kPending), 1u << 10);
}

TEST_F(APlic, GivesTheSourceToTheFirstClaim) {
  write(kEnable1, 1u << 10);
  plic_.set_line(10, true);

  EXPECT_EQ(read(kClaim1), 10u);
  EXPECT_EQ(read(kClaim0), 0u);
  EXPECT_FALSE(plic_.output(0));
  EXPECT_FALSE(plic_.output(1));
}

/// Hears of deliveries.
class Heard final : public LineSink {
 public:
  void on_cpu_line(VcpuId, std::uint32_t, bool) override {}
  void on_device_line(std::uint32_t, bool) override {}
  void on_delivery(VcpuId vcpu, std::uint64_t vector) override {
    deliveries.emplace_back(index(vcpu), vector);
  }

  std::vector<std::pair<std::uint32_t, std::uint64_t>> deliveries;
};

TEST_F(APlic, TellsWhichHartHasClaimedWhichSource) {
  Heard heard;
  plic_.set_line_sink(&heard);
  write(kEnable1, 1u << 10);
  plic_.set_line(10, true);
  (void)read(kClaim1);
  (void)read(kClaim0);
  plic_.set_line_sink(nullptr);

  EXPECT_EQ(heard.deliveries, (std::vector<std::pair<std::uint32_t, std::uint64_t>>{{1, 10}}));
}

TEST_F(APlic, ForwardsALevelAgainAfterItsCompletion) {
  plic_.set_line(10, true);
  EXPECT_EQ(read(kClaim0), 10u);
  EXPECT_FALSE(plic_.output(0)) << "in service";

  write(kClaim0, 10);

  EXPECT_TRUE(plic_.output(0));
}

TEST_F(APlic, IsQuietWhereTheLevelWentAwayBeforeTheCompletion) {
  plic_.set_line(10, true);
  EXPECT_EQ(read(kClaim0), 10u);
  plic_.set_line(10, false);

  write(kClaim0, 10);

  EXPECT_FALSE(plic_.output(0));
}

TEST_F(APlic, KeepsARequestWhoseLevelWentAway) {
  plic_.set_line(10, true);
  plic_.set_line(10, false);

  EXPECT_EQ(read(kClaim0), 10u) << "the gateway has forwarded it";
}

TEST_F(APlic, LatchesOneEdgeWhileTheSourceIsInService) {
  plic_.make_edge_triggered(10);
  plic_.set_line(10, true);
  plic_.set_line(10, false);
  EXPECT_EQ(read(kClaim0), 10u);
  plic_.set_line(10, true);
  plic_.set_line(10, false);
  plic_.set_line(10, true);

  write(kClaim0, 10);

  EXPECT_EQ(read(kClaim0), 10u);
  write(kClaim0, 10);
  EXPECT_EQ(read(kClaim0), 0u) << "a high line is no edge";
}

TEST_F(APlic, ClaimsTheHighestPriorityAndThenTheLowestNumber) {
  write(3 * 4, 2);
  write(7 * 4, 2);
  write(kEnable0, 1u << 3 | 1u << 7 | 1u << 10);
  for (const std::uint32_t source : {10u, 7u, 3u}) plic_.set_line(source, true);

  EXPECT_EQ(read(kClaim0), 3u);
  EXPECT_EQ(read(kClaim0), 7u);
  EXPECT_EQ(read(kClaim0), 10u);
}

TEST_F(APlic, NeverInterruptsWithPriorityZero) {
  write(10 * 4, 0);
  plic_.set_line(10, true);

  EXPECT_FALSE(plic_.output(0));
  EXPECT_EQ(read(kClaim0), 0u);
}

TEST_F(APlic, MasksWhatIsNotAboveTheThreshold) {
  write(kThreshold0, 1);
  plic_.set_line(10, true);
  EXPECT_FALSE(plic_.output(0));
  EXPECT_EQ(read(kThreshold0), 1u);

  write(10 * 4, 2);

  EXPECT_TRUE(plic_.output(0));
}

TEST_F(APlic, HasSourcesAboveThirtyOne) {
  write(40 * 4, 5);
  write(kEnable0 + 4, 1u << 8);
  plic_.set_line(40, true);

  EXPECT_EQ(read(kPending + 4), 1u << 8);
  EXPECT_EQ(read(kEnable0 + 4), 1u << 8);
  EXPECT_EQ(read(kClaim0), 40u);
}

TEST_F(APlic, HoldsThreeBitsOfPriority) {
  write(10 * 4, 0xff);

  EXPECT_EQ(read(10 * 4), 7u);
}

TEST_F(APlic, HasNoSourceZeroToEnable) {
  write(kEnable0, ~0u);

  EXPECT_EQ(read(kEnable0), ~1u);
}

TEST_F(APlic, ForgetsEverythingButItsWiringAtReset) {
  plic_.make_edge_triggered(10);
  plic_.set_line(10, true);
  Digest before;
  plic_.digest(before);

  plic_.reset();

  EXPECT_FALSE(plic_.output(0));
  EXPECT_EQ(read(10 * 4), 0u);
  Digest after;
  plic_.digest(after);
  EXPECT_NE(before.value(), after.value());
}

TEST_F(APlic, InjectsAnExternalInterruptUntilTheNextClaim) {
  EXPECT_THAT(plic_.inject(VcpuId{1}, 9), Succeeds());
  EXPECT_TRUE(plic_.output(1));

  EXPECT_EQ(read(kClaim1), 0u);

  EXPECT_FALSE(plic_.output(1));
}

TEST_F(APlic, RefusesToInjectWhatItDoesNotHave) {
  EXPECT_THAT(plic_.inject(VcpuId{0}, 7), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(plic_.inject(VcpuId{2}, 9), FailsWith(ErrorCode::InvalidInput));
}

TEST_F(APlic, IgnoresLinesThatNobodyHas) {
  EXPECT_FALSE(plic_.has_line(0));
  EXPECT_FALSE(plic_.has_line(64));
  plic_.set_line(0, true);
  plic_.set_line(64, true);
  plic_.make_edge_triggered(64);

  EXPECT_EQ(read(kPending), 0u);
}

// ---- K12: what the reference's PLIC gets wrong ------------------------------------------------

TEST_F(APlic, K12ReadsPendingBitsByTheirOwnOffset) {
  plic_.set_line(5, true);

  EXPECT_EQ(read(kPending), 1u << 5);
  EXPECT_EQ(read(kPending + 4), 0u);
}

TEST_F(APlic, K12AnswersAnAccessOfAnotherWidthWithoutStopping) {
  for (const Width width : {Width::Byte, Width::Half, Width::Double}) {
    EXPECT_EQ(plic_.read(at(kPending, width)).error(), IoError::BadWidth);
    EXPECT_EQ(plic_.write(at(kEnable0, width), 0).error(), IoError::BadWidth);
  }
}

TEST_F(APlic, K12AnswersAContextThatIsNotThereWithoutStopping) {
  EXPECT_EQ(plic_.read(at(0x2100)).error(), IoError::NoRegister);
  EXPECT_EQ(plic_.read(at(0x20'2000)).error(), IoError::NoRegister);
  EXPECT_EQ(plic_.write(at(0x3ff'fffc), 0).error(), IoError::NoRegister);
}

TEST_F(APlic, K12ClaimsOnlyWhatIsEnabled) {
  write(kEnable0, 0);
  plic_.set_line(10, true);

  EXPECT_EQ(read(kClaim0), 0u);
}

TEST_F(APlic, K12IgnoresACompletionOfASourceThatIsNotThere) {
  for (const std::uint64_t source : {0ull, 64ull, 0xffff'ffffull, 1ull << 40}) {
    write(kClaim0, source);
  }
  EXPECT_FALSE(plic_.output(0));
}

TEST_F(APlic, K12IgnoresACompletionByAHartThatDidNotEnableTheSource) {
  plic_.set_line(10, true);
  EXPECT_EQ(read(kClaim0), 10u);

  write(kClaim1, 10);

  EXPECT_FALSE(plic_.output(0)) << "still in service at hart 0";
}

TEST_F(APlic, K12AnswersUnknownOffsetsWithoutStopping) {
  for (const std::uint64_t offset :
       {0x0ull, 0x100ull, 0x1008ull, 0x2008ull, 0x20'0008ull, 0x2ull}) {
    EXPECT_EQ(plic_.read(at(offset)).error(), IoError::NoRegister) << std::hex << offset;
    EXPECT_EQ(plic_.write(at(offset), 1).error(), IoError::NoRegister) << std::hex << offset;
  }
}

TEST_F(APlic, K12DoesNotTakeAWriteOfThePendingBitsForAnInterrupt) {
  EXPECT_EQ(plic_.write(at(kPending), 1u << 10).error(), IoError::ReadOnly);
  EXPECT_FALSE(plic_.output(0));
}

}  // namespace
}  // namespace retrap::riscv64
