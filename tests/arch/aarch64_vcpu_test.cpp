// What each raw exit becomes, and what each answer does; firmware calls; system registers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/aarch64/idregs.h"
#include "arch/aarch64/stage2.h"
#include "arch/aarch64/sysregs.h"
#include "arch/aarch64/vcpu.h"
#include "tests/arch/aarch64_fake.h"
#include "tests/support/matchers.h"

namespace retrap::aarch64::test {
namespace {

using retrap::test::FailsWith;
using retrap::test::SucceedsWith;

constexpr std::uint64_t kDevice = 0x0900'0000;
constexpr std::uint64_t kMinus1 = ~std::uint64_t{0};

/// CPU 0 of two, whose CPU is played.
class AnAarch64Vcpu : public ::testing::Test {
 public:
  AnAarch64Vcpu() {
    vcpu.set_entry(GuestPhys(0x1000), 0);
    cpu.system[SysReg::VBAR_EL1] = 0x8000;
  }
  ExitReason after(const RawExit& exit) {
    cpu.script.push_back(exit);
    return vcpu.run();
  }
  /// The same, where nothing comes back but the end of the script.
  void swallows(const RawExit& exit) { EXPECT_EQ(after(exit), ExitReason(exits::BudgetSpent{})); }
  ExitReason hvc(std::uint64_t x0, std::uint64_t x1 = 0, std::uint64_t x2 = 0,
                 std::uint64_t x3 = 0) {
    set(x0, x1, x2, x3);
    return after(trap_of(ExceptionClass::Hvc64, 0));
  }
  ExitReason smc(std::uint64_t x0, std::uint64_t x1 = 0) {
    set(x0, x1, 0, 0);
    return after(trap_of(ExceptionClass::Smc64, 0));
  }
  void set(std::uint64_t x0, std::uint64_t x1, std::uint64_t x2, std::uint64_t x3) {
    cpu.gpr[0] = x0;
    cpu.gpr[1] = x1;
    cpu.gpr[2] = x2;
    cpu.gpr[3] = x3;
  }
  void expect_undefined_at(std::uint64_t pc) {
    EXPECT_EQ(cpu.program_counter, 0x8200u);
    EXPECT_EQ(cpu.system[SysReg::ELR_EL1], pc);
    EXPECT_EQ(cpu.system[SysReg::ESR_EL1], make_esr(ExceptionClass::Unknown, 0));
    EXPECT_EQ(cpu.system[SysReg::SPSR_EL1], pstate::kReset);
  }
  static std::uint32_t iss(SysReg reg, unsigned rt, bool read) {
    return number(reg) | rt << sysreg_iss::kRtShift | (read ? 1u : 0u);
  }

  Clock clock;
  Gicv3 gic{{0, 1}};
  PowerStates power{{0, 1}};
  FakeCpu cpu{clock};
  TestFinisher finisher;
  Aarch64Vcpu vcpu{cpu, 0, {.clock = clock, .gic = gic, .power = power, .finisher = finisher}};
};

TEST_F(AnAarch64Vcpu, ReportsTheEndOfItsSlice) {
  EXPECT_EQ(vcpu.run(), ExitReason(exits::BudgetSpent{}));
}
TEST_F(AnAarch64Vcpu, ReportsHardwareThatCannotGoOn) {
  EXPECT_EQ(after({.kind = RawExit::Kind::Failed, .esr = 9}), ExitReason(exits::FailEntry{9}));
}
// R5: a class that nobody expects ends the guest, not the host.
TEST_F(AnAarch64Vcpu, CrashesOnClassesThatDoNotTrap) {
  for (const auto ec : {ExceptionClass::SError, ExceptionClass::FpAccess, ExceptionClass::Svc64,
                        ExceptionClass::BreakpointLower, ExceptionClass{0x3f}}) {
    const ExitReason exit = after(trap_of(ec, 0));
    ASSERT_TRUE(std::holds_alternative<exits::GuestCrash>(exit));
    EXPECT_EQ(std::get<exits::GuestCrash>(exit).address, 0x1000u);
  }
}
// R3, R5: external aborts, ECC errors, alignment, TLB conflicts are no faults of stage 2.
TEST_F(AnAarch64Vcpu, CrashesOnAbortsThatStage2DoesNotHave) {
  for (const auto ec : {ExceptionClass::DataAbortLower, ExceptionClass::InstructionAbortLower}) {
    for (std::uint32_t fsc = 0; fsc < 0x40; ++fsc) {
      const ExitReason exit = after(trap_of(ec, fsc, kDevice, kDevice));
      EXPECT_EQ(std::holds_alternative<exits::NestedPageFault>(exit), fsc < 0x10) << fsc;
      EXPECT_EQ(std::holds_alternative<exits::GuestCrash>(exit), fsc >= 0x10) << fsc;
    }
  }
}
// R7: an idle guest gives its time back.
TEST_F(AnAarch64Vcpu, HaltsAtWfi) {
  EXPECT_EQ(after(trap_of(ExceptionClass::Wfx, kConditionAlways)), ExitReason(exits::Halt{}));
  EXPECT_EQ(cpu.program_counter, 0x1004u);
  EXPECT_EQ(clock.retired(), 1u);
  EXPECT_FALSE(vcpu.wakeup_pending());
}
TEST_F(AnAarch64Vcpu, HandsHypercallsOn) {
  for (unsigned i = 0; i < 8; ++i) cpu.gpr[i] = 100 + i;
  cpu.gpr[0] = 3;
  EXPECT_EQ(after(trap_of(ExceptionClass::Hvc64, 0)),
            ExitReason(exits::Hypercall{.nr = 3, .args = {101, 102, 103, 104, 105, 106}}));
  // R12: the hardware has moved the PC; nobody adds to it.
  EXPECT_EQ(cpu.program_counter, 0x1000u);
  vcpu.set_return_value(vcpu.not_supported());
  EXPECT_EQ(cpu.gpr[0], kMinus1);
}
TEST_F(AnAarch64Vcpu, HandsTheVendorsServiceOn) {
  EXPECT_TRUE(std::holds_alternative<exits::Hypercall>(hvc(0x8600'ff01)));
}
TEST_F(AnAarch64Vcpu, RefusesCallsWithAnImmediate) {
  cpu.gpr[0] = 3;
  EXPECT_EQ(after(trap_of(ExceptionClass::Hvc64, 1)), ExitReason(exits::Nothing{}));
  EXPECT_EQ(cpu.gpr[0], kMinus1);
  cpu.gpr[0] = 3;
  EXPECT_EQ(after(trap_of(ExceptionClass::Smc64, 1)), ExitReason(exits::Nothing{}));
  EXPECT_EQ(cpu.gpr[0], kMinus1);
}

// R6: every function id has an answer, by HVC and by SMC, and none leaves this machine.
struct Call {
  const char* name;
  std::uint64_t id;
  std::array<std::uint64_t, 3> args;
  std::int64_t value;
};
void PrintTo(const Call& call, std::ostream* out) {
  *out << call.name;
}
class AFirmwareCall : public AnAarch64Vcpu, public ::testing::WithParamInterface<Call> {};

TEST_P(AFirmwareCall, IsAnswered) {
  const Call& call = GetParam();
  EXPECT_EQ(hvc(call.id, call.args[0], call.args[1], call.args[2]), ExitReason(exits::Nothing{}));
  EXPECT_EQ(static_cast<std::int64_t>(cpu.gpr[0]), call.value);
  EXPECT_EQ(cpu.program_counter, 0x1000u);

  set(call.id, call.args[0], call.args[1], call.args[2]);
  EXPECT_EQ(after(trap_of(ExceptionClass::Smc64, 0)), ExitReason(exits::Nothing{}));
  EXPECT_EQ(static_cast<std::int64_t>(cpu.gpr[0]), call.value);
  EXPECT_EQ(cpu.program_counter, 0x1004u);
}
const Call kCalls[] = {
    {"PSCI_VERSION", 0x8400'0000, {}, 0x1'0001},
    {"CPU_SUSPEND, bad state", 0xc400'0001, {0x8000'0000'0000}, psci::kInvalidParameters},
    {"CPU_ON, bad affinity", 0xc400'0003, {0x100'0000, 0x4000'0000}, psci::kInvalidParameters},
    {"CPU_ON, bad entry", 0xc400'0003, {1, 0x4000'0002}, psci::kInvalidAddress},
    {"AFFINITY_INFO, on", 0xc400'0004, {0, 0}, 0},
    {"AFFINITY_INFO, off", 0xc400'0004, {1, 0}, 1},
    {"AFFINITY_INFO, cluster", 0x8400'0004, {1, 1}, 0},
    {"AFFINITY_INFO, nobody", 0xc400'0004, {7, 0}, psci::kInvalidParameters},
    {"AFFINITY_INFO, bad level", 0xc400'0004, {0, 4}, psci::kInvalidParameters},
    {"AFFINITY_INFO, bad affinity", 0xc400'0004, {1ull << 30, 0}, psci::kInvalidParameters},
    {"MIGRATE", 0x8400'0005, {}, psci::kNotSupported},
    {"MIGRATE_INFO_TYPE", 0x8400'0006, {}, 2},
    {"MIGRATE_INFO_UP_CPU", 0x8400'0007, {}, psci::kNotSupported},
    {"PSCI_FEATURES of CPU_ON", 0x8400'000a, {0xc400'0003}, 0},
    {"PSCI_FEATURES of CPU_FREEZE", 0x8400'000a, {0x8400'000b}, psci::kNotSupported},
    {"PSCI_FEATURES of SMCCC_VERSION", 0x8400'000a, {0x8000'0000}, 0},
    {"CPU_FREEZE", 0x8400'000b, {}, psci::kNotSupported},
    {"CPU_DEFAULT_SUSPEND", 0x8400'000c, {}, psci::kNotSupported},
    {"NODE_HW_STATE", 0x8400'000d, {}, psci::kNotSupported},
    {"SYSTEM_SUSPEND", 0xc400'000e, {}, psci::kNotSupported},
    {"SET_SUSPEND_MODE", 0x8400'000f, {}, psci::kNotSupported},
    {"STAT_RESIDENCY", 0xc400'0010, {}, psci::kNotSupported},
    {"STAT_COUNT", 0xc400'0011, {}, psci::kNotSupported},
    {"SYSTEM_RESET2, vendor type", 0xc400'0012, {0x8000'0000}, psci::kInvalidParameters},
    {"MEM_PROTECT", 0x8400'0013, {}, psci::kNotSupported},
    {"an id that PSCI does not have", 0x8400'001e, {}, psci::kNotSupported},
    {"a 64-bit form that is not there", 0xc400'0000, {}, psci::kNotSupported},
    {"SMCCC_VERSION", 0x8000'0000, {}, 0x1'0001},
    {"SMCCC_ARCH_FEATURES", 0x8000'0001, {0x8000'0001}, 0},
    {"SMCCC_ARCH_FEATURES of a workaround", 0x8000'0001, {0x8000'8000}, psci::kNotSupported},
    {"SMCCC_ARCH_SOC_ID", 0x8000'0002, {}, psci::kNotSupported},
    {"a SiP service", 0xc200'1234, {}, psci::kNotSupported},
    {"a Trusted OS", 0xb200'0000, {}, psci::kNotSupported},
};
INSTANTIATE_TEST_SUITE_P(Psci, AFirmwareCall, ::testing::ValuesIn(kCalls));

TEST_F(AnAarch64Vcpu, RefusesYieldingCallsBySmc) {
  EXPECT_EQ(smc(3), ExitReason(exits::Nothing{}));
  EXPECT_EQ(cpu.gpr[0], kMinus1);
}
TEST_F(AnAarch64Vcpu, PowersTheSystemOff) {
  EXPECT_EQ(hvc(0x8400'0008), ExitReason(exits::SystemDown{}));
  EXPECT_EQ(smc(0x8400'0008), ExitReason(exits::SystemDown{}));
}
TEST_F(AnAarch64Vcpu, ResetsTheSystem) {
  EXPECT_EQ(hvc(0x8400'0009), ExitReason(exits::SystemReset{}));
  EXPECT_EQ(hvc(0xc400'0012), ExitReason(exits::SystemReset{}));
}
TEST_F(AnAarch64Vcpu, SuspendsAsStandby) {
  EXPECT_EQ(hvc(0xc400'0001, 0x0001'0000), ExitReason(exits::Halt{}));
  EXPECT_EQ(cpu.gpr[0], 0u);
}
TEST_F(AnAarch64Vcpu, GoesOff) {
  EXPECT_EQ(hvc(0x8400'0002, 7), ExitReason(exits::CpuDown{.state = 7}));
  EXPECT_FALSE(power.is_on(0));
}
TEST_F(AnAarch64Vcpu, StartsOthers) {
  const ExitReason up =
      exits::CpuUp{.target_cpu = 1, .entry_point = GuestPhys(0x4000'0000), .arg = 9};
  EXPECT_EQ(hvc(0xc400'0003, 1, 0x4000'0000, 9), up);
  vcpu.answer_cpu_up(CpuUpResult::Started);
  EXPECT_EQ(cpu.gpr[0], 0u);
  vcpu.answer_cpu_up(CpuUpResult::AlreadyOn);
  EXPECT_EQ(static_cast<std::int64_t>(cpu.gpr[0]), psci::kAlreadyOn);
  vcpu.answer_cpu_up(CpuUpResult::NoSuchCpu);
  EXPECT_EQ(static_cast<std::int64_t>(cpu.gpr[0]), psci::kInvalidParameters);
}
TEST_F(AnAarch64Vcpu, TakesTheLowHalvesInThe32BitConvention) {
  const ExitReason up =
      exits::CpuUp{.target_cpu = 1, .entry_point = GuestPhys(0x4000'0000), .arg = 9};
  EXPECT_EQ(hvc(0x8400'0003, 0xff00'0000'0001, 0x1'4000'0000, 0x1'0000'0009), up);
}

TEST_F(AnAarch64Vcpu, ReadsSystemRegisters) {
  EXPECT_EQ(after(trap_of(ExceptionClass::SysReg, iss(SysReg::CNTPCT_EL0, 5, true))),
            ExitReason(exits::SysRegRead{.addr = 0x32'f800, .reg = 5}));
  vcpu.complete(0x1234);
  EXPECT_EQ(cpu.gpr[5], 0x1234u);
  EXPECT_EQ(cpu.program_counter, 0x1004u);
}
TEST_F(AnAarch64Vcpu, WritesSystemRegisters) {
  cpu.gpr[7] = 0x55;
  EXPECT_EQ(after(trap_of(ExceptionClass::SysReg, iss(SysReg::CNTP_CTL_EL0, 7, false))),
            ExitReason(exits::SysRegWrite{.addr = 0x32'f804, .value = 0x55}));
  vcpu.complete(0x99);
  EXPECT_EQ(cpu.gpr[7], 0x55u);
  EXPECT_EQ(cpu.program_counter, 0x1004u);
}
TEST_F(AnAarch64Vcpu, WritesTheZeroRegister) {
  EXPECT_EQ(after(trap_of(ExceptionClass::SysReg, iss(SysReg::ICC_PMR_EL1, 31, false))),
            ExitReason(exits::SysRegWrite{.addr = number(SysReg::ICC_PMR_EL1), .value = 0}));
}
TEST_F(AnAarch64Vcpu, GivesUndefinedForRegistersThatNobodyTakes) {
  (void)after(trap_of(ExceptionClass::SysReg, sysreg_number(3, 7, 15, 15, 7) | 1));
  vcpu.refuse();
  expect_undefined_at(0x1000);
  EXPECT_EQ(clock.retired(), 1u);
}
TEST_F(AnAarch64Vcpu, GivesUndefinedForTheWrongDirection) {
  swallows(trap_of(ExceptionClass::SysReg, iss(SysReg::ICC_IAR1_EL1, 0, false)));
  expect_undefined_at(0x1000);
  cpu.program_counter = 0x1000;
  swallows(trap_of(ExceptionClass::SysReg, iss(SysReg::ICC_EOIR1_EL1, 0, true)));
  expect_undefined_at(0x1000);
  cpu.program_counter = 0x1000;
  swallows(trap_of(ExceptionClass::SysReg, iss(SysReg::ID_AA64PFR0_EL1, 0, false)));
  expect_undefined_at(0x1000);
}
TEST_F(AnAarch64Vcpu, GivesUndefinedForSystemInstructions) {
  swallows(trap_of(ExceptionClass::SysReg, sysreg_number(1, 4, 8, 3, 0)));
  expect_undefined_at(0x1000);
}

// R11: list, range selector, affinity and the broadcast that leaves the sender out.
TEST_F(AnAarch64Vcpu, SendsInterruptsToAList) {
  cpu.gpr[3] = 5ull << 24 | 0b110 | 0x12ull << 16 | 3ull << 44 | 0x34ull << 32;
  EXPECT_EQ(after(trap_of(ExceptionClass::SysReg, iss(SysReg::ICC_SGI1R_EL1, 3, false))),
            ExitReason(exits::SendIPI{.target_cpu = 0x34'1230,
                                      .target_cpu_aux = 0b110,
                                      .send_to_all = false,
                                      .send_to_self = false,
                                      .vector = 5}));
  EXPECT_EQ(cpu.program_counter, 0x1004u);
}
TEST_F(AnAarch64Vcpu, SendsInterruptsToAllOthers) {
  cpu.gpr[3] = 15ull << 24 | 1ull << 40;
  const ExitReason exit =
      after(trap_of(ExceptionClass::SysReg, iss(SysReg::ICC_SGI1R_EL1, 3, false)));
  ASSERT_TRUE(std::holds_alternative<exits::SendIPI>(exit));
  EXPECT_TRUE(std::get<exits::SendIPI>(exit).send_to_all);
  EXPECT_EQ(std::get<exits::SendIPI>(exit).vector, 15u);
}
TEST_F(AnAarch64Vcpu, SendsNothingToAnEmptyList) {
  cpu.gpr[3] = 5ull << 24;
  EXPECT_EQ(after(trap_of(ExceptionClass::SysReg, iss(SysReg::ICC_SGI1R_EL1, 3, false))),
            ExitReason(exits::Nothing{}));
}

// R3: data, code and tables: a nested fault first, with what was wanted.
TEST_F(AnAarch64Vcpu, ReportsNestedFaults) {
  const auto fault = [&](ExceptionClass ec, std::uint32_t iss) {
    return std::get<exits::NestedPageFault>(
        after(trap_of(ec, iss, 0xffff'0000'0000'0123, kDevice)));
  };
  const exits::NestedPageFault read{GuestPhys(kDevice + 0x123), MappingFlags::Read};
  EXPECT_EQ(fault(ExceptionClass::DataAbortLower, 7), read);
  EXPECT_EQ(fault(ExceptionClass::DataAbortLower, 7 | abort_iss::kWnR).access_flags,
            MappingFlags::Write);
  EXPECT_EQ(fault(ExceptionClass::DataAbortLower, 0xf | abort_iss::kWnR).access_flags,
            MappingFlags::Write);
  EXPECT_EQ(fault(ExceptionClass::InstructionAbortLower, 7).access_flags, MappingFlags::Execute);
  const exits::NestedPageFault table{GuestPhys(kDevice), MappingFlags::Read};
  EXPECT_EQ(fault(ExceptionClass::DataAbortLower, 7 | abort_iss::kS1Ptw | abort_iss::kWnR), table);
  EXPECT_EQ(fault(ExceptionClass::InstructionAbortLower, 7 | abort_iss::kS1Ptw), table);
  // R2: the PC has not moved.
  EXPECT_EQ(cpu.program_counter, 0x1000u);
}

/// A data abort with ISV: `bytes_log2`, register 5.
RawExit access_exit(unsigned bytes_log2, bool write, bool sign, bool wide) {
  return trap_of(ExceptionClass::DataAbortLower,
                 abort_iss::kIsv | bytes_log2 << abort_iss::kSasShift |
                     (sign ? abort_iss::kSse : 0) | 5u << abort_iss::kSrtShift |
                     (wide ? abort_iss::kSf : 0) | (write ? abort_iss::kWnR : 0) | 7,
                 kDevice, kDevice);
}

// R4, V7: the width masks, the sign extends, the register's width cuts.
TEST_F(AnAarch64Vcpu, LoadsFromDevicesWithSignAndWidth) {
  struct Load {
    unsigned bytes_log2;
    bool sign, wide;
    std::uint64_t expected;
  };
  const Load loads[] = {{0, false, false, 0x99},
                        {0, true, false, 0xffff'ff99},
                        {0, true, true, kMinus1 << 8 | 0x99},
                        {1, false, false, 0x8899},
                        {1, true, false, 0xffff'8899},
                        {1, true, true, kMinus1 << 16 | 0x8899},
                        {2, false, false, 0xf677'8899},
                        {2, true, true, 0xffff'ffff'f677'8899},
                        {3, false, true, 0x8233'4455'f677'8899}};
  for (const Load& load : loads) {
    FakePort port;
    port.fill(kDevice, 0x8233'4455'f677'8899);
    cpu.gpr[5] = kMinus1;
    (void)after(access_exit(load.bytes_log2, false, load.sign, load.wide));
    EXPECT_EQ(vcpu.emulate(port), Emulated::Retired);
    EXPECT_EQ(cpu.gpr[5], load.expected);
    ASSERT_EQ(port.reads.size(), 1u);
    EXPECT_EQ(port.reads[0].reg, 5);
    EXPECT_EQ(port.reads[0].signed_ext, load.sign);
    EXPECT_EQ(port.reads[0].reg_width, load.wide ? Width::Double : Width::Word);
  }
  EXPECT_EQ(cpu.program_counter, 0x1000u + 4 * std::size(loads));
}
TEST_F(AnAarch64Vcpu, StoresToDevicesNoMoreThanTheWidth) {
  FakePort port;
  cpu.gpr[5] = 0x1122'3344'5566'7788;
  (void)after(access_exit(1, true, false, false));
  EXPECT_EQ(vcpu.emulate(port), Emulated::Retired);
  EXPECT_EQ(port.writes.at(0), (exits::MmioWrite{GuestPhys(kDevice), Width::Half, 0x7788}));
  EXPECT_EQ(cpu.program_counter, 0x1004u);
}
// R1: without a syndrome the instruction is decoded.
TEST_F(AnAarch64Vcpu, DecodesWhatHasNoSyndrome) {
  FakePort port;
  port.fill(kDevice, 0x1111'1111'2222'2222);
  cpu.gpr[2] = kDevice;
  cpu.word = 0xa940'0440;  // ldp x0, x1, [x2]
  (void)after(trap_of(ExceptionClass::DataAbortLower, 7, kDevice, kDevice));
  EXPECT_EQ(vcpu.emulate(port), Emulated::Retired);
  EXPECT_EQ(cpu.gpr[0], 0x1111'1111'2222'2222u);
  EXPECT_EQ(cpu.program_counter, 0x1004u);
}
TEST_F(AnAarch64Vcpu, DoesNotEmulateFetchesOrWalks) {
  FakePort port;
  (void)after(trap_of(ExceptionClass::InstructionAbortLower, 7, kDevice, kDevice));
  EXPECT_EQ(vcpu.emulate(port), Emulated::Unknown);
  (void)after(trap_of(ExceptionClass::DataAbortLower, 7 | abort_iss::kS1Ptw, 0, kDevice));
  EXPECT_EQ(vcpu.emulate(port), Emulated::Unknown);
}
TEST_F(AnAarch64Vcpu, KeepsThePcWhereThePortRefuses) {
  FakePort port;
  port.holes = {kDevice};
  (void)after(access_exit(2, false, false, false));
  EXPECT_EQ(vcpu.emulate(port), Emulated::NoAccess);
  (void)after(access_exit(2, true, false, false));
  EXPECT_EQ(vcpu.emulate(port), Emulated::NoAccess);
  EXPECT_EQ(cpu.program_counter, 0x1000u);
}
TEST_F(AnAarch64Vcpu, GivesTheGuestItsOwnFaultWhileEmulating) {
  FakePort port;
  cpu.gpr[2] = kDevice;
  cpu.word = 0xc85f'7c40;  // ldxr x0, [x2]
  (void)after(trap_of(ExceptionClass::DataAbortLower, 7, kDevice, kDevice));
  EXPECT_EQ(vcpu.emulate(port), Emulated::GuestFault);
  EXPECT_EQ(cpu.system[SysReg::ESR_EL1],
            make_esr(ExceptionClass::DataAbortSame, fsc::kUnsupportedExclusive));
  EXPECT_EQ(cpu.system[SysReg::FAR_EL1], kDevice);
}

TEST_F(AnAarch64Vcpu, InjectsExternalAborts) {
  const auto abort = [&](ExceptionClass ec, std::uint32_t iss, std::uint32_t state) {
    cpu.program_counter = 0x1000;
    cpu.state = state;
    const auto fault = std::get<exits::NestedPageFault>(after(trap_of(ec, iss, 0x7123, kDevice)));
    vcpu.inject_abort(fault);
    EXPECT_EQ(cpu.system[SysReg::FAR_EL1], 0x7123u);
    EXPECT_EQ(cpu.system[SysReg::ELR_EL1], 0x1000u);
    EXPECT_EQ(cpu.program_counter, pstate::el(state) == 0 ? 0x8400u : 0x8200u);
    return cpu.system[SysReg::ESR_EL1];
  };
  using enum ExceptionClass;
  EXPECT_EQ(abort(DataAbortLower, 7, 0), make_esr(DataAbortLower, fsc::kExternal));
  EXPECT_EQ(abort(DataAbortLower, 7 | abort_iss::kWnR, pstate::kEl1h),
            make_esr(DataAbortSame, fsc::kExternal | abort_iss::kWnR));
  EXPECT_EQ(abort(InstructionAbortLower, 7, 0), make_esr(InstructionAbortLower, fsc::kExternal));
  EXPECT_EQ(abort(InstructionAbortLower, 7, pstate::kEl1h),
            make_esr(InstructionAbortSame, fsc::kExternal));
  EXPECT_EQ(abort(DataAbortLower, 7 | abort_iss::kS1Ptw, pstate::kEl1h),
            make_esr(DataAbortSame, fsc::kExternalOnWalk | 3));
}

TEST_F(AnAarch64Vcpu, EntersTheVectorOfTheStackPointerInUse) {
  cpu.state = 4;  // EL1t
  (void)after(trap_of(ExceptionClass::SysReg, sysreg_number(3, 7, 15, 15, 7) | 1));
  vcpu.refuse();
  EXPECT_EQ(cpu.program_counter, 0x8000u);
  EXPECT_EQ(cpu.state, pstate::kReset);
}

TEST_F(AnAarch64Vcpu, ShowsItsRegisters) {
  EXPECT_THAT(vcpu.set_gpr(3, 7), retrap::test::Succeeds());
  EXPECT_THAT(vcpu.gpr(3), SucceedsWith(7u));
  EXPECT_THAT(vcpu.set_gpr(31, 7), retrap::test::Succeeds());
  EXPECT_THAT(vcpu.gpr(31), SucceedsWith(0u));
  EXPECT_THAT(vcpu.gpr(32), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vcpu.set_gpr(32, 0), FailsWith(ErrorCode::InvalidInput));
  const auto all = vcpu.registers();
  EXPECT_EQ(all.at(3).value, 7u);
  EXPECT_EQ(all.at(31).name, "PC");
  EXPECT_EQ(vcpu.pc(), 0x1000u);
}
// R8: every register is part of the state, SIMD included.
TEST_F(AnAarch64Vcpu, HasEveryRegisterInItsDigest) {
  const auto digest = [&] {
    Digest all;
    vcpu.digest(all);
    return all.value();
  };
  const std::uint64_t before = digest();
  cpu.simd[31].high = 1;
  const std::uint64_t after_simd = digest();
  EXPECT_NE(before, after_simd);
  cpu.system[SysReg::CNTKCTL_EL1] = 1;
  EXPECT_NE(after_simd, digest());
}
TEST_F(AnAarch64Vcpu, StartsWhereItIsToldTo) {
  vcpu.reset();
  EXPECT_FALSE(power.is_on(0));
  vcpu.set_entry(GuestPhys(0x4008'0000), 0x77);
  EXPECT_EQ(vcpu.pc(), 0x4008'0000u);
  EXPECT_EQ(cpu.gpr[0], 0x77u);
  EXPECT_TRUE(power.is_on(0));
}

TEST(ExceptionClasses, HaveNames) {
  EXPECT_EQ(name_of(ExceptionClass::Hvc64), "HVC");
  EXPECT_EQ(name_of(ExceptionClass{0x3f}), "reserved");
}
TEST(FirmwareFunctions, AreSortedById) {
  const auto table = firmware_functions();
  for (std::size_t i = 1; i < table.size(); ++i) EXPECT_LT(table[i - 1].id, table[i].id);
}

}  // namespace
}  // namespace retrap::aarch64::test
