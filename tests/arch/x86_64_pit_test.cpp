// The 8254 and port 0x61 as a guest talks to them.
#include "arch/x86_64/pit.h"

#include "tests/arch/x86_64_device_rig.h"

namespace retrap::x86_64 {
namespace {

using test::DeviceRig;

struct PitTest : testing::Test {
  Pit pit;
  DeviceRig rig{pit};

  void load(unsigned channel, std::uint16_t count) {
    rig.out(channel, count & 0xff);
    rig.out(channel, count >> 8);
  }
  std::uint16_t latched(unsigned channel) {
    rig.out(3, channel << 6);
    const auto low = rig.in(channel);
    return static_cast<std::uint16_t>(rig.in(channel) << 8 | low);
  }
  void wait_ticks(std::uint64_t ticks) {
    rig.wait_until(Pit::ns_at(Pit::ticks_at(rig.now_ns) + ticks));
  }
  /// Rising edges of OUT 0 while `ticks` pass.
  unsigned edges(std::uint64_t ticks) {
    const std::uint64_t end = Pit::ns_at(Pit::ticks_at(rig.now_ns) + ticks);
    unsigned count = 0;
    bool level = pit.irq_level();
    while (pit.deadline_ns() <= end) {
      rig.now_ns = pit.deadline_ns();
      pit.advance(rig.now_ns);
      if (pit.irq_level() && !level) ++count;
      level = pit.irq_level();
    }
    rig.now_ns = end;
    return count;
  }
};

TEST(PitTime, RoundsSoThatADeadlineIsNeverEarly) {
  for (std::uint64_t tick = 0; tick < 100'000; tick += 7) {
    const std::uint64_t ns = Pit::ns_at(tick);
    ASSERT_EQ(Pit::ticks_at(ns), tick);
    if (ns > 0) {
      ASSERT_LT(Pit::ticks_at(ns - 1), std::max<std::uint64_t>(tick, 1));
    }
  }
  EXPECT_EQ(Pit::ticks_at(1'000'000'000'000), 1'193'182'000u);
  EXPECT_EQ(Pit::ns_at(kNever), kNever);
}

TEST_F(PitTest, HasNoDeadlineBeforeItIsProgrammed) {
  EXPECT_EQ(pit.deadline_ns(), kNever);
  EXPECT_FALSE(pit.irq_level());
}

TEST_F(PitTest, RaisesOneEdgeInMode0) {
  rig.out(3, 0x30);
  load(0, 1000);

  EXPECT_EQ(edges(999), 0u);
  EXPECT_EQ(edges(1), 1u);
  EXPECT_TRUE(pit.irq_level());
  EXPECT_EQ(edges(100'000), 0u);
  EXPECT_EQ(pit.deadline_ns(), kNever);
}

TEST_F(PitTest, RaisesAnEdgeEveryPeriodInModes2And3) {
  for (const unsigned control : {0x34U, 0x36U, 0x3cU, 0x3eU}) {
    rig.out(3, control);
    load(0, 11932);

    EXPECT_EQ(edges(119'320), 10u) << control;
  }
}

TEST_F(PitTest, TakesADivisorOfZeroForTheLargest) {
  rig.out(3, 0x34);
  load(0, 0);

  EXPECT_EQ(edges(65'536 * 3), 3u);
}

TEST_F(PitTest, StrobesInMode4) {
  rig.out(3, 0x38);
  load(0, 10);
  EXPECT_TRUE(pit.irq_level());
  wait_ticks(10);
  EXPECT_FALSE(pit.irq_level());
  wait_ticks(1);
  EXPECT_TRUE(pit.irq_level());
}

TEST_F(PitTest, CountsDown) {
  rig.out(3, 0x34);
  load(0, 1000);
  wait_ticks(300);
  EXPECT_EQ(latched(0), 700);
  wait_ticks(800);
  EXPECT_EQ(latched(0), 900) << "the second period";
  rig.out(3, 0x30);
  load(0, 100);
  wait_ticks(150);
  EXPECT_EQ(latched(0), 0x10000 - 50) << "mode 0 wraps";
}

TEST_F(PitTest, CountsByTwoInMode3) {
  rig.out(3, 0x36);
  load(0, 1000);
  wait_ticks(100);
  EXPECT_EQ(latched(0), 800);
  wait_ticks(500);
  EXPECT_EQ(latched(0), 800);
}

TEST_F(PitTest, CountsInDecimal) {
  rig.out(3, 0x35);
  load(0, 0x1000);  // one thousand
  wait_ticks(1);
  EXPECT_EQ(latched(0), 0x0999);
}

TEST_F(PitTest, ReadsSingleBytesWhereProgrammedSo) {
  rig.out(3, 0x14);  // channel 0, low byte, mode 2
  rig.out(0, 200);
  wait_ticks(50);
  EXPECT_EQ(rig.in(0), 150u);
  rig.out(3, 0x24);  // high byte
  rig.out(0, 2);
  wait_ticks(12);
  EXPECT_EQ(rig.in(0), 1u) << "500 >> 8";
}

TEST_F(PitTest, KeepsTheFirstLatchedCount) {
  rig.out(3, 0x34);
  load(0, 1000);
  rig.out(3, 0x00);
  wait_ticks(100);
  rig.out(3, 0x00);
  EXPECT_EQ(rig.in(0) | rig.in(0) << 8, 1000u);
}

TEST_F(PitTest, AnswersTheReadBackCommand) {
  rig.out(3, 0x34);
  rig.out(3, 0xe2);  // status of channel 0
  EXPECT_EQ(rig.in(0), 0xf4u) << "OUT high, null count, both bytes, mode 2";
  load(0, 1000);
  wait_ticks(1);
  rig.out(3, 0xc2);  // status and count
  EXPECT_EQ(rig.in(0), 0xb4u);
  EXPECT_EQ(rig.in(0) | rig.in(0) << 8, 999u);
}

TEST_F(PitTest, StopsCountingWhileAMode0CountIsWritten) {
  rig.out(3, 0x30);
  load(0, 100);
  rig.out(0, 50);
  EXPECT_EQ(pit.deadline_ns(), kNever);
  rig.out(0, 0);
  EXPECT_EQ(edges(50), 1u);
}

TEST_F(PitTest, TakesANewCountInAPeriodicMode) {
  rig.out(3, 0x34);
  load(0, 1000);
  wait_ticks(10);
  load(0, 500);
  EXPECT_EQ(edges(5000), 10u);
}

TEST_F(PitTest, RefusesWhatThe8254DoesNotHave) {
  EXPECT_EQ(rig.try_in(0, Width::Half).error(), IoError::BadWidth);
  EXPECT_EQ(rig.try_out(0, 0, Width::Word).error(), IoError::BadWidth);
  EXPECT_EQ(rig.try_in(3, Width::Byte).error(), IoError::WriteOnly);
}

TEST_F(PitTest, GatesChannel2ByPort61) {
  SystemControlPort port(pit);
  DeviceRig control{port};
  rig.out(3, 0xb0);  // channel 2, mode 0
  load(2, 1000);
  wait_ticks(5000);
  control.now_ns = rig.now_ns;
  EXPECT_EQ(control.in(0) & 0x20, 0u) << "the gate is off";
  control.out(0, 1);
  EXPECT_EQ(control.in(0) & 3, 1u);
  wait_ticks(999);
  control.now_ns = rig.now_ns;
  EXPECT_EQ(control.in(0) & 0x20, 0u);
  wait_ticks(1);
  control.now_ns = rig.now_ns;
  EXPECT_EQ(control.in(0) & 0x20, 0x20u);
}

TEST_F(PitTest, GoesOnWhereTheGateStoppedMode0) {
  SystemControlPort port(pit);
  DeviceRig control{port};
  control.out(0, 1);
  rig.out(3, 0xb0);
  load(2, 1000);
  wait_ticks(400);
  control.now_ns = rig.now_ns;
  control.out(0, 0);
  wait_ticks(5000);
  control.now_ns = rig.now_ns;
  control.out(0, 1);
  EXPECT_EQ(latched(2), 600);
}

TEST_F(PitTest, TogglesTheRefreshBit) {
  SystemControlPort port(pit);
  DeviceRig control{port};
  const auto before = control.in(0) & 0x10;
  control.now_ns += 15'085;
  EXPECT_NE(control.in(0) & 0x10, before);
}

TEST_F(PitTest, WaitsForATriggerInMode1) {
  SystemControlPort port(pit);
  DeviceRig control{port};
  rig.out(3, 0xb2);
  load(2, 100);
  EXPECT_EQ(control.in(0) & 0x20, 0x20u) << "high until triggered";
  control.out(0, 1);
  EXPECT_EQ(control.in(0) & 0x20, 0u);
  wait_ticks(100);
  control.now_ns = rig.now_ns;
  EXPECT_EQ(control.in(0) & 0x20, 0x20u);
}

TEST_F(PitTest, ResetsToTheStateAfterPowerOn) {
  const std::uint64_t fresh = test::digest_of(pit);
  rig.out(3, 0x34);
  load(0, 1000);
  EXPECT_NE(test::digest_of(pit), fresh);
  pit.reset();
  EXPECT_EQ(test::digest_of(pit), fresh);
}

}  // namespace
}  // namespace retrap::x86_64
