// Guests made of random bytes: a sample of what hostile_runs does at length.
#include <gtest/gtest.h>

#include "tests/hostile/run.h"
#include "tests/support/sim/archs.h"

namespace retrap::hostile {
namespace {

constexpr std::uint64_t kRuns = 300;

class AHostileGuest : public ::testing::TestWithParam<ArchId> {};

TEST_P(AHostileGuest, HarmsNothingAndIsReproducible) {
  if (GetParam() == ArchId::X86_64) {
    GTEST_SKIP() << "a seed of the x86_64 sample does not end within minutes: a known bug; "
                    "hostile_runs --arch x86_64 shows it";
  }
  const ArchId arch = GetParam();
  std::uint64_t instructions = 0;
  for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
    const RunResult result = run_hostile_twice(arch, seed);

    EXPECT_EQ(result.finding, "") << "hostile_runs --arch " << to_string(arch)
                                  << " --runs 1 --seed " << seed;
    instructions += result.instructions;
  }
  // Most of them get somewhere.
  EXPECT_GT(instructions, kRuns * 100);
}

INSTANTIATE_TEST_SUITE_P(All, AHostileGuest, ::testing::ValuesIn(test::available_archs()),
                         test::arch_name);

}  // namespace
}  // namespace retrap::hostile
