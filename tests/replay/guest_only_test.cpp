// The guest alone: what its devices said comes from the trace, and it does what it did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/replay.h"
#include "sim/replay_exits.h"
#include "tests/replay/changes.h"
#include "tests/replay/guest_machine.h"
#include "traces/text.h"
#include "vmm/config_toml.h"

namespace retrap {
namespace {

using test::machine_with;
using test::Succeeds;
using Outcome = ReplayReport::Outcome;

class GuestAlone : public ::testing::TestWithParam<ArchId> {};

INSTANTIATE_TEST_SUITE_P(All, GuestAlone, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(GuestAlone, DoesWhatItDidWithItsDevices) {
  for (const std::string_view name : {"hello", "timer", "hypercalls", "lazy", "user", "fpu"}) {
    const traces::Reader trace = test::record(GetParam(), name);
    auto machine = machine_with(GetParam(), name).value();
    Replayer replayer(*machine, trace);
    ASSERT_THAT(replayer.without_devices(), Succeeds());
    const auto report = replayer.run();

    ASSERT_THAT(report, Succeeds()) << name;
    EXPECT_EQ(report->outcome, Outcome::Identical)
        << name << "\n"
        << to_text(*report->divergence, "recorded", "now");
    EXPECT_EQ(report->exits, trace.end()->exits) << name;
    if (name != "hello") continue;
    EXPECT_EQ(machine->console_of(machine->vm(0)), "") << "there is no device to print";
  }
}

TEST_P(GuestAlone, IsInterruptedByDevicesThatAreNotThere) {
  const test::BaseRun base = test::base_run(GetParam(), "echo", 1);
  auto machine = machine_with(GetParam(), "echo").value();
  Replayer replayer(*machine, base.trace);
  ASSERT_THAT(replayer.without_devices(), Succeeds());
  const auto report = replayer.run();

  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->outcome, Outcome::Identical) << to_text(*report->divergence, "was", "is");
  EXPECT_EQ(report->exits, base.trace.end()->exits);

  // And the other half: the monitor is typed at between two exits.
  const auto config = parse_config(base.trace.header().configs[0], "config").value();
  const auto monitor = replay_exits(base.trace, config);
  ASSERT_THAT(monitor, Succeeds());
  EXPECT_FALSE(monitor->divergence) << to_text(*monitor->divergence, "was", "is");
  EXPECT_EQ(monitor->exits, base.trace.end()->exits);
}

TEST_P(GuestAlone, OnFourVcpusDoesWhatItDid) {
  const traces::Reader trace = test::record(GetParam(), "smp", 4);
  auto machine = machine_with(GetParam(), "smp", 4).value();
  Replayer replayer(*machine, trace);
  ASSERT_THAT(replayer.without_devices(), Succeeds());
  const auto report = replayer.run();

  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->outcome, Outcome::Identical) << to_text(*report->divergence, "was", "is");
}

TEST_P(GuestAlone, ThatDoesSomethingElseIsFound) {
  const traces::Reader trace = test::record(GetParam(), "hello");
  auto machine = machine_with(GetParam(), "timer").value();
  Replayer replayer(*machine, trace);
  ASSERT_THAT(replayer.without_devices(), Succeeds());
  const auto report = replayer.run();

  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->outcome, Outcome::Diverged);
}

TEST_P(GuestAlone, NeedsATraceWithExits) {
  traces::ByteVector bytes;
  auto machine = machine_with(GetParam(), "hello").value();
  auto recorder = Recorder::start(*machine, std::make_unique<traces::MemorySink>(bytes),
                                  {.detail = traces::Detail::Inputs})
                      .value();
  ASSERT_THAT(recorder->finish(recorder->run()), Succeeds());
  const auto trace = traces::Reader::parse("t", bytes).value();
  Replayer replayer(*machine, trace);

  EXPECT_THAT(replayer.without_devices(),
              test::FailsSaying(ErrorCode::Unsupported, "record with --record exits"));
}

}  // namespace
}  // namespace retrap
