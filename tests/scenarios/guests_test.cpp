// Every built-in guest does on every architecture what its transcript says, however it is run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/guests/embedded.h"
#include "tests/scenarios/scenario.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// What the transcripts cannot say: how a guest ends, and what is typed.
Scenario scenario_of(ArchId arch, std::string_view guest) {
  Scenario scenario{.arch = arch, .guest = std::string(guest)};
  if (guest == "spin" || guest == "watch") {
    scenario.end = StopReason::BudgetSpent;
    scenario.max_instructions = 300'000;
  }
  if (guest == "smp") scenario.vcpus = 2;
  if (guest == "atomics" || guest == "coherence" || guest == "ipis" || guest == "ids") {
    scenario.vcpus = 4;
    scenario.max_instructions = 500'000'000;
  }
  if (guest == "sleep") scenario.end = StopReason::Deadlocked;
  if (guest == "restart") scenario.end = StopReason::Reset;
  if (guest == "crash") scenario.end = StopReason::Crashed;
  if (guest == "echo") scenario.input = "abq";
  // What these wait for is in the examples.
  if (guest == "alarm" || guest == "listen") scenario.end = StopReason::Deadlocked;
  if (guest == "resize") scenario.input = "aq";
  return scenario;
}

std::vector<Scenario> all_scenarios() {
  std::vector<Scenario> scenarios;
  const auto archs = available_archs();
  for (const guests::Guest& guest : guests::all()) {
    if (std::ranges::find(archs, guest.arch) == archs.end()) continue;
    scenarios.push_back(scenario_of(guest.arch, guest.name));
  }
  return scenarios;
}

class BuiltInGuest : public ::testing::TestWithParam<Scenario> {};

TEST_P(BuiltInGuest, DoesTheSameHoweverItIsRun) {
  const Scenario& scenario = GetParam();

  const auto outcome = run_scenario(scenario);

  ASSERT_TRUE(outcome);
  const std::string want = transcript_of(scenario);
  EXPECT_THAT(outcome->console, Not(HasSubstr("FAIL")));
  EXPECT_EQ(outcome->console, want)
      << "left: got; right: want\n"
      << side_by_side(outcome->console, want) << "by hand: " << command_of(scenario, {"plain"});
}

std::string name_of(const ::testing::TestParamInfo<Scenario>& info) {
  return std::string(to_string(info.param.arch)) + "_" + info.param.guest;
}

INSTANTIATE_TEST_SUITE_P(All, BuiltInGuest, ::testing::ValuesIn(all_scenarios()), name_of);

class ADeviceOnTheBoard : public ::testing::TestWithParam<ArchId> {};

// The first accesses of the guest `mmio`, which are the same on all architectures.
TEST_P(ADeviceOnTheBoard, SeesEveryWidthWhole) {
  const auto outcome = run_recorded({.arch = GetParam(), .guest = "mmio"}, {"plain"});

  ASSERT_TRUE(outcome);
  const std::vector<ScratchDevice::Entry> want = {{true, 0, 8, 0x1122'3344'5566'7788},
                                                  {false, 0, 8, 0x1122'3344'5566'7788},
                                                  {false, 4, 4, 0x1122'3344},
                                                  {false, 2, 2, 0x5566},
                                                  {false, 7, 1, 0x11},
                                                  {true, 7, 1, 0xa1},
                                                  {true, 4, 2, 0xb2b3},
                                                  {true, 0, 4, 0xc4c5'c6c7},
                                                  {false, 0, 8, 0xa122'b2b3'c4c5'c6c7}};
  ASSERT_GE(outcome->log.size(), want.size());
  EXPECT_EQ(std::vector(outcome->log.begin(), outcome->log.begin() + std::ptrdiff_t(want.size())),
            want);
}

// The guest `entropy` gives four addresses that are no RAM which it may write.
TEST_P(ADeviceOnTheBoard, IsRefusedMemoryThatIsNotTheGuests) {
  const auto outcome = run_recorded({.arch = GetParam(), .guest = "entropy"}, {"plain"});

  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->dma.refused_writes, 4u);
  EXPECT_EQ(outcome->dma.refused_reads, 0u);
}

TEST_P(ADeviceOnTheBoard, ReachesRamOfEveryMapType) {
  const Scenario scenario{.arch = GetParam(), .guest = "entropy"};
  for (const MapType type : {MapType::Alloc, MapType::Identical, MapType::Reserved}) {
    SCOPED_TRACE(static_cast<int>(type));
    const auto outcome = run_recorded(scenario, {.name = "plain", .map_type = type});

    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->console, transcript_of(scenario));
    EXPECT_EQ(outcome->dma.refused_writes, 4u) << "windows and holes are as they were";
  }
}

INSTANTIATE_TEST_SUITE_P(All, ADeviceOnTheBoard, ::testing::ValuesIn(available_archs()), arch_name);

TEST(LazyMemory, IsPopulatedPageByPage) {
  for (const ArchId arch : available_archs()) {
    SCOPED_TRACE(to_string(arch));
    const Scenario scenario{.arch = arch, .guest = "lazy"};

    const auto eager = run_recorded(scenario, {"plain"});
    const auto lazy = run_recorded(scenario, {"populated on demand", 0, Populate::Lazy});

    ASSERT_TRUE(eager && lazy);
    EXPECT_EQ(eager->statistics.populated, 0u);
    EXPECT_GE(lazy->statistics.populated, 1024u);
  }
}

}  // namespace
}  // namespace retrap::test
