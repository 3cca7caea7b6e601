// Every exit of a hart but guest-page faults, good and malformed, and the reference's defects.
#include "tests/arch/riscv64_vcpu_fixture.h"

namespace retrap::riscv64 {
namespace {

using retrap::test::FailsWith;
using retrap::test::SucceedsWith;
using test::AVcpu;
using test::code;
using test::kPc;

// ---- Running ----------------------------------------------------------------------------------

TEST_F(AVcpu, ComesBackWhenTheBudgetIsSpent) {
  EXPECT_EQ(vcpu().run(), ExitReason(exits::BudgetSpent{}));
}

TEST_F(AVcpu, CrashesOnADoubleTrap) {
  EXPECT_EQ(exits_with({.scause = code(Cause::DoubleTrap), .htval = 12}),
            ExitReason(exits::GuestCrash{.cause = 12, .address = kPc}));
}

TEST_F(AVcpu, CrashesWhereTheHardwareKnowsNoMore) {
  for (const std::uint64_t cause : std::vector<std::uint64_t>{19, 9, 14, 63, kInterrupt | 1}) {
    EXPECT_EQ(exits_with({.scause = cause}),
              ExitReason(exits::GuestCrash{.cause = cause, .address = kPc}));
  }
}

// ---- Firmware calls ---------------------------------------------------------------------------

TEST_F(AVcpu, AnswersAFirmwareCallInA0AndA1) {
  EXPECT_EQ(ecall(eid::kBase, 0), ExitReason(exits::Nothing{}));

  EXPECT_EQ(cpu_->xs[10], 0u);
  EXPECT_EQ(cpu_->xs[11], Sbi::kVersion);
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
  EXPECT_EQ(cpu_->retired, 1u);
}

TEST_F(AVcpu, AnswersAnUnknownFirmwareCallWithNotSupported) {
  EXPECT_EQ(ecall(0x1234'5678, 9), ExitReason(exits::Nothing{}));

  EXPECT_EQ(cpu_->xs[10], ~std::uint64_t{1});
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, KeepsA1InALegacyCall) {
  EXPECT_EQ(ecall(eid::kLegacyPutchar, 0, {'a', 77}), ExitReason(exits::Nothing{}));

  EXPECT_EQ(cpu_->xs[11], 77u);
  EXPECT_EQ(host_.console.text, "a");
}

TEST_F(AVcpu, PassesAHypercallOnWithItsSixArguments) {
  EXPECT_EQ(ecall(eid::kHypercall, 5, {1, 2, 3, 4, 5, 6}),
            ExitReason(exits::Hypercall{.nr = 5, .args = {1, 2, 3, 4, 5, 6}}));

  vcpu().set_return_value(99);
  EXPECT_EQ(cpu_->xs[10], 99u);
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
  EXPECT_EQ(vcpu().not_supported(), static_cast<std::uint64_t>(-2));
}

TEST_F(AVcpu, PowersOffAndResets) {
  EXPECT_EQ(ecall(eid::kSrst, 0, {0, 0}), ExitReason(exits::SystemDown{}));
  EXPECT_EQ(ecall(eid::kSrst, 0, {1, 0}), ExitReason(exits::SystemReset{}));
}

TEST_F(AVcpu, PowersOffThroughTheTestFinisher) {
  EXPECT_TRUE(mmio_.write(memory_map::kFinisher, Width::Word, 0x5555, kBootVcpu));

  EXPECT_EQ(vcpu().run(), ExitReason(exits::SystemDown{}));
}

TEST_F(AVcpu, BringsAnotherHartUp) {
  const auto exit = ecall(eid::kHsm, 0, {1, test::Host::kRam, 7});
  EXPECT_EQ(exit, ExitReason(exits::CpuUp{
                      .target_cpu = 1, .entry_point = GuestPhys(test::Host::kRam), .arg = 7}));
  EXPECT_EQ(cpu_->xs[10], 0u) << "success";

  board_->vcpu(VcpuId{1}).set_entry(GuestPhys(test::Host::kRam), 7);

  // K9: a0 and a1 of the new hart, by x-index.
  const test::FakeCpu& other = *hardware_.made->cpus[1];
  EXPECT_EQ(other.xs[10], 1u);
  EXPECT_EQ(other.xs[11], 7u);
  EXPECT_EQ(other.pc_value, test::Host::kRam);
  EXPECT_EQ(ecall(eid::kHsm, 2, {1}), ExitReason(exits::Nothing{}));
  EXPECT_EQ(cpu_->xs[11], 0u) << "started";
}

TEST_F(AVcpu, StartsWithCountersThatUserModeMayRead) {
  vcpu().set_entry(GuestPhys(test::Host::kRam), 0);
  EXPECT_EQ(cpu_->csrs[Csr::Scounteren], 7u);
}

TEST_F(AVcpu, SaysWhyAHartDidNotComeUp) {
  vcpu().answer_cpu_up(CpuUpResult::AlreadyOn);
  EXPECT_EQ(cpu_->xs[10], static_cast<std::uint64_t>(-6));
  vcpu().answer_cpu_up(CpuUpResult::NoSuchCpu);
  EXPECT_EQ(cpu_->xs[10], static_cast<std::uint64_t>(-3));
  vcpu().answer_cpu_up(CpuUpResult::Started);
  EXPECT_EQ(cpu_->xs[10], 0u);
}

// K2: STOP and SUSPEND leave the program counter at the ecall in the reference.
TEST_F(AVcpu, K2MovesPastTheCallThatStopsIt) {
  EXPECT_EQ(ecall(eid::kHsm, 1), ExitReason(exits::CpuDown{.state = 0}));
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, K2ReturnsFromARetentiveSuspension) {
  EXPECT_EQ(ecall(eid::kHsm, 3, {0}), ExitReason(exits::Halt{}));
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
  EXPECT_EQ(cpu_->xs[10], 0u);

  EXPECT_EQ(vcpu().run(), ExitReason(exits::BudgetSpent{}));
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, K2ResumesANonRetentiveSuspensionAtItsAddress) {
  EXPECT_EQ(ecall(eid::kHsm, 3, {0x8000'0000, test::Host::kRam + 8, 5}), ExitReason(exits::Halt{}));

  EXPECT_EQ(vcpu().run(), ExitReason(exits::BudgetSpent{}));

  EXPECT_EQ(cpu_->pc_value, test::Host::kRam + 8);
  EXPECT_EQ(cpu_->xs[10], 0u);
  EXPECT_EQ(cpu_->xs[11], 5u);
}

TEST_F(AVcpu, DoesNotHaltInASuspensionThatHasSomethingToDo) {
  cpu_->csrs[Csr::Vsie] = bit(1);
  cpu_->hvip_value = kVssip;

  EXPECT_EQ(ecall(eid::kHsm, 3, {0}), ExitReason(exits::Nothing{}));
}

// ---- Timer and interrupts ---------------------------------------------------------------------

TEST_F(AVcpu, RaisesTheTimerInterruptAtItsDeadline) {
  EXPECT_EQ(ecall(eid::kTime, 0, {5}), ExitReason(exits::Nothing{}));
  EXPECT_EQ(host_.clock.next_alarm_ns(), 5 * kNsPerTick);
  EXPECT_EQ(cpu_->hvip_value, 0u);

  host_.clock.skip_to(5 * kNsPerTick);
  host_.clock.fire_due();
  (void)vcpu().run();

  EXPECT_EQ(cpu_->hvip_value, kVstip);
}

TEST_F(AVcpu, TakesTheTimerInterruptAwayWhenTheTimerIsSetAgain) {
  host_.clock.skip_to(1000);
  EXPECT_EQ(ecall(eid::kTime, 0, {1}), ExitReason(exits::Nothing{}));
  (void)vcpu().run();
  EXPECT_EQ(cpu_->hvip_value, kVstip) << "the deadline was past";

  EXPECT_EQ(ecall(eid::kTime, 0, {~std::uint64_t{0}}), ExitReason(exits::Nothing{}));
  (void)vcpu().run();

  EXPECT_EQ(cpu_->hvip_value, 0u);
  EXPECT_EQ(host_.clock.next_alarm_ns(), kNever);
}

// K7: the reference has one host timer for all vCPUs of a physical hart.
TEST_F(AVcpu, K7HasATimerOfItsOwn) {
  auto& other = dynamic_cast<Vcpu&>(board_->vcpu(VcpuId{1}));
  vcpu().set_timer(10);
  other.set_timer(5);

  host_.clock.skip_to(5 * kNsPerTick);
  host_.clock.fire_due();
  (void)vcpu().run();
  (void)other.run();

  EXPECT_EQ(cpu_->hvip_value, 0u);
  EXPECT_EQ(hardware_.made->cpus[1]->hvip_value, kVstip);
  EXPECT_EQ(host_.clock.next_alarm_ns(), 10 * kNsPerTick);
}

TEST_F(AVcpu, RaisesTheExternalInterruptOfThePlic) {
  EXPECT_TRUE(mmio_.write(memory_map::kPlic + 40, Width::Word, 1, kBootVcpu));
  EXPECT_TRUE(mmio_.write(memory_map::kPlic + 0x2000, Width::Word, 1u << 10, kBootVcpu));
  board_->interrupts().set_line(10, true);
  (void)vcpu().run();
  EXPECT_EQ(cpu_->hvip_value, kVseip);

  EXPECT_EQ(mmio_.read(memory_map::kPlic + 0x20'0004, Width::Word, kBootVcpu), 10u);
  (void)vcpu().run();

  EXPECT_EQ(cpu_->hvip_value, 0u);
}

// K10: unimplemented in the reference.
TEST_F(AVcpu, K10TakesInjectedInterruptsOfAllThreeKinds) {
  for (const std::uint64_t vector : {std::uint64_t{1}, std::uint64_t{5}, kInterrupt | 9}) {
    EXPECT_THAT(board_->interrupts().inject(kBootVcpu, vector), retrap::test::Succeeds());
  }
  (void)vcpu().run();

  EXPECT_EQ(cpu_->hvip_value, kVsInterrupts);
}

TEST_F(AVcpu, K10RefusesToInjectWhatDoesNotExist) {
  EXPECT_THAT(board_->interrupts().inject(kBootVcpu, 0), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(board_->interrupts().inject(VcpuId{2}, 1), FailsWith(ErrorCode::InvalidInput));
}

TEST_F(AVcpu, WakesForWhatIsPendingAndEnabled) {
  vcpu().inject_timer();
  EXPECT_FALSE(vcpu().wakeup_pending()) << "sie is zero";

  cpu_->csrs[Csr::Vsie] = bit(5);

  EXPECT_TRUE(vcpu().wakeup_pending());
}

// ---- WFI, CSRs and other instructions that trap -----------------------------------------------

TEST_F(AVcpu, HaltsInWfi) {
  EXPECT_EQ(refused(kWfi), ExitReason(exits::Halt{}));
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
  EXPECT_EQ(cpu_->retired, 1u);
}

TEST_F(AVcpu, DoesNotHaltWhereAnInterruptWaits) {
  cpu_->csrs[Csr::Vsie] = bit(1);
  cpu_->hvip_value = kVssip;

  EXPECT_EQ(refused(kWfi), ExitReason(exits::Nothing{}));
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, RefusesWfiToUserMode) {
  EXPECT_EQ(refused(kWfi, Privilege::User), ExitReason(exits::Nothing{}));
  expect_trapped(Cause::IllegalInstruction, kWfi);
}

TEST_F(AVcpu, AnswersCountersFromVirtualTime) {
  host_.clock.skip_to(12'345);

  (void)refused(0xc00022f3);  // rdcycle t0
  EXPECT_EQ(cpu_->xs[5], 12'345u);
  (void)refused(0xc01022f3);  // rdtime t0
  EXPECT_EQ(cpu_->xs[5], 123u);
  (void)refused(0xc02022f3);  // rdinstret t0
  EXPECT_EQ(cpu_->xs[5], 2u) << "the two before";
  (void)refused(0xc03022f3);  // csrr t0,hpmcounter3
  EXPECT_EQ(cpu_->xs[5], 0u);
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, HidesCountersFromUserModeUnlessTheGuestShowsThem) {
  EXPECT_EQ(refused(0xc00022f3, Privilege::User), ExitReason(exits::Nothing{}));
  expect_trapped(Cause::IllegalInstruction, 0xc00022f3);

  cpu_->csrs[Csr::Scounteren] = 1;
  (void)refused(0xc00022f3, Privilege::User);
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, RefusesUnknownCsrs) {
  // stimecmp, hstatus, vsstatus, mstatus, menvcfg, write of cycle, a hole.
  for (const std::uint32_t instruction : {0x14d022f3u, 0x600022f3u, 0x200022f3u, 0x300022f3u,
                                          0x30a022f3u, 0xc0029073u, 0x7ff022f3u}) {
    cpu_->mode = Privilege::Supervisor;
    EXPECT_EQ(refused(instruction), ExitReason(exits::Nothing{}));
    expect_trapped(Cause::IllegalInstruction, instruction);
  }
}

TEST_F(AVcpu, RefusesWhateverElseTraps) {
  for (const std::uint32_t instruction : {0xffff'ffffu, 0x0000'0001u, 0x12000073u}) {
    EXPECT_EQ(exits_with({.scause = code(Cause::IllegalInstruction), .stval = instruction}),
              ExitReason(exits::Nothing{}));
    expect_trapped(Cause::IllegalInstruction, instruction);
  }
}

TEST_F(AVcpu, FetchesTheInstructionWhereStvalIsZero) {
  cpu_->put_code(kPc, kWfi);
  EXPECT_EQ(exits_with({.scause = code(Cause::VirtualInstruction)}), ExitReason(exits::Halt{}));

  cpu_->code.clear();
  (void)exits_with({.scause = code(Cause::IllegalInstruction)});
  expect_trapped(Cause::IllegalInstruction, 0);
}

TEST_F(AVcpu, ReadsACustomCsrThroughTheBus) {
  EXPECT_EQ(refused(0x5c0022f3),  // csrr t0,0x5c0
            ExitReason(exits::SysRegRead{.addr = 0x5c0, .reg = 5}));
  EXPECT_EQ(cpu_->pc_value, kPc) << "not before the answer";

  vcpu().complete(0x1234);

  EXPECT_EQ(cpu_->xs[5], 0x1234u);
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, WritesACustomCsrThroughTheBus) {
  cpu_->xs[6] = 77;

  EXPECT_EQ(refused(0x80031073),  // csrw 0x800,t1
            ExitReason(exits::SysRegWrite{.addr = 0x800, .value = 77}));
  vcpu().complete(0);

  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, ReadsACustomCsrBeforeItSetsBits) {
  EXPECT_EQ(refused(0x5c0362f3),  // csrrsi t0,0x5c0,6
            ExitReason(exits::SysRegRead{.addr = 0x5c0, .reg = 5}));
  vcpu().complete(0x1);

  EXPECT_EQ(vcpu().run(), ExitReason(exits::SysRegWrite{.addr = 0x5c0, .value = 7}));
  EXPECT_EQ(cpu_->xs[5], 0u) << "not before the write";
  vcpu().complete(0);

  EXPECT_EQ(cpu_->xs[5], 1u);
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
}

TEST_F(AVcpu, RefusesACustomCsrThatNobodyHas) {
  (void)refused(0x5c0022f3);

  vcpu().refuse();

  expect_trapped(Cause::IllegalInstruction, 0x5c0022f3);
}

TEST_F(AVcpu, RefusesASupervisorsCustomCsrToUserMode) {
  EXPECT_EQ(refused(0x5c0022f3, Privilege::User), ExitReason(exits::Nothing{}));
  expect_trapped(Cause::IllegalInstruction, 0x5c0022f3);
  EXPECT_EQ(refused(0xcc031073), ExitReason(exits::Nothing{})) << "a read-only custom CSR";
}

TEST_F(AVcpu, IgnoresAnAnswerThatNobodyAskedFor) {
  vcpu().complete(1);
  vcpu().refuse();

  EXPECT_EQ(cpu_->pc_value, 0u);
}

// ---- Registers and state ----------------------------------------------------------------------

TEST_F(AVcpu, HasThirtyTwoRegisters) {
  EXPECT_THAT(vcpu().set_gpr(31, 5), retrap::test::Succeeds());
  EXPECT_THAT(vcpu().gpr(31), SucceedsWith(5u));
  EXPECT_THAT(vcpu().set_gpr(0, 5), retrap::test::Succeeds());
  EXPECT_THAT(vcpu().gpr(0), SucceedsWith(0u));
  EXPECT_THAT(vcpu().gpr(32), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vcpu().set_gpr(32, 0), FailsWith(ErrorCode::InvalidInput));
  EXPECT_EQ(vcpu().registers().size(), 1u);
  EXPECT_EQ(vcpu().pc(), 0u);
}

// K11: dropping per-CPU state panics in the reference.
TEST_F(AVcpu, K11ComesAndGoesWithoutATrace) {
  vcpu().set_timer(5);
  board_.reset();

  EXPECT_EQ(host_.clock.next_alarm_ns(), kNever);
}

TEST_F(AVcpu, ForgetsEverythingAtReset) {
  vcpu().set_timer(0);
  (void)refused(0x5c0022f3);
  Digest before;
  vcpu().digest(before);

  board_->reset();

  EXPECT_EQ(vcpu().state(), HartState::Started);
  EXPECT_EQ(dynamic_cast<Vcpu&>(board_->vcpu(VcpuId{1})).state(), HartState::Stopped);
  (void)vcpu().run();
  EXPECT_EQ(cpu_->hvip_value, 0u);
  Digest after;
  vcpu().digest(after);
  EXPECT_NE(before.value(), after.value());
}

TEST_F(AVcpu, LoadsADoublewordByTheGuestsTables) {
  const auto put = [&](std::uint64_t gpa, std::uint64_t value) {
    EXPECT_THAT(host_.space.store(GuestPhys(gpa), value), retrap::test::Succeeds());
  };
  put(0x8000'2008, 0x1234);
  EXPECT_EQ(vcpu().load(0x8000'2008), 0x1234u);
  EXPECT_EQ(vcpu().load(0x8000'2004), std::nullopt) << "not aligned";
  EXPECT_EQ(vcpu().load(0x1000), std::nullopt) << "nothing is there";

  cpu_->csrs[Csr::Vsatp] = 8ull << 60 | 0x8'0003;
  EXPECT_EQ(vcpu().load(0x4000'0008), std::nullopt) << "no tables";
  put(0x8000'3008, 0x8000'0000 >> 2 | 0xcf);  // a gigapage at 0x4000'0000
  EXPECT_EQ(vcpu().load(0x4000'2008), 0x1234u);
}

TEST_F(AVcpu, AsksItsOwnMemoryInALegacyCall) {
  EXPECT_THAT(host_.space.store<std::uint64_t>(GuestPhys(0x8000'2000), 0b10),
              retrap::test::Succeeds());

  EXPECT_EQ(ecall(eid::kLegacySendIpi, 0, {0x8000'2000}), ExitReason(exits::Nothing{}));

  EXPECT_EQ(hardware_.made->cpus[1]->hvip_value, kVssip);
}

TEST_F(AVcpu, DropsTranslationsOnARemoteFence) {
  EXPECT_EQ(ecall(eid::kRfence, 1, {0b10, 0, 0, ~std::uint64_t{0}}), ExitReason(exits::Nothing{}));
  EXPECT_EQ(hardware_.made->cpus[1]->flushes, 1u);
}

}  // namespace
}  // namespace retrap::riscv64
