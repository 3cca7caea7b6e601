// Interrupts, NMI, INIT and SIPI, and what devices ask of the machine, as a vCPU takes them.
#include <gtest/gtest.h>

#include "tests/arch/x86_64_vcpu_rig.h"
#include "tests/support/matchers.h"

namespace retrap::x86_64 {
namespace {

using retrap::test::Succeeds;
using test::raw, test::VcpuTest;

TEST_F(VcpuTest, DeliversAnInterruptWhereTheGuestLetsIt) {  // X9
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 0x80), Succeeds());
  cpu.now.rflags = 2;
  (void)run(raw(SvmExit::Limit, 0));
  EXPECT_TRUE(cpu.delivered.empty());
  EXPECT_TRUE(cpu.window) << "the CPU tells when it may";
  EXPECT_FALSE(vcpu.wakeup_pending()) << "masked: no reason to wake";
  cpu.now.rflags = 2 | flag::kInterrupt;
  EXPECT_TRUE(vcpu.wakeup_pending());
  cpu.script = {raw(SvmExit::Vintr, 0), raw(SvmExit::Limit, 0)};
  (void)vcpu.run();
  ASSERT_EQ(cpu.delivered.size(), 1u);
  EXPECT_EQ(cpu.delivered[0], Event::interrupt(0x80));
  EXPECT_FALSE(cpu.window);
}

TEST_F(VcpuTest, WaitsBehindTheInterruptShadow) {
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 0x80), Succeeds());
  cpu.now.rflags = 2 | flag::kInterrupt;
  cpu.shadow = true;
  (void)run(raw(SvmExit::Limit, 0));
  EXPECT_TRUE(cpu.delivered.empty());
}

TEST_F(VcpuTest, KeepsAnEventWhoseDeliveryWasCut) {  // X9
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 0x80), Succeeds());
  cpu.now.rflags = 2 | flag::kInterrupt;
  cpu.pending = Event::exception(14, 2);
  (void)run(raw(SvmExit::Limit, 0));
  ASSERT_EQ(cpu.delivered.size(), 1u);
  EXPECT_EQ(cpu.delivered[0].vector, 14) << "the exception first";
  (void)run(raw(SvmExit::Limit, 0));
  EXPECT_EQ(cpu.delivered.back(), Event::interrupt(0x80));
}

TEST_F(VcpuTest, DeliversOneInterruptAnEntry) {
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 0x80), Succeeds());
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 0x90), Succeeds());
  cpu.now.rflags = 2 | flag::kInterrupt;
  (void)run(raw(SvmExit::Limit, 0));
  EXPECT_EQ(cpu.delivered, std::vector<Event>{Event::interrupt(0x90)});
  (void)run(raw(SvmExit::Limit, 0));
  EXPECT_EQ(cpu.delivered.size(), 1u) << "80 waits for the end of 90";
}

TEST_F(VcpuTest, DeliversNmiWhateverTheFlags) {
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 2), Succeeds());
  cpu.now.rflags = 2;
  EXPECT_TRUE(vcpu.wakeup_pending());
  (void)run(raw(SvmExit::Limit, 0));
  EXPECT_EQ(cpu.delivered, std::vector<Event>{Event::nmi()});
}

TEST_F(VcpuTest, HoldsTheNextNmiBackUntilTheHandlerReturns) {
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 2), Succeeds());
  (void)run(raw(SvmExit::Limit, 0));
  EXPECT_TRUE(cpu.iret_exits);
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 2), Succeeds());
  EXPECT_FALSE(vcpu.wakeup_pending());
  (void)run(raw(SvmExit::Limit, 0));
  EXPECT_EQ(cpu.delivered.size(), 1u);

  cpu.script = {raw(SvmExit::Iret, 0), raw(SvmExit::Limit, 0)};
  (void)vcpu.run();

  EXPECT_EQ(cpu.delivered, (std::vector<Event>{Event::nmi(), Event::nmi()}));
}

TEST_F(VcpuTest, TakesTheNextNmiWhenTheReturnFaults) {
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 2), Succeeds());
  (void)run(raw(SvmExit::Limit, 0));
  cpu.on_scratch = [&](auto) {
    cpu.pending = Event::exception(13, 0);
    return Completion::Exception;
  };
  (void)run(raw(SvmExit::Iret, 0));
  EXPECT_FALSE(cpu.iret_exits);
}

TEST_F(VcpuTest, TriesAReturnWithoutItsStackAgain) {
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 2), Succeeds());
  (void)run(raw(SvmExit::Limit, 0));
  cpu.on_scratch = [&](auto) {
    cpu.last = {.code = SvmExit::NestedPageFault, .info2 = 0x8'0000};
    return Completion::NestedFault;
  };
  const ExitReason exit = run(raw(SvmExit::Iret, 0));
  EXPECT_TRUE(std::holds_alternative<exits::NestedPageFault>(exit));
  EXPECT_TRUE(cpu.iret_exits);
}

TEST_F(VcpuTest, FitsAnNmiRightBehindAnEventThatWaits) {
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 2), Succeeds());
  cpu.pending = Event::exception(14, 2);
  cpu.script = {raw(SvmExit::Vintr, 0), raw(SvmExit::Limit, 0)};
  (void)vcpu.run();
  EXPECT_EQ(cpu.delivered, (std::vector<Event>{Event::exception(14, 2), Event::nmi()}));
  EXPECT_FALSE(cpu.nmi_window);
}

TEST_F(VcpuTest, ForgetsWithAResetThatNmisAreBlocked) {
  ASSERT_THAT(parts.interrupts.inject(kBootVcpu, 2), Succeeds());
  (void)run(raw(SvmExit::Limit, 0));
  vcpu.reset();
  EXPECT_FALSE(cpu.iret_exits);
}

TEST_F(VcpuTest, PowersOffRightAfterTheWrite) {
  parts.requests.power_off();
  EXPECT_TRUE(vcpu.wakeup_pending());
  EXPECT_EQ(vcpu.run(), ExitReason(exits::SystemDown{}));
  EXPECT_EQ(cpu.entries, 0u) << "no instruction runs in between";
  parts.requests.restart();
  EXPECT_EQ(vcpu.run(), ExitReason(exits::SystemReset{}));
}

TEST_F(VcpuTest, BringsCpusUp) {  // X11
  LocalApics& apics = parts.interrupts.apics();
  (void)apics.deliver({1, false, DeliveryMode::Init, 0, false});
  (void)apics.deliver({1, false, DeliveryMode::Startup, 0x9a, false});
  EXPECT_EQ(vcpu.run(), ExitReason(exits::CpuUp{1, GuestPhys(0x9'a000), 0}));
  other.set_entry(GuestPhys(0x9'a000), 0);
  const Segment code = parts.other_cpu.segment(SegmentName::Cs);
  EXPECT_EQ(code.selector, 0x9a00);
  EXPECT_EQ(code.base, 0x9'a000u);
  EXPECT_EQ(parts.other_cpu.rip(), 0u);
  EXPECT_EQ(parts.other_cpu.cr0() & 1, 0u) << "real mode";
}

TEST_F(VcpuTest, BringsCpusUpByTheirApicIds) {
  Interrupts interrupts{{4, 9}};
  const VcpuParts these{parts.cpu,     parts.clock, parts.space,   parts.mmio,
                        parts.sysregs, interrupts,  parts.requests};
  Vcpu boots(kBootVcpu, these);
  (void)interrupts.apics().deliver({9, false, DeliveryMode::Startup, 0x9a, false});
  EXPECT_EQ(boots.run(), ExitReason(exits::CpuUp{9, GuestPhys(0x9'a000), 0}));
}

TEST_F(VcpuTest, StopsARunningCpuOnInit) {
  other.set_entry(GuestPhys(0x8000), 0);
  (void)parts.interrupts.apics().deliver({1, false, DeliveryMode::Init, 0, false});
  EXPECT_TRUE(other.wakeup_pending());
  EXPECT_EQ(other.run(), ExitReason(exits::CpuDown{0}));
  (void)parts.interrupts.apics().deliver({1, false, DeliveryMode::Startup, 2, false});
  EXPECT_EQ(vcpu.run(), ExitReason(exits::CpuUp{1, GuestPhys(0x2000), 0}));
}

TEST_F(VcpuTest, RestartsARunningCpuOnInitAndSipi) {
  other.set_entry(GuestPhys(0x8000), 0);
  LocalApics& apics = parts.interrupts.apics();
  (void)apics.deliver({1, false, DeliveryMode::Init, 0, false});
  (void)apics.deliver({1, false, DeliveryMode::Startup, 3, false});
  EXPECT_EQ(other.run(), ExitReason(exits::BudgetSpent{}));
  EXPECT_EQ(parts.other_cpu.segment(SegmentName::Cs).base, 0x3000u);
}

TEST_F(VcpuTest, EntersRealModeAnywhere) {
  vcpu.set_entry(GuestPhys(0x20'0123), 77);
  EXPECT_EQ(cpu.segment(SegmentName::Cs).base, 0x20'0000u);
  EXPECT_EQ(cpu.rip(), 0x123u);
  EXPECT_EQ(cpu.gpr(Gpr::Rsi), 77u);
  EXPECT_EQ(cpu.gpr(Gpr::Rdx), 0x306a9u) << "the processor's signature";
}

}  // namespace
}  // namespace retrap::x86_64
