// Guests whose CPUs share memory find what their architectures promise, and find it again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <vector>

#include "sim/testing.h"
#include "tests/smp/run.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

using ::testing::HasSubstr;

std::vector<SmpRun> runs_of(std::uint32_t vcpus, std::uint64_t seeds) {
  std::vector<SmpRun> runs;
  for (const ArchId arch : available_archs()) {
    for (const std::string_view guest : kSmpGuests) {
      for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        runs.push_back({.arch = arch, .guest = guest, .vcpus = vcpus, .seed = seed});
      }
    }
  }
  return runs;
}

/// A run that is recorded: where the test fails, its trace is left. From the first seed it is
/// replayed, too.
class RecordedSmpRun {
 public:
  explicit RecordedSmpRun(const SmpRun& run)
      : run_([run] { return machine_of(run); },
             {.digest_interval = 10'000'000, .replays = run.seed == 1}) {}

  [[nodiscard]] std::optional<SmpOutcome> outcome() {
    if (!run_) return std::nullopt;
    return outcome_of(*run_, run_.run(kMaxSmpInstructions));
  }

 private:
  retrap::testing::RecordedRun<Machine> run_;
};

class MemoryModel : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(MemoryModel, HoldsFromEverySeed) {
  for (const SmpRun& run : runs_of(GetParam(), 8)) {
    SCOPED_TRACE(to_string(run));

    RecordedSmpRun recorded(run);
    const auto outcome = recorded.outcome();

    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->complaint(), "");
  }
}

TEST_P(MemoryModel, HoldsInTheSameWayWhereverTheRunIsStopped) {
  for (SmpRun run : runs_of(GetParam(), 2)) {
    const auto first = make_smp_run(run);
    ASSERT_TRUE(first) << first.error().message;
    for (const std::uint64_t slice : {0u, 3011u}) {
      run.slice = slice;
      SCOPED_TRACE(to_string(run));

      const auto again = make_smp_run(run);

      ASSERT_TRUE(again) << again.error().message;
      EXPECT_EQ(again->digest, first->digest);
      EXPECT_EQ(again->console, first->console);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MemoryModel, ::testing::Values(1, 2, 4, 16),
                         [](const auto& param) { return std::to_string(param.param) + "Vcpus"; });

TEST(MemoryModelSuite, RunsOnAsManyVcpusAsAVmMayHave) {
  for (const SmpRun& run : runs_of(kMaxVcpus, 1)) {
    SCOPED_TRACE(to_string(run));

    RecordedSmpRun recorded(run);
    const auto outcome = recorded.outcome();

    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->complaint(), "");
  }
}

TEST(MemoryModelSuite, GoesThroughOtherInterleavingsFromAnotherSeed) {
  for (const ArchId arch : available_archs()) {
    const SmpRun one{.arch = arch, .guest = "atomics", .vcpus = 4, .seed = 1};
    SmpRun other = one;
    other.seed = 5;
    ASSERT_EQ(mean_turn_of(one), mean_turn_of(other));

    const auto first = make_smp_run(one);
    const auto second = make_smp_run(other);

    ASSERT_TRUE(first && second);
    EXPECT_NE(first->digest, second->digest) << to_string(arch);
  }
}

// ---- Ids: the guest ipis by the ids that the machine has for its CPUs
// -----------------------------

TEST(PhysCpuIds, AreWhatTheGuestFindsStartsAndInterruptsItsCpusBy) {
  const std::vector<std::vector<std::uint64_t>> lists = {
      {}, {1, 0}, {0, 2, 5, 7}, {7, 5, 2, 0}, {0xfe, 0}, {65, 64, 1, 130}, {9}};
  for (const ArchId arch : available_archs()) {
    for (const auto& ids : lists) {
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const SmpRun run{.arch = arch,
                         .guest = "ids",
                         .vcpus = ids.empty() ? 3 : static_cast<std::uint32_t>(ids.size()),
                         .seed = seed,
                         .phys_cpu_ids = ids};
        SCOPED_TRACE(to_string(run));

        RecordedSmpRun recorded(run);
        const auto outcome = recorded.outcome();

        ASSERT_TRUE(outcome);
        EXPECT_EQ(outcome->complaint(), "");
      }
    }
  }
}

TEST(PhysCpuIds, ThatAreTheNumbersChangeNothing) {
  for (const ArchId arch : available_archs()) {
    SmpRun run{.arch = arch, .guest = "ipis", .vcpus = 4};
    const auto without = make_smp_run(run);
    run.phys_cpu_ids = {0, 1, 2, 3};

    const auto with = make_smp_run(run);

    ASSERT_TRUE(without && with) << to_string(run);
    EXPECT_EQ(with->digest, without->digest) << to_string(run);
  }
}

TEST(PhysCpuIds, RunInTheSameWayWhereverTheRunIsStopped) {
  for (const ArchId arch : available_archs()) {
    SmpRun run{.arch = arch, .guest = "ids", .vcpus = 4, .phys_cpu_ids = {3, 9, 0, 12}};
    const auto whole = make_smp_run(run);
    run.slice = 3011;

    const auto sliced = make_smp_run(run);

    ASSERT_TRUE(whole && sliced) << to_string(run);
    EXPECT_EQ(sliced->digest, whole->digest) << to_string(run);
  }
}

TEST(PhysCpuIds, ThatAnArchitectureDoesNotHaveAreRefusedInOneLine) {
  const auto refusal = [](ArchId arch, std::vector<std::uint64_t> ids) {
    const auto vcpus = static_cast<std::uint32_t>(ids.size());
    const auto outcome =
        make_smp_run({.arch = arch, .guest = "ids", .vcpus = vcpus, .phys_cpu_ids = ids});
    return outcome ? "it runs" : outcome.error().message;
  };
  for (const ArchId arch : available_archs()) {
    EXPECT_THAT(refusal(arch, {3, 3}), HasSubstr("phys_cpu_ids has 0x3 twice"));
    EXPECT_THAT(refusal(arch, {0, 1ull << 40}), HasSubstr("phys_cpu_ids: 0x10000000000 is not a"));
  }
  EXPECT_THAT(refusal(ArchId::X86_64, {0, 0xff}), HasSubstr("give 0x0 to 0xfe"));
  EXPECT_THAT(refusal(ArchId::Riscv64, {0x1000}), HasSubstr("give 0x0 to 0xfff"));
}

// ---- Turns: the guest says what it lost, and how long it took -----------------------------------

TEST(Turns, EndBetweenALoadAndAStoreFromSomeSeed) {
  for (const ArchId arch : available_archs()) {
    bool lost = false;
    for (std::uint64_t seed = 1; seed <= 16 && !lost; ++seed) {
      const auto outcome = make_smp_run({.arch = arch, .guest = "turns", .vcpus = 4, .seed = seed});
      ASSERT_TRUE(outcome) << outcome.error().message;
      lost = outcome->complaint().starts_with("FAIL no update is lost");
    }
    EXPECT_TRUE(lost) << to_string(arch);
  }
}

TEST(Turns, EndThereWhereverTheRunIsStopped) {
  for (const ArchId arch : available_archs()) {
    SmpRun run{.arch = arch, .guest = "turns", .vcpus = 3, .seed = 3};
    const auto whole = make_smp_run(run);
    ASSERT_TRUE(whole) << whole.error().message;
    for (const std::uint64_t slice : {61u, 1009u}) {
      run.slice = slice;
      SCOPED_TRACE(to_string(run));

      const auto sliced = make_smp_run(run);

      ASSERT_TRUE(sliced) << sliced.error().message;
      EXPECT_EQ(sliced->digest, whole->digest);
      EXPECT_EQ(sliced->report.instructions, whole->report.instructions);
    }
  }
}

// Only there do our guests wait by an instruction that ends a turn: WFE.
TEST(Turns, AreGivenAwayByWhoeverWaitsForAnEvent) {
  const auto instructions = [](std::uint32_t vcpus) {
    SmpRun run{.arch = ArchId::Aarch64, .guest = "turns", .vcpus = vcpus, .seed = 3};
    const auto outcome = make_smp_run(run);
    EXPECT_TRUE(outcome) << outcome.error().message;
    return outcome ? outcome->report.instructions : 0;
  };

  const std::uint64_t alone = instructions(1);

  EXPECT_LT(instructions(4), alone + alone / 10);
}

}  // namespace
}  // namespace retrap::test
