// The real-time clocks that are seconds or nanoseconds since 1970: what they show, when they ring.
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "vmm/base/prng.h"
#include "vmm/bus.h"
#include "vmm/devices/goldfish_rtc.h"
#include "vmm/devices/pl031.h"

namespace retrap {
namespace {

constexpr std::uint64_t kSecond = kNsPerSecond;

std::uint64_t state_of(const Device& device) {
  Digest digest;
  device.digest(digest);
  return digest.value();
}

/// A clock, its registers, and virtual time that meets every deadline on its way.
template <class Rtc>
class ClockTest : public ::testing::Test {
 public:
  [[nodiscard]] Access at(std::uint64_t offset, Width width = Width::Word) const {
    return {.offset = offset, .width = width, .vcpu = kBootVcpu, .now_ns = now_ns};
  }
  [[nodiscard]] std::uint64_t get(std::uint64_t offset) { return *rtc.read(at(offset)); }
  void set(std::uint64_t offset, std::uint64_t value) {
    EXPECT_TRUE(rtc.write(at(offset), value).has_value()) << offset;
  }
  void wait_until(std::uint64_t end_ns) {
    while (rtc.deadline_ns() <= end_ns) {
      EXPECT_GE(rtc.deadline_ns(), now_ns);
      now_ns = rtc.deadline_ns();
      rtc.advance(now_ns);
    }
    now_ns = end_ns;
  }

  /// Any access there is, at times that go up to the end of time.
  void survive_hostile_accesses() {
    constexpr std::array kWidths = {Width::Byte, Width::Half, Width::Word, Width::Double};
    Prng prng(7);
    for (int step = 0; step < 50'000; ++step) {
      const std::uint64_t left = kNever - 1 - now_ns;
      if (left != 0 && prng.chance(1, 50))
        now_ns += 1 + prng.below((left >> prng.between(1, 63)) + 1);
      if (rtc.deadline_ns() <= now_ns) rtc.advance(now_ns);
      const Access access = at(prng.chance(1, 8) ? prng.below(0x1000 - 7) : 4 * prng.below(9),
                               kWidths[prng.chance(1, 8) ? prng.below(4) : 2]);
      if (prng.chance(1, 2)) {
        EXPECT_LE(rtc.read(access).value_or(0), all_ones(access.width));
      } else {
        (void)rtc.write(access, prng.next());
      }
      ASSERT_GT(rtc.deadline_ns(), now_ns) << "it would ring for ever";
    }
  }

  Rtc rtc;
  std::uint64_t now_ns = 0;
};

// PL031 (DDI 0224C).

class APl031 : public ClockTest<Pl031> {
 public:
  static constexpr std::uint64_t kData = 0x00;
  static constexpr std::uint64_t kMatch = 0x04;
  static constexpr std::uint64_t kLoad = 0x08;
  static constexpr std::uint64_t kControl = 0x0c;
  static constexpr std::uint64_t kMask = 0x10;
  static constexpr std::uint64_t kRaw = 0x14;
  static constexpr std::uint64_t kMasked = 0x18;
  static constexpr std::uint64_t kClear = 0x1c;
};

TEST_F(APl031, HasTheIdsThatDriversLookFor) {
  EXPECT_EQ(get(0xfe0) | get(0xfe4) << 8 | get(0xfe8) << 16 | get(0xfec) << 24, 0x00141031u);
  EXPECT_EQ(get(0xff0) | get(0xff4) << 8 | get(0xff8) << 16 | get(0xffc) << 24, 0xb105f00du);
}

TEST_F(APl031, CountsTheSecondsOfVirtualTime) {
  EXPECT_EQ(get(kData), kEpochSeconds);
  now_ns = 90 * kSecond - 1;
  EXPECT_EQ(get(kData), kEpochSeconds + 89);
  now_ns = 90 * kSecond;
  EXPECT_EQ(get(kData), kEpochSeconds + 90);
}

TEST_F(APl031, RunsAndCannotBeStopped) {
  EXPECT_EQ(get(kControl), 1u);
  set(kControl, 0);
  now_ns = kSecond;
  EXPECT_EQ(get(kControl), 1u);
  EXPECT_EQ(get(kData), kEpochSeconds + 1);
}

TEST_F(APl031, CanBeSet) {
  now_ns = 5 * kSecond + 1;
  EXPECT_EQ(get(kLoad), 0u);
  set(kLoad, 0xffff'fffe);
  EXPECT_EQ(get(kLoad), 0xffff'fffeu);
  EXPECT_EQ(get(kData), 0xffff'fffeu);
  now_ns = 7 * kSecond;
  EXPECT_EQ(get(kData), 0u) << "the counter wraps";
}

TEST_F(APl031, InterruptsWhenTheCounterComesToTheMatch) {
  now_ns = kSecond / 2;
  set(kMask, 1);
  set(kMatch, kEpochSeconds + 3);
  EXPECT_EQ(get(kMatch), kEpochSeconds + 3);
  EXPECT_EQ(rtc.deadline_ns(), 3 * kSecond);
  wait_until(3 * kSecond - 1);
  EXPECT_FALSE(rtc.irq_level());

  wait_until(3 * kSecond);

  EXPECT_TRUE(rtc.irq_level());
  EXPECT_EQ(get(kRaw), 1u);
  EXPECT_EQ(get(kMasked), 1u);
  set(kClear, 0);
  EXPECT_TRUE(rtc.irq_level()) << "zeroes clear nothing";
  set(kClear, 1);
  EXPECT_FALSE(rtc.irq_level());
  EXPECT_EQ(get(kRaw), 0u);
}

TEST_F(APl031, InterruptsAtOnceForTheSecondThatIs) {
  set(kMask, 1);
  set(kMatch, kEpochSeconds);
  EXPECT_TRUE(rtc.irq_level());
}

TEST_F(APl031, MatchesAgainATurnOfTheCounterLater) {
  set(kMask, 1);
  set(kMatch, kEpochSeconds);
  set(kClear, 1);
  EXPECT_EQ(rtc.deadline_ns(), (std::uint64_t{1} << 32) * kSecond);
  set(kMatch, kEpochSeconds - 1);
  EXPECT_EQ(rtc.deadline_ns(), 0xffff'ffff * kSecond) << "the past is in the next turn";
}

TEST_F(APl031, FindsTheMatchWhereItIsSet) {
  set(kMask, 1);
  set(kMatch, kEpochSeconds + 100);
  set(kLoad, kEpochSeconds + 98);
  EXPECT_EQ(rtc.deadline_ns(), 2 * kSecond);
  set(kLoad, kEpochSeconds + 100);
  EXPECT_TRUE(rtc.irq_level());
}

TEST_F(APl031, SaysNothingWhileItIsMasked) {
  set(kMatch, kEpochSeconds + 1);
  EXPECT_EQ(rtc.deadline_ns(), kNever) << "nobody would hear it";
  wait_until(5 * kSecond);
  EXPECT_EQ(get(kRaw), 1u);
  EXPECT_EQ(get(kMasked), 0u);
  EXPECT_FALSE(rtc.irq_level());

  set(kMask, 0xffff'ffff);

  EXPECT_EQ(get(kMask), 1u);
  EXPECT_EQ(get(kMasked), 1u);
  EXPECT_TRUE(rtc.irq_level());
  set(kMask, 0);
  EXPECT_FALSE(rtc.irq_level());
}

TEST_F(APl031, FindsAMatchLateAsItWouldInTime) {
  Pl031 twin;
  ASSERT_TRUE(twin.write(at(kMatch), kEpochSeconds + 1).has_value());
  set(kMatch, kEpochSeconds + 1);
  for (now_ns = 0; now_ns < 9 * kSecond; now_ns += kSecond / 3) twin.advance(now_ns);
  EXPECT_EQ(get(kRaw), 1u);
  ASSERT_TRUE(twin.read(at(kRaw)).has_value());
  EXPECT_EQ(state_of(rtc), state_of(twin));
}

TEST_F(APl031, IsAsNewAfterAReset) {
  const std::uint64_t pristine = state_of(rtc);
  now_ns = 3 * kSecond;
  set(kLoad, 5);
  set(kMask, 1);
  set(kMatch, 5);
  EXPECT_NE(state_of(rtc), pristine);

  rtc.reset();

  EXPECT_EQ(state_of(rtc), pristine);
  EXPECT_FALSE(rtc.irq_level());
  EXPECT_EQ(get(kData), kEpochSeconds + 3) << "virtual time goes on";
}

TEST_F(APl031, TellsWhyItTakesNoAccess) {
  EXPECT_EQ(rtc.write(at(kData), 0).error(), IoError::ReadOnly);
  EXPECT_EQ(rtc.write(at(kRaw), 0).error(), IoError::ReadOnly);
  EXPECT_EQ(rtc.read(at(kClear)).error(), IoError::WriteOnly);
  EXPECT_EQ(rtc.read(at(0x20)).error(), IoError::NoRegister);
  EXPECT_EQ(rtc.read(at(0x01)).error(), IoError::NoRegister);
  for (const Width width : {Width::Byte, Width::Half, Width::Double}) {
    EXPECT_EQ(rtc.read(at(kData, width)).error(), IoError::BadWidth);
    EXPECT_EQ(rtc.write(at(kLoad, width), 1).error(), IoError::BadWidth);
  }
  EXPECT_EQ(get(kData), kEpochSeconds);
}

TEST_F(APl031, SurvivesHostileAccesses) {
  survive_hostile_accesses();
}

// Goldfish.

class AGoldfishRtc : public ClockTest<GoldfishRtc> {
 public:
  static constexpr std::uint64_t kTimeLow = 0x00;
  static constexpr std::uint64_t kTimeHigh = 0x04;
  static constexpr std::uint64_t kAlarmLow = 0x08;
  static constexpr std::uint64_t kAlarmHigh = 0x0c;
  static constexpr std::uint64_t kEnabled = 0x10;
  static constexpr std::uint64_t kClearAlarm = 0x14;
  static constexpr std::uint64_t kRunning = 0x18;
  static constexpr std::uint64_t kClearInterrupt = 0x1c;
  static constexpr std::uint64_t kEpochNs = kEpochSeconds * kSecond;

  [[nodiscard]] std::uint64_t time() {
    const std::uint64_t low = get(kTimeLow);
    return get(kTimeHigh) << 32 | low;
  }
  void set_time(std::uint64_t ns) {
    set(kTimeHigh, ns >> 32);
    set(kTimeLow, ns & 0xffff'ffff);
  }
  void set_alarm(std::uint64_t ns) {
    set(kAlarmHigh, ns >> 32);
    set(kAlarmLow, ns & 0xffff'ffff);
  }
};

TEST_F(AGoldfishRtc, CountsTheNanosecondsOfVirtualTime) {
  EXPECT_EQ(time(), kEpochNs);
  now_ns = 1'234'567'890'123;
  EXPECT_EQ(time(), kEpochNs + 1'234'567'890'123);
}

TEST_F(AGoldfishRtc, KeepsTheHighWordOfTheLowOneThatWasRead) {
  now_ns = 0xffff'ffff - (kEpochNs & 0xffff'ffff);
  EXPECT_EQ(get(kTimeLow), 0xffff'ffffu);
  now_ns += 2;
  EXPECT_EQ(get(kTimeHigh), kEpochNs >> 32);
  EXPECT_EQ(get(kTimeLow), 1u);
  EXPECT_EQ(get(kTimeHigh), (kEpochNs >> 32) + 1);
}

TEST_F(AGoldfishRtc, CanBeSet) {
  now_ns = 77;
  set_time(0x0123'4567'89ab'cdef);
  EXPECT_EQ(time(), 0x0123'4567'89ab'cdefu);
  now_ns = 78;
  EXPECT_EQ(time(), 0x0123'4567'89ab'cdf0u);
  set_time(~std::uint64_t{0});
  now_ns = 80;
  EXPECT_EQ(time(), 1u) << "it wraps";
}

TEST_F(AGoldfishRtc, InterruptsAtTheAlarm) {
  set(kEnabled, 1);
  set_alarm(kEpochNs + 1500);
  EXPECT_EQ(get(kAlarmHigh) << 32 | get(kAlarmLow), kEpochNs + 1500);
  EXPECT_EQ(get(kRunning), 1u);
  EXPECT_EQ(rtc.deadline_ns(), 1500u);
  wait_until(1499);
  EXPECT_FALSE(rtc.irq_level());

  wait_until(1500);

  EXPECT_TRUE(rtc.irq_level());
  EXPECT_EQ(get(kRunning), 0u);
  EXPECT_EQ(rtc.deadline_ns(), kNever) << "once";
  set(kClearInterrupt, 1);
  EXPECT_FALSE(rtc.irq_level());
}

TEST_F(AGoldfishRtc, InterruptsAtOnceForAnAlarmThatIsPast) {
  set(kEnabled, 1);
  set_alarm(kEpochNs);
  EXPECT_TRUE(rtc.irq_level());
  EXPECT_EQ(get(kRunning), 0u);
}

TEST_F(AGoldfishRtc, SetsTheAlarmWithItsLowWord) {
  set(kEnabled, 1);
  set(kAlarmHigh, ~std::uint64_t{0} >> 32);
  EXPECT_EQ(get(kRunning), 0u);
  EXPECT_FALSE(rtc.irq_level());
}

TEST_F(AGoldfishRtc, ForgetsAnAlarmThatIsCleared) {
  set(kEnabled, 1);
  set_alarm(kEpochNs + 10);
  set(kClearAlarm, 1);
  EXPECT_EQ(get(kRunning), 0u);
  wait_until(20);
  EXPECT_FALSE(rtc.irq_level());
}

TEST_F(AGoldfishRtc, SaysNothingWhileInterruptsAreOff) {
  set_alarm(kEpochNs + 10);
  EXPECT_EQ(rtc.deadline_ns(), kNever) << "nobody would hear it";
  wait_until(20);
  EXPECT_EQ(get(kRunning), 0u) << "it rang all the same";
  EXPECT_FALSE(rtc.irq_level());

  set(kEnabled, 0xffff'ffff);

  EXPECT_EQ(get(kEnabled), 1u);
  EXPECT_TRUE(rtc.irq_level());
}

TEST_F(AGoldfishRtc, RingsAtTheTimeThatWasSetMeanwhile) {
  set(kEnabled, 1);
  set_alarm(kEpochNs + 1000);
  set_time(kEpochNs + 900);
  EXPECT_EQ(rtc.deadline_ns(), 100u);
  set_time(kEpochNs - (std::uint64_t{1} << 32));
  wait_until(1000);
  EXPECT_FALSE(rtc.irq_level());
  EXPECT_EQ(rtc.deadline_ns(), 1000 + (std::uint64_t{1} << 32));
  set_time(kEpochNs + 1000);
  EXPECT_TRUE(rtc.irq_level());
}

TEST_F(AGoldfishRtc, DoesNotRingBetweenTheWordsOfATime) {
  set(kEnabled, 1);
  set_time(0x0'ffff'0000);
  set_alarm(0x1'8000'0000);

  set_time(0x1'0000'1000);

  EXPECT_FALSE(rtc.irq_level());
  EXPECT_EQ(rtc.deadline_ns(), 0x7fff'f000u);
}

TEST_F(AGoldfishRtc, HasAlarmsBeyondTheEndOfTime) {
  now_ns = 100;
  set_time(0);
  set(kEnabled, 1);
  set_alarm(~std::uint64_t{0});
  EXPECT_EQ(get(kRunning), 1u);
  EXPECT_EQ(rtc.deadline_ns(), kNever);
}

TEST_F(AGoldfishRtc, IsAsNewAfterAReset) {
  const std::uint64_t pristine = state_of(rtc);
  now_ns = 40;
  set_time(5);
  set(kEnabled, 1);
  set_alarm(6);
  EXPECT_NE(state_of(rtc), pristine);

  rtc.reset();

  EXPECT_EQ(state_of(rtc), pristine);
  EXPECT_EQ(rtc.deadline_ns(), kNever);
  EXPECT_EQ(time(), kEpochNs + 40) << "virtual time goes on";
}

TEST_F(AGoldfishRtc, TellsWhyItTakesNoAccess) {
  EXPECT_EQ(rtc.read(at(kClearAlarm)).error(), IoError::WriteOnly);
  EXPECT_EQ(rtc.read(at(kClearInterrupt)).error(), IoError::WriteOnly);
  EXPECT_EQ(rtc.write(at(kRunning), 0).error(), IoError::ReadOnly);
  EXPECT_EQ(rtc.read(at(0x20)).error(), IoError::NoRegister);
  EXPECT_EQ(rtc.read(at(0x02)).error(), IoError::NoRegister);
  for (const Width width : {Width::Byte, Width::Half, Width::Double}) {
    EXPECT_EQ(rtc.read(at(kTimeLow, width)).error(), IoError::BadWidth);
    EXPECT_EQ(rtc.write(at(kTimeLow, width), 1).error(), IoError::BadWidth);
  }
  EXPECT_EQ(time(), kEpochNs);
}

TEST_F(AGoldfishRtc, SurvivesHostileAccesses) {
  survive_hostile_accesses();
}

// On a bus, as on a board.

TEST(AClockOnABus, ReadsZeroWhereItHasNoRegisterAndIsCounted) {
  Clock clock;
  Bus bus("mmio", clock);
  ASSERT_TRUE(bus.add(0x1000, std::make_unique<Pl031>()).has_value());

  EXPECT_EQ(bus.read(0x1020, Width::Word, kBootVcpu), 0u);
  EXPECT_EQ(bus.read(0x1000, Width::Byte, kBootVcpu), 0u);
  EXPECT_EQ(bus.read(0x101c, Width::Word, kBootVcpu), 0u);
  EXPECT_TRUE(bus.write(0x1000, Width::Word, 1, kBootVcpu));

  EXPECT_EQ(bus.counters().unknown_register, 1u);
  EXPECT_EQ(bus.counters().bad_width, 1u);
  EXPECT_EQ(bus.counters().write_only, 1u);
  EXPECT_EQ(bus.counters().read_only, 1u);
}

}  // namespace
}  // namespace retrap
