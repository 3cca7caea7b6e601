// Virtual time: where a CPU stops, and who is called then.
#include "vmm/clock.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace retrap {
namespace {

using ::testing::ElementsAre;

/// Writes down when it is called; may set its alarm again.
class Recorder final : public AlarmSink {
 public:
  Recorder(Clock& clock, std::vector<std::string>& log, std::string name)
      : clock_(clock), log_(log), name_(std::move(name)), id(clock.add_alarm(this)) {}

  void on_alarm(std::uint64_t now_ns) override {
    log_.push_back(fmt::format("{}@{}", name_, now_ns));
    if (again != kNever) clock_.set_alarm(id, again);
  }

 private:
  Clock& clock_;
  std::vector<std::string>& log_;
  std::string name_;

 public:
  Clock::AlarmId id;
  std::uint64_t again = kNever;
};

TEST(Clock, CountsInstructionsAndIdleTimeTogether) {
  Clock clock(3);

  clock.retire_to(10);
  clock.skip_to(100);

  EXPECT_EQ(clock.retired(), 10u);
  EXPECT_EQ(clock.now_ns(), 100u);
  EXPECT_EQ(clock.idle_ns(), 70u);
  EXPECT_EQ(clock.ns_at(20), 130u);
}

TEST(Clock, NeverSkipsBackwards) {
  Clock clock;
  clock.retire_to(50);

  clock.skip_to(20);

  EXPECT_EQ(clock.now_ns(), 50u);
}

TEST(Clock, StopsAtTheFirstInstructionAtWhichAnAlarmIsDue) {
  Clock clock(10);
  std::vector<std::string> log;
  Recorder sink(clock, log, "a");

  clock.set_alarm(sink.id, 95);
  EXPECT_EQ(clock.stop_at(), 10u);

  clock.set_alarm(sink.id, 90);
  EXPECT_EQ(clock.stop_at(), 9u);
}

TEST(Clock, StopsAtTheSliceEndWhereThatIsEarlier) {
  Clock clock;
  std::vector<std::string> log;
  Recorder sink(clock, log, "a");
  clock.set_alarm(sink.id, 90);

  clock.set_slice_end(40);
  EXPECT_EQ(clock.stop_at(), 40u);

  clock.set_slice_end(400);
  EXPECT_EQ(clock.stop_at(), 90u);
}

TEST(Clock, StopsEarlierAfterIdleTime) {
  Clock clock;
  std::vector<std::string> log;
  Recorder sink(clock, log, "a");
  clock.set_alarm(sink.id, 90);

  clock.skip_to(60);

  EXPECT_EQ(clock.stop_at(), 30u);
}

TEST(Clock, FiresByDeadlineThenByRegistration) {
  Clock clock;
  std::vector<std::string> log;
  Recorder a(clock, log, "a");
  Recorder b(clock, log, "b");
  Recorder c(clock, log, "c");
  clock.set_alarm(a.id, 20);
  clock.set_alarm(b.id, 10);
  clock.set_alarm(c.id, 10);

  clock.retire_to(20);
  clock.fire_due();

  EXPECT_THAT(log, ElementsAre("b@20", "c@20", "a@20"));
  EXPECT_EQ(clock.next_alarm_ns(), kNever);
}

TEST(Clock, LeavesWhatIsNotDue) {
  Clock clock;
  std::vector<std::string> log;
  Recorder sink(clock, log, "a");
  clock.set_alarm(sink.id, 20);

  clock.retire_to(19);
  clock.fire_due();

  EXPECT_TRUE(log.empty());
  EXPECT_FALSE(clock.alarm_is_due());
}

TEST(Clock, FiresAPastDeadlineAtTheNextInstruction) {
  Clock clock;
  std::vector<std::string> log;
  Recorder sink(clock, log, "a");
  clock.retire_to(100);

  clock.set_alarm(sink.id, 5);

  EXPECT_FALSE(clock.alarm_is_due());
  EXPECT_EQ(clock.stop_at(), 101u);
}

TEST(Clock, CannotBeStoppedByASinkThatAlwaysSetsItsAlarmAgain) {
  Clock clock;
  std::vector<std::string> log;
  Recorder sink(clock, log, "a");
  sink.again = 1;
  clock.set_alarm(sink.id, 10);

  clock.retire_to(10);
  clock.fire_due();

  EXPECT_THAT(log, ElementsAre("a@10"));
  EXPECT_EQ(clock.stop_at(), 11u);
}

TEST(Clock, UsesThePlaceOfARemovedAlarmAgain) {
  Clock clock;
  std::vector<std::string> log;
  Recorder a(clock, log, "a");
  clock.set_alarm(a.id, 10);

  clock.remove_alarm(a.id);
  const Recorder b(clock, log, "b");

  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(clock.stop_at(), kNever);
}

TEST(Clock, StartsAgainWithItsSinks) {
  Clock clock;
  std::vector<std::string> log;
  Recorder sink(clock, log, "a");
  clock.set_alarm(sink.id, 10);
  clock.set_slice_end(5);
  clock.retire_to(5);

  clock.reset();
  EXPECT_EQ(clock.now_ns(), 0u);
  EXPECT_EQ(clock.stop_at(), kNever);

  clock.set_alarm(sink.id, 7);
  EXPECT_EQ(clock.stop_at(), 7u);
}

}  // namespace
}  // namespace retrap
