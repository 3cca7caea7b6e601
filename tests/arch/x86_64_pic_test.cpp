// The 8259A pair as a guest talks to it.
#include "arch/x86_64/pic.h"

#include "tests/arch/x86_64_device_rig.h"

namespace retrap::x86_64 {
namespace {

using test::DeviceRig;

struct PicTest : testing::Test {
  /// Linux' initialisation: vectors 0x20 and 0x28, edge triggered, no automatic EOI.
  void initialise(std::uint8_t icw4 = 1) {
    master.out(0, 0x11);
    master.out(1, 0x20);
    master.out(1, 4);
    master.out(1, icw4);
    slave.out(0, 0x11);
    slave.out(1, 0x28);
    slave.out(1, 2);
    slave.out(1, icw4);
    master.out(1, 0);
    slave.out(1, 0);
  }

  PicPair pair;
  DeviceRig master{pair.master()};
  DeviceRig slave{pair.slave()};
};

TEST_F(PicTest, DoesNothingBeforeItIsInitialised) {
  pair.set_line(0, true);

  EXPECT_FALSE(pair.output());
}

TEST_F(PicTest, DeliversAnEdgeOnce) {
  initialise();
  pair.set_line(4, true);

  ASSERT_TRUE(pair.output());
  EXPECT_EQ(pair.acknowledge(), 0x24);
  master.out(0, 0x20);
  EXPECT_FALSE(pair.output()) << "the line is still high, and that is no edge";
  pair.set_line(4, false);
  pair.set_line(4, true);
  EXPECT_TRUE(pair.output());
}

TEST_F(PicTest, DeliversALevelUntilItFalls) {
  initialise();
  PicEdgeLevelControl elcr(pair);
  DeviceRig control{elcr};
  control.out(0, 0xff);
  EXPECT_EQ(control.in(0), 0xf8u) << "IRQ 0 to 2 have edges only";
  pair.set_line(5, true);

  EXPECT_EQ(pair.acknowledge(), 0x25);
  EXPECT_FALSE(pair.output());
  master.out(0, 0x20);
  EXPECT_TRUE(pair.output());
  pair.set_line(5, false);
  EXPECT_FALSE(pair.output());
  EXPECT_FALSE(control.try_in(0, Width::Half));
  EXPECT_FALSE(control.try_out(0, 0, Width::Half));
}

TEST_F(PicTest, CascadesTheSlave) {
  initialise();
  pair.set_line(8, true);

  ASSERT_TRUE(pair.output());
  EXPECT_EQ(pair.acknowledge(), 0x28);
  slave.out(0, 0x0b);
  EXPECT_EQ(slave.in(0), 1u) << "in service at the slave";
  master.out(0, 0x0b);
  EXPECT_EQ(master.in(0), 4u) << "and the cascade at the master";
}

TEST_F(PicTest, ServesTheLowestNumberFirst) {
  initialise();
  pair.set_line(7, true);
  pair.set_line(1, true);

  EXPECT_EQ(pair.acknowledge(), 0x21);
  EXPECT_FALSE(pair.output()) << "7 has to wait for the end of 1";
  master.out(0, 0x61);
  EXPECT_EQ(pair.acknowledge(), 0x27);
}

TEST_F(PicTest, LetsAHigherPriorityInterrupt) {
  initialise();
  pair.set_line(4, true);
  (void)pair.acknowledge();
  pair.set_line(0, true);

  EXPECT_EQ(pair.acknowledge(), 0x20);
}

TEST_F(PicTest, KeepsMaskedRequests) {
  initialise();
  master.out(1, 0x10);
  pair.set_line(4, true);

  EXPECT_FALSE(pair.output());
  EXPECT_EQ(master.in(1), 0x10u);
  EXPECT_EQ(master.in(0), 0x10u) << "IRR";
  master.out(1, 0);
  EXPECT_TRUE(pair.output());
}

TEST_F(PicTest, GivesTheSpuriousVectorWhereTheRequestHasGone) {
  initialise();
  pair.set_line(3, true);
  pair.set_line(3, false);

  EXPECT_EQ(pair.acknowledge(), 0x27);
  pair.set_line(9, true);
  ASSERT_TRUE(pair.output());
  pair.set_line(9, false);
  EXPECT_FALSE(pair.output());
}

TEST_F(PicTest, EndsByItselfInAutomaticMode) {
  initialise(3);
  pair.set_line(2 + 1, true);
  (void)pair.acknowledge();
  master.out(0, 0x0b);

  EXPECT_EQ(master.in(0), 0u);
}

TEST_F(PicTest, RotatesPriorities) {
  initialise();
  master.out(0, 0xc3);  // 3 becomes the lowest, 4 the highest
  pair.set_line(1, true);
  pair.set_line(5, true);
  EXPECT_EQ(pair.acknowledge(), 0x25);
  master.out(0, 0xa0);  // rotate on the end of 5: now 6 is the highest
  EXPECT_EQ(pair.acknowledge(), 0x21);
  master.out(0, 0xe1);  // specific, with rotation
  pair.set_line(6, true);
  EXPECT_EQ(pair.acknowledge(), 0x26);
  master.out(0, 0x80);  // rotation in automatic mode, and none
  master.out(0, 0x00);
  master.out(0, 0x40);
}

TEST_F(PicTest, IgnoresTheCascadeInputAndLinesThatAreNotThere) {
  initialise();
  pair.set_line(2, true);
  pair.set_line(16, true);

  EXPECT_FALSE(pair.output());
}

TEST_F(PicTest, RefusesOtherWidths) {
  EXPECT_EQ(master.try_in(0, Width::Half).error(), IoError::BadWidth);
  EXPECT_EQ(master.try_out(0, 0, Width::Word).error(), IoError::BadWidth);
}

TEST_F(PicTest, ResetsToTheStateAfterPowerOn) {
  const std::uint64_t fresh = test::digest_of(pair.master());
  initialise();
  pair.set_line(4, true);
  EXPECT_NE(test::digest_of(pair.master()), fresh);

  pair.reset();

  EXPECT_EQ(test::digest_of(pair.master()), fresh);
  EXPECT_EQ(pair.master().name(), "pic1");
  EXPECT_EQ(pair.slave().name(), "pic2");
}

TEST_F(PicTest, InitialisesAloneWithoutTheThirdAndFourthWord) {
  master.out(0, 0x12);  // single, no ICW4
  master.out(1, 0x40);
  pair.set_line(0, true);

  EXPECT_EQ(pair.acknowledge(), 0x40);
}

}  // namespace
}  // namespace retrap::x86_64
