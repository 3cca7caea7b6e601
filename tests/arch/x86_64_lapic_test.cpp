// One local APIC through its page: priorities, timer, local vectors.
#include "arch/x86_64/lapic.h"

#include "arch/x86_64/local_apics.h"
#include "tests/arch/x86_64_device_rig.h"

namespace retrap::x86_64 {
namespace {

using test::DeviceRig;

struct LapicTest : testing::Test {
  LocalApics apics{{0, 1}};
  Lapic& own = apics.apic(0);
  DeviceRig rig{apics};

  std::uint32_t get(std::uint32_t offset) {
    return static_cast<std::uint32_t>(rig.in(offset, Width::Word));
  }
  void set(std::uint32_t offset, std::uint32_t value) { rig.out(offset, value, Width::Word); }
  /// Takes what is pending as the CPU does.
  std::optional<std::uint8_t> take() {
    const auto vector = own.pending();
    if (vector) own.acknowledge(*vector);
    return vector;
  }
};

TEST_F(LapicTest, HasTheRegistersOfTheManual) {
  EXPECT_EQ(get(apic::kId), 0u);
  EXPECT_EQ(get(apic::kVersion), 0x0005'0014u);
  EXPECT_EQ(get(apic::kDestinationFormat), 0xffff'ffffu);
  EXPECT_EQ(get(apic::kSpurious), 0x1ffu) << "as firmware leaves it";
  EXPECT_EQ(get(apic::kLvtLint0), 0x700u);
  EXPECT_EQ(get(apic::kLvtLint1), 0x400u);
  EXPECT_EQ(get(apic::kLvtTimer), 0x1'0000u);
  EXPECT_EQ(get(apic::kArbitrationPriority), 0u);
  rig.vcpu = VcpuId{1};
  EXPECT_EQ(get(apic::kId), 1u << 24);
  EXPECT_EQ(get(apic::kSpurious), 0xffu) << "an application processor is as after reset";
}

TEST_F(LapicTest, DeliversTheHighestVectorAboveThePriority) {
  own.accept(0x31, false);
  own.accept(0x52, false);
  EXPECT_EQ(get(apic::kRequest + 0x10), 1u << 17);
  EXPECT_EQ(get(apic::kRequest + 0x20), 1u << 18);

  EXPECT_EQ(take(), 0x52);
  EXPECT_EQ(get(apic::kInService + 0x20), 1u << 18);
  EXPECT_EQ(get(apic::kProcessorPriority), 0x50u);
  EXPECT_EQ(own.pending(), std::nullopt) << "31 waits for the end of 52";
  own.accept(0x61, false);
  EXPECT_EQ(take(), 0x61) << "a higher class interrupts";
  set(apic::kEoi, 0);
  set(apic::kEoi, 0);
  EXPECT_EQ(take(), 0x31);
}

TEST_F(LapicTest, HoldsBackWhatTheTaskPriorityExcludes) {
  set(apic::kTaskPriority, 0x55);
  own.accept(0x5f, false);
  EXPECT_EQ(own.pending(), std::nullopt);
  EXPECT_EQ(get(apic::kProcessorPriority), 0x55u);
  set(apic::kTaskPriority, 0x4f);
  EXPECT_EQ(own.pending(), 0x5f);
  EXPECT_EQ(get(apic::kTaskPriority), 0x4fu);
  own.set_task_priority(0x60);
  EXPECT_EQ(own.pending(), std::nullopt) << "CR8 is the same register";
}

TEST_F(LapicTest, TakesNothingWhileItIsSoftwareDisabled) {
  set(apic::kSpurious, 0xff);
  EXPECT_FALSE(own.accept(0x40, false));
  EXPECT_EQ(own.pending(), std::nullopt);
  EXPECT_EQ(get(apic::kLvtLint0), 0x1'0700u) << "and its local vectors are masked";
  set(apic::kLvtTimer, 0x40);
  EXPECT_EQ(get(apic::kLvtTimer), 0x1'0040u) << "as long as it is";
}

TEST_F(LapicTest, EndsNothingWhereNothingIsInService) {  // X11
  set(apic::kEoi, 0);
  EXPECT_EQ(get(apic::kInService), 0u);
}

TEST_F(LapicTest, CountsOnceAndInterruptsOnce) {  // X13
  set(apic::kLvtTimer, 0x40);
  set(apic::kDivide, 0xb);
  set(apic::kInitialCount, 100);
  EXPECT_EQ(apics.deadline_ns(), 4000u);
  rig.now_ns = 1000;
  EXPECT_EQ(get(apic::kCurrentCount), 75u);

  rig.wait_until(10'000);

  EXPECT_EQ(own.pending(), 0x40);
  EXPECT_EQ(get(apic::kCurrentCount), 0u) << "not a wrapped number";
  EXPECT_EQ(apics.deadline_ns(), kNever);
}

TEST_F(LapicTest, CountsAgainAndAgainInPeriodicMode) {  // X13
  set(apic::kLvtTimer, 0x2'0040);
  set(apic::kDivide, 0x3);  // by 16
  set(apic::kInitialCount, 10);
  const std::uint64_t period = 40 * 16 * 10;
  for (unsigned i = 1; i <= 5; ++i) {
    rig.wait_until(i * period);
    EXPECT_EQ(take(), 0x40) << i;
    set(apic::kEoi, 0);
  }
  EXPECT_EQ(apics.deadline_ns(), 6 * period);
  rig.now_ns = 5 * period + 40 * 16;
  EXPECT_EQ(get(apic::kCurrentCount), 9u);
}

TEST_F(LapicTest, UsesTheVectorThatIsThereAtExpiry) {  // X13
  set(apic::kLvtTimer, 0x40);
  set(apic::kDivide, 0xb);
  set(apic::kInitialCount, 100);
  set(apic::kLvtTimer, 0x41);
  rig.wait_until(4000);
  EXPECT_EQ(own.pending(), 0x41);
}

TEST_F(LapicTest, HonoursTheMaskAtExpiry) {  // X13
  set(apic::kLvtTimer, 0x1'0040);
  set(apic::kDivide, 0xb);
  set(apic::kInitialCount, 100);
  rig.wait_until(4000);
  EXPECT_EQ(own.pending(), std::nullopt);
}

TEST_F(LapicTest, StopsWithACountOfZero) {
  set(apic::kLvtTimer, 0x40);
  set(apic::kInitialCount, 100);
  set(apic::kInitialCount, 0);
  EXPECT_EQ(apics.deadline_ns(), kNever);
}

TEST_F(LapicTest, KeepsWhatIsLeftWhenTheDividerChanges) {
  set(apic::kLvtTimer, 0x40);
  set(apic::kDivide, 0xb);
  set(apic::kInitialCount, 100);
  rig.now_ns = 2000;
  set(apic::kDivide, 0x0);  // by two
  EXPECT_EQ(get(apic::kCurrentCount), 50u);
  EXPECT_EQ(apics.deadline_ns(), 2000u + 50 * 80);
  EXPECT_EQ(get(apic::kDivide), 0u);
}

TEST_F(LapicTest, FiresAtTheTscDeadline) {
  set(apic::kLvtTimer, 0x4'0040);
  own.set_tsc_deadline(5'000, 1'000, 0);
  EXPECT_EQ(own.tsc_deadline(), 5'000u);
  EXPECT_EQ(apics.deadline_ns(), 4'000u);
  own.set_tsc_offset(2'000, 0);
  EXPECT_EQ(apics.deadline_ns(), 3'000u) << "the deadline moves with the TSC";
  rig.wait_until(3'000);
  EXPECT_EQ(own.pending(), 0x40);
  EXPECT_EQ(own.tsc_deadline(), 0u) << "disarmed";
}

TEST_F(LapicTest, FiresATscDeadlineThatIsPastAtOnce) {
  set(apic::kLvtTimer, 0x4'0040);
  own.set_tsc_deadline(10, 0, 5'000);
  EXPECT_EQ(apics.deadline_ns(), 5'000u);
  own.set_tsc_deadline(0, 0, 5'000);
  EXPECT_EQ(apics.deadline_ns(), kNever) << "zero disarms";
}

TEST_F(LapicTest, IgnoresTheOtherTimersRegisters) {
  own.set_tsc_deadline(5'000, 0, 0);
  EXPECT_EQ(own.tsc_deadline(), 0u) << "one-shot mode has no deadline";
  set(apic::kLvtTimer, 0x4'0040);
  set(apic::kInitialCount, 100);
  EXPECT_EQ(apics.deadline_ns(), kNever);
  own.set_tsc_deadline(5'000, 0, 0);
  set(apic::kLvtTimer, 0x40);
  EXPECT_EQ(apics.deadline_ns(), kNever) << "a change of mode disarms";
}

TEST_F(LapicTest, ReportsErrorsOnceTheyAreLatched) {
  set(apic::kLvtError, 0xfe);
  EXPECT_FALSE(own.accept(5, false)) << "vectors 0 to 15 are illegal";
  EXPECT_EQ(get(apic::kErrorStatus), 0u);
  set(apic::kErrorStatus, 0);
  EXPECT_EQ(get(apic::kErrorStatus), apic::kReceiveIllegalVector);
  EXPECT_EQ(take(), 0xfe);
  set(apic::kErrorStatus, 0);
  EXPECT_EQ(get(apic::kErrorStatus), 0u);
}

TEST_F(LapicTest, RefusesRegistersThatAreNotThere) {  // X12
  EXPECT_EQ(rig.try_in(0x000, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(rig.try_in(0x024, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(rig.try_in(0x3f0, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(rig.try_in(0xff0, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(rig.try_out(0x3f0, 0, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(rig.try_out(0x040, 0, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(rig.try_out(apic::kVersion, 0, Width::Word).error(), IoError::ReadOnly);
  EXPECT_EQ(rig.try_in(apic::kEoi, Width::Word).error(), IoError::WriteOnly);
  EXPECT_EQ(rig.try_in(apic::kId, Width::Byte).error(), IoError::BadWidth);
  EXPECT_EQ(rig.try_out(apic::kId, 0, Width::Double).error(), IoError::BadWidth);
  set(apic::kErrorStatus, 0);
  EXPECT_EQ(get(apic::kErrorStatus), apic::kIllegalRegister);
}

TEST_F(LapicTest, KeepsOnlyWritableBits) {
  set(apic::kLogicalDestination, 0xffff'ffff);
  EXPECT_EQ(get(apic::kLogicalDestination), 0xff00'0000u);
  set(apic::kDestinationFormat, 0);
  EXPECT_EQ(get(apic::kDestinationFormat), 0x0fff'ffffu);
  set(apic::kLvtTimer, 0xffff'ffff);
  EXPECT_EQ(get(apic::kLvtTimer), 0x7'00ffu);
  set(apic::kId, 0x0900'0000);
  EXPECT_EQ(get(apic::kId), 0u) << "ids are fixed";
  set(apic::kDivide, 0xff);
  EXPECT_EQ(get(apic::kDivide), 0xbu);
  set(apic::kCommandHigh, 0xffff'ffff);
  EXPECT_EQ(get(apic::kCommandHigh), 0xff00'0000u);
}

TEST_F(LapicTest, DisappearsWhenItIsSwitchedOff) {
  own.set_base(apic::kBaseAddress | apic::kBaseBsp);
  EXPECT_EQ(rig.try_in(apic::kId, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(rig.try_out(apic::kEoi, 0, Width::Word).error(), IoError::NoRegister);
  EXPECT_TRUE(own.passes_ext_int()) << "LINT0 is INTR then";
  own.set_base(apic::kBaseAddress | apic::kBaseBsp | apic::kBaseEnable);
  EXPECT_EQ(get(apic::kSpurious), 0xffu) << "and comes back as after power-on";
  EXPECT_FALSE(own.passes_ext_int());
}

TEST_F(LapicTest, MatchesDestinations) {  // X12
  Lapic one(1, false);
  EXPECT_TRUE(one.matches(1, false));
  EXPECT_TRUE(one.matches(0xff, false));
  EXPECT_FALSE(one.matches(0, false));
  (void)one.write(apic::kLogicalDestination, 0x0200'0000, 0);
  EXPECT_TRUE(one.matches(0x06, true)) << "flat: any bit";
  EXPECT_FALSE(one.matches(0x01, true));
  (void)one.write(apic::kDestinationFormat, 0, 0);
  (void)one.write(apic::kLogicalDestination, 0x3200'0000, 0);
  EXPECT_TRUE(one.matches(0x32, true)) << "cluster 3, member 1";
  EXPECT_FALSE(one.matches(0x22, true));
  EXPECT_TRUE(one.matches(0xf2, true)) << "cluster 15 is all of them";
  one.set_base(one.base() & ~apic::kBaseEnable);
  EXPECT_FALSE(one.matches(1, false));
}

TEST_F(LapicTest, MatchesX2ApicClusters) {  // X12
  Lapic one(0x12, false);
  one.set_base(one.base() | apic::kBaseX2);
  EXPECT_EQ(one.read(apic::kLogicalDestination, 0), 0x0001'0004u);
  EXPECT_TRUE(one.matches(0x0001'0004, true));
  EXPECT_FALSE(one.matches(0x0002'0004, true));
  EXPECT_FALSE(one.matches(0x0001'0002, true));
  EXPECT_TRUE(one.matches(0x12, false));
  EXPECT_FALSE(one.matches(0xff, false));
  EXPECT_TRUE(one.matches(0xffff'ffff, false));
  EXPECT_EQ(one.read(apic::kId, 0), 0x12u) << "not shifted";
}

TEST_F(LapicTest, PutsEverythingIntoItsDigest) {
  const std::uint64_t fresh = test::digest_of(apics);
  own.accept(0x40, true);
  const std::uint64_t changed = test::digest_of(apics);
  EXPECT_NE(changed, fresh);
  apics.reset();
  EXPECT_EQ(test::digest_of(apics), fresh);
}

}  // namespace
}  // namespace retrap::x86_64
