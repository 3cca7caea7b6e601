// The trapped system registers, as a bus of their own sees them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/aarch64/idregs.h"
#include "arch/aarch64/sysregs.h"
#include "tests/arch/aarch64_fake.h"
#include "tests/support/matchers.h"

namespace retrap::aarch64::test {
namespace {

/// The trapped registers on a bus.
class TheSystemRegisters : public ::testing::Test {
 public:
  TheSystemRegisters() {
    for (std::uint32_t i = 0; i < 2; ++i) {
      timers.push_back(std::make_unique<GenericTimer>(clock, gic, i));
    }
    registers = std::make_unique<SystemRegisters>(gic, timers);
    EXPECT_THAT(registers->attach(bus), retrap::test::Succeeds());
  }
  std::optional<std::uint64_t> read(std::uint32_t reg, VcpuId who = kBootVcpu) {
    return bus.read(reg, Width::Double, who);
  }
  std::optional<std::uint64_t> read(SysReg reg, VcpuId who = kBootVcpu) {
    return read(number(reg), who);
  }
  bool write(SysReg reg, std::uint64_t value, VcpuId who = kBootVcpu) {
    return bus.write(number(reg), Width::Double, value, who);
  }
  Clock clock;
  Gicv3 gic{{0, 1}};
  Bus bus{"sysreg", clock, Bus::Unit::Register};
  std::vector<std::unique_ptr<GenericTimer>> timers;
  std::unique_ptr<SystemRegisters> registers;
};

TEST_F(TheSystemRegisters, SayWhatTheModelIs) {
  EXPECT_EQ(read(SysReg::ID_AA64PFR0_EL1), 0x0100'0011u);
  EXPECT_EQ(read(SysReg::ID_AA64MMFR0_EL1), id_register(number(SysReg::ID_AA64MMFR0_EL1)));
  EXPECT_EQ(read(sysreg_number(3, 0, 0, 7, 7)), 0u);
  EXPECT_TRUE(write(SysReg::ID_AA64PFR0_EL1, 1));
  EXPECT_EQ(bus.counters().read_only, 1u);
}
// R19: all three registers of the physical timer are there and do what they say.
TEST_F(TheSystemRegisters, HaveThePhysicalTimer) {
  clock.skip_to(160);
  EXPECT_EQ(read(SysReg::CNTPCT_EL0), 10u);
  EXPECT_TRUE(write(SysReg::CNTP_TVAL_EL0, 5));
  EXPECT_EQ(read(SysReg::CNTP_CVAL_EL0), 15u);
  EXPECT_EQ(read(SysReg::CNTP_CVAL_EL0, VcpuId{1}), 0u);
  EXPECT_EQ(read(SysReg::CNTP_CTL_EL0), 0u);
}
TEST_F(TheSystemRegisters, HaveTheCpuInterfaceOfWhoeverAsks) {
  EXPECT_TRUE(write(SysReg::ICC_PMR_EL1, 0xf0, VcpuId{1}));
  EXPECT_EQ(read(SysReg::ICC_PMR_EL1), 0u);
  EXPECT_EQ(read(SysReg::ICC_PMR_EL1, VcpuId{1}), 0xf0u);
  EXPECT_EQ(read(SysReg::ICC_EOIR1_EL1), 0u);
  EXPECT_EQ(bus.counters().write_only, 1u);
}
TEST_F(TheSystemRegisters, KeepDebugRegistersWithoutEffect) {
  EXPECT_TRUE(write(SysReg::MDSCR_EL1, 0x1000));
  EXPECT_EQ(read(SysReg::MDSCR_EL1), 0x1000u);
  EXPECT_EQ(read(SysReg::OSLSR_EL1), 8u);
  EXPECT_TRUE(write(SysReg::OSLAR_EL1, 0));
  EXPECT_EQ(read(sysreg_number(2, 0, 0, 3, 5)), 0u);
  Digest before;
  registers->digest(before);
  registers->reset();
  EXPECT_EQ(read(SysReg::MDSCR_EL1), 0u);
  Digest after;
  registers->digest(after);
  EXPECT_NE(before.value(), after.value());
}
TEST_F(TheSystemRegisters, LeaveTheOthersToOthers) {
  EXPECT_FALSE(read(sysreg_number(3, 3, 15, 12, 0)).has_value());
  EXPECT_FALSE(read(sysreg_number(3, 3, 9, 13, 0)).has_value());  // PMCCNTR_EL0
}
TEST_F(TheSystemRegisters, AnswerEveryRow) {
  for (const SysRegRow& row : sysreg_rows()) {
    for (std::uint32_t reg = row.first; reg < row.first + row.size(); reg += 2) {
      EXPECT_TRUE(read(reg).has_value()) << row.name;
      EXPECT_TRUE(bus.write(reg, Width::Double, 0, kBootVcpu)) << row.name;
    }
  }
}

}  // namespace
}  // namespace retrap::aarch64::test
