// The interrupt controller and the timers of aarch64.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/aarch64/gicv3.h"
#include "arch/aarch64/vtimer.h"
#include "tests/arch/aarch64_fake.h"
#include "tests/support/matchers.h"

namespace retrap::aarch64::test {
namespace {

using retrap::test::FailsWith;
using retrap::test::Succeeds;

/// Two CPUs; everything enabled, group 1, priority 0xa0.
class AGic : public ::testing::Test {
 public:
  AGic() {
    gic.connect(0, cpu0);
    gic.connect(1, cpu1);
    write(0x0, 0x12);
    for (std::uint64_t word = 1; word < 8; ++word) {
      write(0x80 + 4 * word, ~0u);
      write(0x100 + 4 * word, ~0u);
    }
    for (std::uint64_t at = 0x420; at < 0x500; at += 4) write(at, 0xa0a0'a0a0);
    for (std::uint64_t cpu : {0ull, 1ull}) {
      const std::uint64_t sgi = cpu * Gicv3::kRedistributorBytes + 0x1'0000;
      write_redistributor(sgi + 0x80, ~0u);
      write_redistributor(sgi + 0x100, ~0u);
      for (std::uint64_t at = 0x400; at < 0x420; at += 4)
        write_redistributor(sgi + at, 0xa0a0'a0a0);
      gic.write_interface(static_cast<std::uint32_t>(cpu), SysReg::ICC_PMR_EL1, 0xff);
      gic.write_interface(static_cast<std::uint32_t>(cpu), SysReg::ICC_IGRPEN1_EL1, 1);
    }
  }
  static Access access(std::uint64_t offset, Width width) {
    return {.offset = offset, .width = width, .vcpu = kBootVcpu, .now_ns = 0};
  }
  IoResult<std::uint64_t> try_read(std::uint64_t at, Width width = Width::Word) {
    return gic.distributor().read(access(at, width));
  }
  std::uint64_t read(std::uint64_t at, Width width = Width::Word) {
    const auto value = try_read(at, width);
    EXPECT_TRUE(value.has_value()) << std::hex << at;
    return value.value_or(0);
  }
  void write(std::uint64_t at, std::uint64_t value, Width width = Width::Word) {
    EXPECT_TRUE(gic.distributor().write(access(at, width), value).has_value()) << std::hex << at;
  }
  std::uint64_t read_redistributor(std::uint64_t at, Width width = Width::Word) {
    const auto value = gic.redistributors().read(access(at, width));
    EXPECT_TRUE(value.has_value()) << std::hex << at;
    return value.value_or(0);
  }
  void write_redistributor(std::uint64_t at, std::uint64_t value) {
    EXPECT_TRUE(gic.redistributors().write(access(at, Width::Word), value).has_value());
  }
  std::uint64_t acknowledge(std::uint32_t cpu = 0) {
    return gic.read_interface(cpu, SysReg::ICC_IAR1_EL1);
  }
  void end(std::uint64_t intid, std::uint32_t cpu = 0) {
    gic.write_interface(cpu, SysReg::ICC_EOIR1_EL1, intid);
  }

  Clock clock;
  FakeCpu cpu0{clock};
  FakeCpu cpu1{clock};
  Gicv3 gic{{0, 1}};
};

TEST_F(AGic, SignalsALevelUntilItFalls) {
  gic.set_line(33, true);
  EXPECT_TRUE(cpu0.irq);
  EXPECT_FALSE(cpu1.irq);
  EXPECT_EQ(acknowledge(), 33u);
  EXPECT_FALSE(cpu0.irq);
  end(33);
  EXPECT_TRUE(cpu0.irq);
  gic.set_line(33, false);
  EXPECT_FALSE(cpu0.irq);
  EXPECT_EQ(acknowledge(), kSpurious);
}
TEST_F(AGic, LatchesAnEdge) {
  write(0xc08, 2u << 2);  // INTID 33
  gic.set_line(33, true);
  gic.set_line(33, false);
  EXPECT_EQ(acknowledge(), 33u);
  end(33);
  EXPECT_FALSE(cpu0.irq);
}
TEST_F(AGic, PrefersTheHigherPriority) {
  write(0x400 + 40, 0x80, Width::Byte);
  gic.set_line(33, true);
  gic.set_line(40, true);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_HPPIR1_EL1), 40u);
  EXPECT_EQ(acknowledge(), 40u);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_RPR_EL1), 0x80u);
  EXPECT_FALSE(cpu0.irq);
}
TEST_F(AGic, PreemptsWithAHigherPriorityOnly) {
  write(0x400 + 40, 0x80, Width::Byte);
  gic.set_line(33, true);
  ASSERT_EQ(acknowledge(), 33u);
  gic.set_line(34, true);
  EXPECT_FALSE(cpu0.irq);
  gic.set_line(40, true);
  EXPECT_TRUE(cpu0.irq);
  EXPECT_EQ(acknowledge(), 40u);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_AP1R0_EL1), 1u << 16 | 1u << 20);
  end(40);
  end(33);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_RPR_EL1), 0xffu);
}
TEST_F(AGic, ComparesGroupPrioritiesByTheBinaryPoint) {
  gic.write_interface(0, SysReg::ICC_BPR1_EL1, 7);
  write(0x400 + 40, 0x88, Width::Byte);
  gic.set_line(33, true);
  ASSERT_EQ(acknowledge(), 33u);
  gic.set_line(40, true);
  EXPECT_FALSE(cpu0.irq);
  gic.write_interface(0, SysReg::ICC_BPR1_EL1, 0);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_BPR1_EL1), 3u);
}
TEST_F(AGic, MasksByPriority) {
  gic.write_interface(0, SysReg::ICC_PMR_EL1, 0xa0);
  gic.set_line(33, true);
  EXPECT_FALSE(cpu0.irq);
  gic.write_interface(0, SysReg::ICC_PMR_EL1, 0xa8);
  EXPECT_TRUE(cpu0.irq);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_PMR_EL1), 0xa8u);
}
TEST_F(AGic, DeactivatesSeparatelyInEoiMode) {
  gic.write_interface(0, SysReg::ICC_CTLR_EL1, 2);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_CTLR_EL1) & 3, 2u);
  gic.set_line(33, true);
  ASSERT_EQ(acknowledge(), 33u);
  end(33);
  EXPECT_FALSE(cpu0.irq);
  EXPECT_EQ(read(0x304), 2u);
  gic.write_interface(0, SysReg::ICC_DIR_EL1, 33);
  EXPECT_TRUE(cpu0.irq);
}
TEST_F(AGic, IgnoresTheEndOfSpecialInterrupts) {
  gic.set_line(33, true);
  ASSERT_EQ(acknowledge(), 33u);
  end(kSpurious);
  end(0xff'ffff);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_RPR_EL1), 0xa0u);
}
TEST_F(AGic, RoutesByAffinity) {
  write(0x6000 + 8 * 33, 1, Width::Double);
  gic.set_line(33, true);
  EXPECT_FALSE(cpu0.irq);
  EXPECT_TRUE(cpu1.irq);
  write(0x6000 + 8 * 33, 1ull << 31, Width::Double);
  EXPECT_TRUE(cpu0.irq);
  write(0x6000 + 8 * 33 + 4, 5);
  EXPECT_EQ(read(0x6000 + 8 * 33, Width::Double), 5ull << 32 | 1ull << 31);
  EXPECT_EQ(read(0x6000 + 8 * 33 + 4), 5u);
}
TEST_F(AGic, KeepsPrivateInterruptsApart) {
  gic.set_cpu_line(VcpuId{1}, 27, true);
  EXPECT_FALSE(cpu0.irq);
  EXPECT_EQ(acknowledge(1), 27u);
  EXPECT_EQ(read_redistributor(Gicv3::kRedistributorBytes + 0x1'0300), 1u << 27);
  EXPECT_EQ(read_redistributor(0x1'0300), 0u);
}
TEST_F(AGic, SignalsNothingThatIsDisabledOrOfGroup0) {
  gic.set_line(33, true);
  write(0x184, 2);
  EXPECT_FALSE(cpu0.irq);
  write(0x104, 2);
  write(0x84, ~2u);
  EXPECT_FALSE(cpu0.irq);
  write(0x84, ~0u);
  write(0x0, 0x10);
  EXPECT_FALSE(cpu0.irq);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_IAR0_EL1), kSpurious);
}
TEST_F(AGic, SetsAndClearsPendingByRegister) {
  write(0x204, 2);
  EXPECT_EQ(read(0x204), 2u);
  EXPECT_TRUE(cpu0.irq);
  write(0x284, 2);
  EXPECT_FALSE(cpu0.irq);
  write(0x304, 2);
  EXPECT_EQ(read(0x384), 2u);
  write(0x384, 2);
  EXPECT_EQ(read(0x304), 0u);
}
// R9: vectors are whole INTIDs, for the vCPU that is meant.
TEST_F(AGic, InjectsWholeVectorsAtTheNamedCpu) {
  EXPECT_THAT(gic.inject(VcpuId{1}, 5), Succeeds());
  EXPECT_EQ(acknowledge(1), 5u);
  EXPECT_THAT(gic.inject(kBootVcpu, 255), Succeeds());
  EXPECT_EQ(acknowledge(0), 255u);
  EXPECT_THAT(gic.inject(kBootVcpu, 256 + 33), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(gic.inject(VcpuId{2}, 5), FailsWith(ErrorCode::InvalidInput));
}
// R18: an interrupt that is injected twice is pending once; none is ever out of room.
TEST_F(AGic, InjectsDuplicatesOnce) {
  for (int i = 0; i < 100; ++i) EXPECT_THAT(gic.inject(kBootVcpu, 40), Succeeds());
  for (std::uint64_t intid = 32; intid < 256; ++intid) {
    EXPECT_THAT(gic.inject(kBootVcpu, intid), Succeeds());
  }
  EXPECT_EQ(acknowledge(), 32u);
}
TEST_F(AGic, IgnoresLinesThatAreNotThere) {
  EXPECT_FALSE(gic.has_line(31));
  EXPECT_FALSE(gic.has_line(256));
  gic.set_line(256, true);
  gic.set_line(27, true);
  EXPECT_FALSE(cpu0.irq);
}
// R14: index past the arrays, narrow writes, registers that read as others.
TEST_F(AGic, TakesByteWritesAsBytes) {
  write(0x400 + 33, 0x40, Width::Byte);
  EXPECT_EQ(read(0x420), 0xa0a0'40a0u);
  EXPECT_EQ(gic.distributor().write(access(0x104, Width::Byte), 1).error(), IoError::BadWidth);
  EXPECT_EQ(try_read(0x420, Width::Half).error(), IoError::BadWidth);
  EXPECT_EQ(try_read(0x0, Width::Double).error(), IoError::BadWidth);
}
TEST_F(AGic, ReadsZeroWhereTheInterruptsEnd) {
  for (const std::uint64_t at : {0xa0u, 0x120u, 0x1a0u, 0x220u, 0x5f8u, 0xc40u}) {
    EXPECT_EQ(read(at), 0u) << at;
    write(at, ~0u);
    EXPECT_EQ(read(at), 0u) << at;
  }
  EXPECT_EQ(read(0x80), 0u) << "word 0 is the redistributors'";
}
// R15, R16, R17: unknown offsets are no register, and nothing else.
TEST_F(AGic, SaysWhichRegistersAreNotThere) {
  EXPECT_EQ(try_read(0xfe00).error(), IoError::NoRegister);
  EXPECT_EQ(try_read(0x6900).error(), IoError::NoRegister);
  EXPECT_EQ(gic.redistributors().read(access(0x1'0020, Width::Word)).error(), IoError::NoRegister);
  EXPECT_EQ(gic.redistributors().read(access(0x2000, Width::Word)).error(), IoError::NoRegister);
  EXPECT_EQ(gic.redistributors().write(access(0x8, Width::Word), 0).error(), IoError::ReadOnly);
  EXPECT_EQ(gic.redistributors().read(access(0x8, Width::Byte)).error(), IoError::BadWidth);
  EXPECT_EQ(gic.redistributors().read(access(0x4, Width::Double)).error(), IoError::BadWidth);
  EXPECT_EQ(read_redistributor(0xa0), 0u) << "INVLPIR: there are no LPIs";
}
TEST_F(AGic, AnswersEveryOffsetOfBothFrames) {
  for (std::uint64_t at = 0; at < Gicv3::kDistributorBytes; at += 4) {
    for (const Width width : {Width::Byte, Width::Half, Width::Word, Width::Double}) {
      (void)gic.distributor().read(access(at, width));
      (void)gic.distributor().write(access(at, width), ~std::uint64_t{0});
    }
  }
  for (std::uint64_t at = 0; at < 2 * Gicv3::kRedistributorBytes; at += 4) {
    for (const Width width : {Width::Byte, Width::Half, Width::Word, Width::Double}) {
      (void)gic.redistributors().read(access(at, width));
      (void)gic.redistributors().write(access(at, width), ~std::uint64_t{0});
    }
  }
}
TEST_F(AGic, IdentifiesItself) {
  EXPECT_EQ(read(0x4) & 0x1f, 7u);
  EXPECT_EQ(read(0x8), 0x43bu);
  EXPECT_EQ(read(0xc), 0u);
  EXPECT_EQ(read(0xffe8), 0x3bu);
  EXPECT_EQ(read(0x0), 0x52u);
  EXPECT_EQ(read(0x10), 0u);
  EXPECT_EQ(read_redistributor(0x4), 0x43bu);
  EXPECT_EQ(read_redistributor(0xffe8), 0x3bu);
  EXPECT_EQ(read_redistributor(0x8, Width::Double), 0u);
  EXPECT_EQ(read_redistributor(Gicv3::kRedistributorBytes + 8, Width::Double),
            1ull << 32 | 1 << 8 | 1 << 4);
  EXPECT_EQ(read_redistributor(Gicv3::kRedistributorBytes + 12), 1u);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_SRE_EL1), 7u);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_BPR0_EL1), 2u);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_IGRPEN1_EL1), 1u);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_AP0R0_EL1), 0u);
  EXPECT_EQ(gic.redistributors().size(), 2 * Gicv3::kRedistributorBytes);
}
TEST_F(AGic, WakesItsRedistributor) {
  EXPECT_EQ(read_redistributor(0x14), 6u);
  write_redistributor(0x14, 0);
  EXPECT_EQ(read_redistributor(0x14), 0u);
}
TEST_F(AGic, ConfiguresTriggersButNotThoseOfSgis) {
  write_redistributor(0x1'0c00, 0);
  EXPECT_EQ(read_redistributor(0x1'0c00), 0xaaaa'aaaau);
  write_redistributor(0x1'0c04, 0xaaaa'aaaa);
  EXPECT_EQ(read_redistributor(0x1'0c04), 0xaaaa'aaaau);
  EXPECT_EQ(read_redistributor(0x1'0e00), 0u);
}
TEST_F(AGic, KeepsActivePrioritiesThatAreWritten) {
  gic.write_interface(0, SysReg::ICC_AP1R0_EL1, 1);
  gic.set_line(33, true);
  EXPECT_FALSE(cpu0.irq);
  gic.write_interface(0, SysReg::ICC_SRE_EL1, 0);
  EXPECT_EQ(gic.read_interface(0, SysReg::ICC_SRE_EL1), 7u);
}
TEST_F(AGic, IsAsAfterPowerOnAfterAReset) {
  Digest fresh;
  Gicv3({0, 1}).digest(fresh);
  Digest used;
  gic.digest(used);
  EXPECT_NE(fresh.value(), used.value());

  gic.distributor().reset();
  gic.redistributors().reset();

  Digest after;
  gic.distributor().digest(after);
  gic.redistributors().digest(after);
  EXPECT_EQ(after.value(), fresh.value());
  EXPECT_EQ(gic.distributor().name(), "gicv3 distributor");
  EXPECT_EQ(gic.redistributors().name(), "gicv3 redistributors");
}

class ATimer : public AGic {
 public:
  void at(std::uint64_t ns) {
    clock.skip_to(ns);
    clock.fire_due();
  }
  GenericTimer timer{clock, gic, 0};
};

TEST_F(ATimer, CountsVirtualTimeInTicks) {
  at(160);
  EXPECT_EQ(timer.read_timer(SysReg::CNTVCT_EL0), 10u);
  EXPECT_EQ(timer.read_timer(SysReg::CNTPCT_EL0), 10u);
}
// R19: the interrupt comes when the value is reached, not when it is written.
TEST_F(ATimer, FiresAtItsCompareValue) {
  timer.write_timer(SysReg::CNTV_CVAL_EL0, 100);
  timer.write_timer(SysReg::CNTV_CTL_EL0, 1);
  EXPECT_EQ(clock.next_alarm_ns(), 1600u);
  EXPECT_EQ(timer.read_timer(SysReg::CNTV_CTL_EL0), 1u);
  EXPECT_FALSE(cpu0.irq);
  at(1600);
  EXPECT_TRUE(cpu0.irq);
  EXPECT_EQ(acknowledge(), GenericTimer::kVirtualIntid);
  EXPECT_EQ(timer.read_timer(SysReg::CNTV_CTL_EL0), 5u);
  timer.write_timer(SysReg::CNTV_CTL_EL0, 0);
  end(GenericTimer::kVirtualIntid);
  EXPECT_FALSE(cpu0.irq);
}
TEST_F(ATimer, TakesTicksRelativeToNow) {
  at(160);
  timer.write_timer(SysReg::CNTP_TVAL_EL0, 5);
  EXPECT_EQ(timer.read_timer(SysReg::CNTP_CVAL_EL0), 15u);
  EXPECT_EQ(timer.read_timer(SysReg::CNTP_TVAL_EL0), 5u);
  timer.write_timer(SysReg::CNTP_CTL_EL0, 1);
  at(400);
  EXPECT_EQ(acknowledge(), GenericTimer::kPhysicalIntid);
  EXPECT_EQ(timer.read_timer(SysReg::CNTP_TVAL_EL0), 0xffff'fff6u);
  EXPECT_EQ(timer.read_timer(SysReg::CNTP_CTL_EL0), 5u);
}
TEST_F(ATimer, TakesNegativeTicks) {
  at(1600);
  timer.write_timer(SysReg::CNTV_CTL_EL0, 1);
  timer.write_timer(SysReg::CNTV_TVAL_EL0, 0xffff'ffff);
  EXPECT_EQ(timer.read_timer(SysReg::CNTV_CVAL_EL0), 99u);
  EXPECT_TRUE(cpu0.irq);
  EXPECT_EQ(timer.read_timer(SysReg::CNTV_TVAL_EL0), 0xffff'ffffu);
}
TEST_F(ATimer, IsSilentWhileMasked) {
  timer.write_timer(SysReg::CNTV_CTL_EL0, 3);
  EXPECT_FALSE(cpu0.irq);
  EXPECT_EQ(timer.read_timer(SysReg::CNTV_CTL_EL0), 7u);
  timer.write_timer(SysReg::CNTV_CTL_EL0, 1);
  EXPECT_TRUE(cpu0.irq);
}
TEST_F(ATimer, NeverFiresBeyondTheEndOfTime) {
  timer.write_timer(SysReg::CNTV_CVAL_EL0, ~std::uint64_t{0});
  timer.write_timer(SysReg::CNTV_CTL_EL0, 1);
  EXPECT_EQ(clock.next_alarm_ns(), kNever);
}
TEST_F(ATimer, KnowsNoOtherRegisters) {
  timer.write_timer(SysReg::MIDR_EL1, 1);
  EXPECT_EQ(timer.read_timer(SysReg::MIDR_EL1), 0u);
}
TEST_F(ATimer, IsOffAfterAReset) {
  Digest fresh;
  timer.digest(fresh);
  timer.write_timer(SysReg::CNTV_CTL_EL0, 1);
  EXPECT_TRUE(cpu0.irq);
  timer.reset();
  Digest after;
  timer.digest(after);
  EXPECT_EQ(after.value(), fresh.value());
  EXPECT_FALSE(cpu0.irq);
}

}  // namespace
}  // namespace retrap::aarch64::test
