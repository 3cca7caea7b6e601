// A recording that somebody has interrupted replays to where that was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/replay.h"
#include "sim/testing.h"
#include "tests/replay/guest_machine.h"

namespace retrap {
namespace {

using test::machine_with;
using test::Succeeds;
using Outcome = ReplayReport::Outcome;

class Interrupted : public ::testing::TestWithParam<ArchId> {
 public:
  [[nodiscard]] auto make(std::string_view guest) const {
    return [=, arch = GetParam()] { return machine_with(arch, guest); };
  }
};

INSTANTIATE_TEST_SUITE_P(All, Interrupted, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

RunReport interrupted(RunReport report) {
  report.reason = StopReason::Interrupted;
  return report;
}

TEST_P(Interrupted, BetweenTwoInstructionsIsIdentical) {
  for (const std::uint64_t count : {1U, 999U, 1000U, 3001U, 7001U}) {
    EXPECT_TRUE(testing::replays(
        make("timer"),
        [&](Machine&, Recorder& recorder) { return interrupted(recorder.run(count)); }, 1000))
        << count;
  }
}

TEST_P(Interrupted, AtRestIsIdentical) {
  EXPECT_TRUE(testing::replays(
      make("echo"), [](Machine&, Recorder& recorder) { return interrupted(recorder.run()); }));
}

TEST_P(Interrupted, AfterSomethingWasTypedIsIdentical) {
  EXPECT_TRUE(testing::replays(make("echo"), [](Machine& machine, Recorder& recorder) {
    (void)recorder.run();
    EXPECT_TRUE(machine.type(machine.vm(0), 'x'));
    return interrupted(recorder.run(7));
  }));
}

/// Stops its machine behind one exit.
class StopAt final : public Observer {
 public:
  StopAt(Machine& machine, std::uint64_t exit) : machine_(machine), left_(exit) {
    machine_.add_listener(*this);
  }
  StopAt(const StopAt&) = delete;
  StopAt& operator=(const StopAt&) = delete;
  ~StopAt() override { machine_.remove_listener(*this); }
  void on_exit(const ExitEvent&) override {
    if (left_-- == 0) machine_.request_stop();
  }

 private:
  Machine& machine_;
  std::uint64_t left_;
};

TEST_P(Interrupted, BehindAnyExitIsIdentical) {
  for (std::uint64_t exit = 0; exit < 40; ++exit) {
    EXPECT_TRUE(testing::replays(make("timer"), [&](Machine& machine, Recorder& recorder) {
      const StopAt stop(machine, exit);
      return recorder.run();
    })) << exit;
  }
}

TEST_P(Interrupted, AndContinuedAfterAnInputIsIdentical) {
  for (std::uint64_t exit = 0; exit < 20; ++exit) {
    EXPECT_TRUE(testing::replays(make("echo"), [&](Machine& machine, Recorder& recorder) {
      {
        const StopAt stop(machine, exit);
        (void)recorder.run();
      }
      EXPECT_THAT(machine.suspend(machine.vm(0)), Succeeds());
      EXPECT_THAT(machine.resume(machine.vm(0)), Succeeds());
      return interrupted(recorder.run(1000));
    })) << exit;
  }
}

TEST_P(Interrupted, IsComparedToItsLastBit) {
  traces::ByteVector bytes;
  auto machine = machine_with(GetParam(), "timer").value();
  auto recorder =
      Recorder::start(*machine, std::make_unique<traces::MemorySink>(bytes), {}).value();
  RunReport report = interrupted(recorder->run(5000));
  Vcpu* const vcpu = *machine->vm(0).vcpu(kBootVcpu);
  ASSERT_THAT(vcpu->set_gpr(11, vcpu->arch().gpr(11).value() ^ 1), Succeeds());
  ASSERT_THAT(recorder->finish(report), Succeeds());
  const auto trace = traces::Reader::parse("t", bytes).value();
  auto again = machine_with(GetParam(), "timer").value();
  const auto replayed = Replayer(*again, trace).run();

  ASSERT_THAT(replayed, Succeeds());
  ASSERT_EQ(replayed->outcome, Outcome::Diverged);
  EXPECT_EQ(replayed->divergence->what.field, "digest at the end");
}

}  // namespace
}  // namespace retrap
