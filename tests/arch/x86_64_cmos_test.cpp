// The real-time clock as a guest talks to it.
#include "arch/x86_64/cmos.h"

#include "tests/arch/x86_64_device_rig.h"

namespace retrap::x86_64 {
namespace {

using test::DeviceRig;
constexpr std::uint64_t kSecond = 1'000'000'000;

struct CmosTest : testing::Test {
  Cmos cmos;
  DeviceRig rig{cmos};

  std::uint64_t get(std::uint8_t index) {
    rig.out(0, index);
    return rig.in(1);
  }
  void set(std::uint8_t index, std::uint8_t value) {
    rig.out(0, index);
    rig.out(1, value);
  }
};

TEST_F(CmosTest, BeginsAtItsEpoch) {
  EXPECT_EQ(get(0), 0u);
  EXPECT_EQ(get(2), 0u);
  EXPECT_EQ(get(4), 0u);
  EXPECT_EQ(get(6), 5u) << "Thursday";
  EXPECT_EQ(get(7), 0x01u);
  EXPECT_EQ(get(8), 0x01u);
  EXPECT_EQ(get(9), 0x26u);
  EXPECT_EQ(get(0x32), 0x20u);
  EXPECT_EQ(get(0x0d), 0x80u) << "the battery is fine";
}

TEST_F(CmosTest, FollowsVirtualTime) {
  rig.now_ns = (31 * 86'400 + 13 * 3600 + 59 * 60 + 42) * kSecond;

  EXPECT_EQ(get(0), 0x42u);
  EXPECT_EQ(get(2), 0x59u);
  EXPECT_EQ(get(4), 0x13u);
  EXPECT_EQ(get(7), 0x01u);
  EXPECT_EQ(get(8), 0x02u);
}

TEST_F(CmosTest, CountsLeapYears) {
  rig.now_ns = (365 * 2 + 31 + 28) * 86'400 * kSecond;  // 2026, 2027, then to 29 February 2028

  EXPECT_EQ(get(7), 0x29u);
  EXPECT_EQ(get(8), 0x02u);
  EXPECT_EQ(get(9), 0x28u);
}

TEST_F(CmosTest, SpeaksBinaryAndTwelveHours) {
  rig.now_ns = 23 * 3600 * kSecond;
  set(0x0b, 0x06);
  EXPECT_EQ(get(4), 23u);
  set(0x0b, 0x00);
  EXPECT_EQ(get(4), 0x91u) << "eleven p.m.";
  set(0x0b, 0x04);
  EXPECT_EQ(get(4), 0x8bu);
  rig.now_ns = 0;
  EXPECT_EQ(get(4), 12u) << "midnight is twelve";
}

TEST_F(CmosTest, CanBeSet) {
  set(0x32, 0x19);
  set(9, 0x99);
  set(8, 0x12);
  set(7, 0x31);
  set(4, 0x23);
  set(2, 0x59);
  set(0, 0x58);
  EXPECT_EQ(get(6), 6u) << "31 December 1999 was a Friday";
  rig.now_ns += 2 * kSecond;
  EXPECT_EQ(get(0x32), 0x20u);
  EXPECT_EQ(get(9), 0x00u);
  EXPECT_EQ(get(7), 0x01u);
  set(6, 3);
  EXPECT_EQ(get(6), 7u) << "the weekday follows from the date";
}

TEST_F(CmosTest, ClampsNonsense) {
  set(0x0b, 0x06);
  set(0, 200);
  set(8, 0);
  set(7, 77);
  set(4, 99);

  EXPECT_EQ(get(0), 59u);
  EXPECT_EQ(get(8), 1u);
  EXPECT_EQ(get(7), 31u);
  EXPECT_EQ(get(4), 23u);
}

TEST_F(CmosTest, SetsHoursByTwelve) {
  set(0x0b, 0x00);
  set(4, 0x81);
  EXPECT_EQ(get(4), 0x81u);
  set(0x0b, 0x02);
  EXPECT_EQ(get(4), 0x13u);
}

TEST_F(CmosTest, ShowsTheUpdateInProgress) {
  EXPECT_EQ(get(0x0a), 0x26u);
  rig.now_ns = kSecond - 1000;
  EXPECT_EQ(get(0x0a), 0xa6u);
}

TEST_F(CmosTest, InterruptsEverySecond) {
  set(0x0b, 0x12);
  EXPECT_EQ(cmos.deadline_ns(), kSecond);
  rig.wait_until(kSecond);
  EXPECT_TRUE(cmos.irq_level());
  EXPECT_EQ(get(0x0c), 0x90u);
  EXPECT_FALSE(cmos.irq_level()) << "reading register C acknowledges";
  EXPECT_EQ(get(0x0c), 0u);
}

TEST_F(CmosTest, InterruptsAtTheAlarm) {
  set(1, 0x03);
  set(3, 0xff);
  set(5, 0xff);
  set(0x0b, 0x22);
  rig.wait_until(2 * kSecond);
  EXPECT_FALSE(cmos.irq_level());
  rig.wait_until(3 * kSecond);
  EXPECT_TRUE(cmos.irq_level());
  EXPECT_EQ(get(0x0c) & 0xa0, 0xa0u);
}

TEST_F(CmosTest, InterruptsPeriodically) {
  set(0x0b, 0x42);
  EXPECT_EQ(cmos.deadline_ns(), 976'562u) << "1024 Hz";
  rig.wait_until(976'562);
  EXPECT_EQ(get(0x0c), 0xc0u);
  set(0x0a, 0x20);
  EXPECT_EQ(cmos.deadline_ns(), kNever) << "rate 0 is none";
  set(0x0a, 0x21);
  EXPECT_NE(cmos.deadline_ns(), kNever);
}

TEST_F(CmosTest, RemembersItsMemory) {
  set(0x50, 0xa5);
  EXPECT_EQ(get(0x50), 0xa5u);
  set(0x0c, 0xff);
  set(0x0d, 0);
  EXPECT_EQ(get(0x0d), 0x80u);
  const std::uint64_t written = test::digest_of(cmos);
  cmos.reset();
  EXPECT_NE(test::digest_of(cmos), written);
  EXPECT_EQ(get(0x50), 0u);
}

TEST_F(CmosTest, RefusesOtherWidths) {
  EXPECT_EQ(rig.in(0), 0xffu);
  EXPECT_EQ(rig.try_in(0, Width::Half).error(), IoError::BadWidth);
  EXPECT_EQ(rig.try_out(0, 0, Width::Half).error(), IoError::BadWidth);
}

}  // namespace
}  // namespace retrap::x86_64
