// Exceptions that belong to the guest go to its vectors, with the syndromes of the manual.
#include <gtest/gtest.h>

#include "tests/sim/aarch64_machine.h"

namespace retrap::aarch64::test {
namespace {

constexpr std::uint64_t kSpecial = SmallMachine::kData + 0x8'0000;  // four pages with rules
constexpr std::uint64_t kUnmapped = kSpecial;
constexpr std::uint64_t kReadOnly = kSpecial + 0x1000;    // for EL0: read, never executed
constexpr std::uint64_t kKernelOnly = kSpecial + 0x2000;  // EL1 only, PXN
constexpr std::uint64_t kNoAccessFlag = kSpecial + 0x3000;
constexpr std::uint64_t kEl1Stack = SmallMachine::kData + 0x9000;
constexpr std::uint64_t kUser = bit(6);
constexpr std::uint64_t kAp2 = bit(7);
constexpr std::uint64_t kPxn = bit(53);
constexpr std::uint64_t kUxn = bit(54);
constexpr std::uint64_t kAnyPage = ~std::uint64_t{0};

enum class From : std::uint8_t { El1, El0 };

struct Case {
  const char* name;
  Program program;
  From from;
  std::uint32_t esr;
  std::uint64_t far;  ///< kAnyPage: not looked at
  std::uint64_t elr;  ///< an offset from kCode, or an address
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

constexpr std::uint32_t esr(ExceptionClass ec, std::uint32_t iss) {
  return make_esr(ec, iss);
}

std::uint64_t data_descriptor(std::uint64_t page) {
  switch (page) {
    case kUnmapped:     return 0;
    case kReadOnly:     return page | 0x403 | kUser | kAp2 | kUxn;
    case kKernelOnly:   return page | 0x403 | kPxn;
    case kNoAccessFlag: return page | 3;
    default:            return page | 0x403 | kUser | kPxn;
  }
}

class AnException : public ::testing::TestWithParam<Case> {};

TEST_P(AnException, GoesToTheVectorWithItsSyndrome) {
  const Case& c = GetParam();
  SmallMachine m(c.program);
  Cpu& cpu = m.cpu();
  m.enable_stage1(c.from == From::El0 ? kUser | kAp2 : 0, data_descriptor);
  cpu.set_sysreg(SysReg::SCTLR_EL1, cpu.sysreg(SysReg::SCTLR_EL1) & ~bit(16));  // nTWI = 0
  if (std::string_view(c.name).starts_with("fp")) cpu.set_sysreg(SysReg::CPACR_EL1, 0);
  cpu.set_x(20, kUnmapped);
  cpu.set_x(21, kReadOnly);
  cpu.set_x(22, kKernelOnly);
  cpu.set_x(23, kNoAccessFlag);
  const std::uint64_t stack = cpu.sp();
  if (c.from == From::El0) m.drop_to_el0(kEl1Stack);

  const RawExit exit = m.run();

  ASSERT_EQ(hvc_of(exit), c.from == From::El0 ? 0x108u : 0x104u);
  EXPECT_EQ(cpu.sysreg(SysReg::ESR_EL1), c.esr);
  if (c.far != kAnyPage) {
    EXPECT_EQ(cpu.sysreg(SysReg::FAR_EL1), c.far);
  }
  const std::uint64_t elr = c.elr < 0x1000 ? SmallMachine::kCode + c.elr : c.elr;
  EXPECT_EQ(cpu.sysreg(SysReg::ELR_EL1), elr);
  EXPECT_EQ(cpu.sysreg(SysReg::SPSR_EL1) & 0xf, c.from == From::El0 ? 0u : 5u);
  EXPECT_EQ(cpu.pstate() & 0x3ef, pstate::kReset);
  EXPECT_EQ(cpu.sp(), c.from == From::El0 ? kEl1Stack : stack);
  EXPECT_EQ(cpu.sysreg(SysReg::SP_EL0), c.from == From::El0 ? stack : 0);
}

TEST_P(AnException, IsTheSameWhenTheCpuStopsAfterEveryInstruction) {
  const Case& c = GetParam();
  struct End {
    std::uint64_t retired, esr, far, elr, spsr;
    bool operator==(const End&) const = default;
  };
  const auto run = [&](std::uint64_t stride) {
    SmallMachine m(c.program);
    Cpu& cpu = m.cpu();
    m.enable_stage1(c.from == From::El0 ? kUser | kAp2 : 0, data_descriptor);
    cpu.set_sysreg(SysReg::SCTLR_EL1, cpu.sysreg(SysReg::SCTLR_EL1) & ~bit(16));
    if (std::string_view(c.name).starts_with("fp")) cpu.set_sysreg(SysReg::CPACR_EL1, 0);
    for (unsigned i = 0; i < 4; ++i) cpu.set_x(20 + i, kSpecial + 0x1000 * i);
    if (c.from == From::El0) m.drop_to_el0(kEl1Stack);
    RawExit exit;
    do {
      exit = m.run(stride);
    } while (exit.kind == RawExit::Kind::Stopped);
    return End{m.clock.retired(), cpu.sysreg(SysReg::ESR_EL1), cpu.sysreg(SysReg::FAR_EL1),
               cpu.sysreg(SysReg::ELR_EL1), cpu.sysreg(SysReg::SPSR_EL1)};
  };

  EXPECT_EQ(run(1), run(1000));
}

const Case kCases[] = {
    {"svc from EL1",
     {{"nop", 0xd503201f}, {"svc #0x1234", 0xd4024681}},
     From::El1,
     esr(ExceptionClass::Svc64, 0x1234),
     kAnyPage,
     8},
    {"svc from EL0",
     {{"nop", 0xd503201f}, {"svc #7", 0xd40000e1}},
     From::El0,
     esr(ExceptionClass::Svc64, 7),
     kAnyPage,
     8},
    {"brk", {{"brk #5", 0xd42000a0}}, From::El0, esr(ExceptionClass::Brk64, 5), kAnyPage, 0},
    {"udf",
     {{"nop", 0xd503201f}, {"udf #1", 0x00000001}},
     From::El0,
     esr(ExceptionClass::Unknown, 0),
     kAnyPage,
     4},
    {"hvc from EL0",
     {{"hvc #1", 0xd4000022}},
     From::El0,
     esr(ExceptionClass::Unknown, 0),
     kAnyPage,
     0},
    {"smc from EL0",
     {{"smc #1", 0xd4000023}},
     From::El0,
     esr(ExceptionClass::Unknown, 0),
     kAnyPage,
     0},
    {"an EL1 register from EL0",
     {{"mrs x0, sctlr_el1", 0xd5381000}},
     From::El0,
     esr(ExceptionClass::Unknown, 0),
     kAnyPage,
     0},
    {"the counter where EL1 denies it",
     {{"mrs x0, cntvct_el0", 0xd53be040}},
     From::El0,
     esr(ExceptionClass::SysReg, number(SysReg::CNTVCT_EL0) | 1),
     kAnyPage,
     0},
    {"the physical counter where EL1 denies it",
     {{"mrs x3, cntpct_el0", 0xd53be023}},
     From::El0,
     esr(ExceptionClass::SysReg, number(SysReg::CNTPCT_EL0) | 3 << 5 | 1),
     kAnyPage,
     0},
    {"the timer where EL1 denies it",
     {{"msr cntv_ctl_el0, x0", 0xd51be320}},
     From::El0,
     esr(ExceptionClass::SysReg, number(SysReg::CNTV_CTL_EL0)),
     kAnyPage,
     0},
    {"a PMU that is not there",
     {{"mrs x0, pmccntr_el0", 0xd53b9d00}},
     From::El0,
     esr(ExceptionClass::Unknown, 0),
     kAnyPage,
     0},
    {"LSE, which the model lacks",
     {{"ldadd x0, x1, [x20]", 0xf8200281}},
     From::El0,
     esr(ExceptionClass::Unknown, 0),
     kAnyPage,
     0},
    {"load from an unmapped page, EL0",
     {{"ldr x0, [x20, #8]", 0xf9400680}},
     From::El0,
     esr(ExceptionClass::DataAbortLower, 0x07),
     kUnmapped + 8,
     0},
    {"store to a read-only page",
     {{"strb w0, [x21, #3]", 0x39000ea0}},
     From::El0,
     esr(ExceptionClass::DataAbortLower, 0x4f),
     kReadOnly + 3,
     0},
    {"load from a kernel page",
     {{"ldr w0, [x22, #4]!", 0xb8404ec0}},
     From::El0,
     esr(ExceptionClass::DataAbortLower, 0x0f),
     kKernelOnly + 4,
     0},
    {"load from an unmapped page, EL1",
     {{"ldr x0, [x20, #8]", 0xf9400680}},
     From::El1,
     esr(ExceptionClass::DataAbortSame, 0x07),
     kUnmapped + 8,
     0},
    {"ldtr from a kernel page",
     {{"ldtr w0, [x22, #4]", 0xb8404ac0}},
     From::El1,
     esr(ExceptionClass::DataAbortSame, 0x0f),
     kKernelOnly + 4,
     0},
    {"sttr to a kernel page that EL1 just used",
     {{"str w0, [x22]", 0xb90002c0}, {"sttr w0, [x22, #4]", 0xb8004ac0}},
     From::El1,
     esr(ExceptionClass::DataAbortSame, 0x4f),
     kKernelOnly + 4,
     4},
    {"a page without access flag",
     {{"ldr x0, [x23]", 0xf94002e0}},
     From::El1,
     esr(ExceptionClass::DataAbortSame, 0x0b),
     kNoAccessFlag,
     0},
    {"fetch from an unmapped page",
     {{"br x20", 0xd61f0280}},
     From::El0,
     esr(ExceptionClass::InstructionAbortLower, 0x07),
     kUnmapped,
     kUnmapped},
    {"fetch from a UXN page",
     {{"br x21", 0xd61f02a0}},
     From::El0,
     esr(ExceptionClass::InstructionAbortLower, 0x0f),
     kReadOnly,
     kReadOnly},
    {"fetch from a PXN page",
     {{"br x22", 0xd61f02c0}},
     From::El1,
     esr(ExceptionClass::InstructionAbortSame, 0x0f),
     kKernelOnly,
     kKernelOnly},
    {"an address in the hole",
     {{"mov x0, #1", 0xd2800020},
      {"lsl x0, x0, #52", 0xd34c2c00},
      {"ldr x1, [x0, #16]", 0xf9400801}},
     From::El0,
     esr(ExceptionClass::DataAbortLower, 0x04),
     (1ull << 52) + 16,
     8},
    {"a misaligned PC",
     {{"add x0, x20, #2", 0x91000a80}, {"br x0", 0xd61f0000}},
     From::El0,
     esr(ExceptionClass::PcAlignment, 0),
     kUnmapped + 2,
     kUnmapped + 2},
    {"a misaligned PC in code",
     {{"adr x0, .+10", 0x50000040},
      {"br x0", 0xd61f0000},
      {"nop", 0xd503201f},
      {"nop", 0xd503201f}},
     From::El1,
     esr(ExceptionClass::PcAlignment, 0),
     SmallMachine::kCode + 10,
     10},
    {"a misaligned exclusive",
     {{"add x0, sp, #-60", 0xd100f3e0}, {"ldxr x1, [x0]", 0xc85f7c01}},
     From::El0,
     esr(ExceptionClass::DataAbortLower, 0x21),
     SmallMachine::kData + 0x8000 - 60,
     4},
    {"fp from EL0",
     {{"nop", 0xd503201f}, {"fmov d0, x1", 0x9e670020}},
     From::El0,
     esr(ExceptionClass::FpAccess, kConditionAlways),
     kAnyPage,
     4},
    {"fp: ldr q from EL1",
     {{"ldr q0, [sp]", 0x3dc003e0}},
     From::El1,
     esr(ExceptionClass::FpAccess, kConditionAlways),
     kAnyPage,
     0},
    {"fp in the middle of a block",
     {{"add x0, x0, #1", 0x91000400},
      {"add x0, x0, #2", 0x91000800},
      {"fadd d0, d1, d2", 0x1e622820},
      {"nop", 0xd503201f}},
     From::El1,
     esr(ExceptionClass::FpAccess, kConditionAlways),
     kAnyPage,
     8},
    {"dc zva of a read-only page",
     {{"add x0, x21, #0x47", 0x91011ea0}, {"dc zva, x0", 0xd50b7420}},
     From::El0,
     esr(ExceptionClass::DataAbortLower, 0x4f),
     kReadOnly + 0x47,
     4},
    {"a load that crosses into an unmapped page",
     {{"add x0, x20, #-4", 0xd1001280}, {"ldr x1, [x0]", 0xf9400001}},
     From::El0,
     esr(ExceptionClass::DataAbortLower, 0x07),
     kUnmapped,
     4},
    {"a store that crosses into an unmapped page",
     {{"add x0, x20, #-4", 0xd1001280}, {"str x1, [x0]", 0xf9000001}},
     From::El0,
     esr(ExceptionClass::DataAbortLower, 0x47),
     kUnmapped,
     4},
    {"msr daif from EL0",
     {{"msr daifset, #2", 0xd50342df}},
     From::El0,
     esr(ExceptionClass::SysReg, 6 << 17 | 3 << 14 | 4 << 10 | 31 << 5 | 2 << 1),
     kAnyPage,
     0},
    {"mrs daif from EL0",
     {{"mrs x0, daif", 0xd53b4220}},
     From::El0,
     esr(ExceptionClass::SysReg, sysreg_number(3, 3, 4, 2, 1) | 1),
     kAnyPage,
     0},
    {"wfi from EL0 with nTWI 0",
     {{"wfi", 0xd503207f}},
     From::El0,
     esr(ExceptionClass::Wfx, kConditionAlways),
     kAnyPage,
     0},
    {"an eret to AArch32",
     {{"mov x0, #0x10", 0xd2800200},
      {"msr spsr_el1, x0", 0xd5184000},
      {"adr x1, .+8", 0x10000041},
      {"msr elr_el1, x1", 0xd5184021},
      {"eret", 0xd69f03e0}},
     From::El1,
     esr(ExceptionClass::IllegalState, 0),
     kAnyPage,
     16},
};
INSTANTIATE_TEST_SUITE_P(OfEveryKind, AnException, ::testing::ValuesIn(kCases));

TEST(AnEret, BringsTheGuestBackFromItsVector) {
  SmallMachine m({{"svc #0", 0xd4000001}, {"add x9, x9, #1", 0x91000529}, {"hvc #7", 0xd40000e2}});
  m.load(SmallMachine::kVectors + 0x200, {{"add x8, x8, #1", 0x91000508}, {"eret", 0xd69f03e0}});

  const RawExit exit = m.run();

  EXPECT_EQ(hvc_of(exit), 7u);
  EXPECT_EQ(m.cpu().x(8), 1u);
  EXPECT_EQ(m.cpu().x(9), 1u);
  EXPECT_EQ(m.clock.retired(), 5u);
}

TEST(AGuest, WhoseVectorCausesItsOwnExceptionHasNoWayOut) {
  SmallMachine m({{"udf #0", 0x00000000}});
  m.enable_stage1(0, data_descriptor);
  m.cpu().set_sysreg(SysReg::VBAR_EL1, kUnmapped);

  const RawExit exit = m.run(12'345);

  EXPECT_EQ(exit.kind, RawExit::Kind::Endless);
  EXPECT_EQ(m.clock.retired(), 2u);
}

TEST(AGuest, ThatJumpsIntoTheEnginesOwnWindowGetsATranslationFault) {
  SmallMachine m({{"mov x0, #0x40000000", 0xd2a80000},
                  {"movk x0, #0xf0, lsl #48", 0xf2e01e00},
                  {"br x0", 0xd61f0000}});

  const RawExit exit = m.run();

  EXPECT_EQ(hvc_of(exit), 0x104u);
  EXPECT_EQ(class_of(m.cpu().sysreg(SysReg::ESR_EL1)), ExceptionClass::InstructionAbortSame);
}

TEST(Fp, IsTrappedAtEl0OnlyWhereFpenSaysSo) {
  SmallMachine m({{"fmov d0, x1", 0x9e670020}, {"hvc #7", 0xd40000e2}});
  m.cpu().set_sysreg(SysReg::CPACR_EL1, 1u << 20);

  EXPECT_EQ(hvc_of(m.run()), 7u);
}

TEST(Fp, WorksOnceTheGuestEnablesIt) {
  SmallMachine m({{"mov x0, #0x300000", 0xd2a00600},
                  {"msr cpacr_el1, x0", 0xd5181040},
                  {"isb", 0xd5033fdf},
                  {"fmov d0, x1", 0x9e670020},
                  {"fmov x2, d0", 0x9e660002},
                  {"hvc #7", 0xd40000e2}});
  m.cpu().set_sysreg(SysReg::CPACR_EL1, 0);
  m.cpu().set_x(1, 42);

  EXPECT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(2), 42u);
}

TEST(AnAddressTranslation, SaysWhereStage1Points) {
  SmallMachine m({{"at s1e1r, x20", 0xd5087814},
                  {"mrs x0, par_el1", 0xd5387400},
                  {"at s1e1r, x21", 0xd5087815},
                  {"mrs x1, par_el1", 0xd5387401},
                  {"at s1e0w, x21", 0xd5087875},
                  {"mrs x2, par_el1", 0xd5387402},
                  {"hvc #7", 0xd40000e2}});
  m.enable_stage1(0, data_descriptor);
  m.cpu().set_x(20, kUnmapped);
  m.cpu().set_x(21, kReadOnly + 0x123);

  ASSERT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(0) & 0x7f, 0x07u << 1 | 1);
  EXPECT_EQ(m.cpu().x(1) & 0xffff'ffff'f001, kReadOnly);
  EXPECT_EQ(m.cpu().x(2) & 0x7f, 0x0fu << 1 | 1);
}

TEST(AnAddressTranslation, ThatNeedsStage2ExitsAndRunsAgain) {
  SmallMachine m({{"nop", 0xd503201f},
                  {"at s1e1r, x20", 0xd5087814},
                  {"mrs x0, par_el1", 0xd5387400},
                  {"hvc #7", 0xd40000e2}});
  // A second level-2 table, which only the AT needs.
  constexpr std::uint64_t kTable = SmallMachine::kData + 0x20'0000;
  m.enable_stage1(0, data_descriptor);
  m.store<std::uint64_t>(SmallMachine::kTables + 8 * 5, kTable | 3);
  ASSERT_TRUE(m.space.unmap(GuestPhys(kTable), 0x1000));
  m.cpu().set_x(20, 5ull << 30);

  const RawExit exit = m.run();
  EXPECT_EQ(class_of(exit.esr), ExceptionClass::DataAbortLower);
  EXPECT_NE(iss_of(exit.esr) & abort_iss::kS1Ptw, 0u);
  EXPECT_EQ(exit.hpfar, kTable >> 12 << 4);
  EXPECT_EQ(m.cpu().pc(), SmallMachine::kCode + 4);
  EXPECT_EQ(m.clock.retired(), 1u);

  ASSERT_TRUE(m.space.map_ram(GuestPhys(kTable), 0x1000, MappingFlags::Read | MappingFlags::Write,
                              MapType::Alloc, Populate::Eager, "table"));
  EXPECT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(0) & 0x7f, 0x06u << 1 | 1);
  EXPECT_EQ(m.clock.retired(), 4u);
}

}  // namespace
}  // namespace retrap::aarch64::test
