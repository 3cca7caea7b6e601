// A sample of what tests/replay_runs.cpp does by the thousand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/replay/changes.h"
#include "tests/replay/kills.h"
#include "tests/support/process.h"

namespace retrap::test {
namespace {

using ::testing::IsEmpty;

class ChangedRun : public ::testing::TestWithParam<ArchId> {};

INSTANTIATE_TEST_SUITE_P(All, ChangedRun, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(ChangedRun, IsFoundWhereItPartsFromTheRecordedOne) {
  const BaseRun base = base_run(GetParam(), "echo", 1);
  ASSERT_GT(base.trace.inputs().size(), 8U);
  std::size_t changed = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Verdict verdict = judge(base, change_of(base, seed));
    EXPECT_THAT(verdict.problem, IsEmpty()) << seed;
    changed += verdict.changes_behaviour ? 1U : 0U;
  }
  EXPECT_GT(changed, 10U);
}

TEST_P(ChangedRun, OfFourVcpusIsFoundToo) {
  const BaseRun base = base_run(GetParam(), "smp", 4);
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    EXPECT_THAT(judge(base, change_of(base, seed)).problem, IsEmpty()) << seed;
  }
}

TEST_P(ChangedRun, IsTheWholeOneUpToWhereItWasKilled) {
  const TemporaryFolder folder;
  Killing killing(GetParam(), folder.path());
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    EXPECT_THAT(killing.run(seed).problem, IsEmpty()) << seed;
  }
}

}  // namespace
}  // namespace retrap::test
