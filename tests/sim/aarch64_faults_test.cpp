// Every form of load and store stops exactly before the access that stage 2 refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/aarch64_machine.h"

namespace retrap::aarch64::test {
namespace {

constexpr std::uint64_t kHole = SmallMachine::kData + 0x10'0000;  // a page that is not there

struct Case {
  Insn insn;
  std::uint64_t base;  ///< x2, as an offset from kHole
  std::uint64_t far;   ///< expected, as an offset from kHole
  bool write = false;
  bool syndrome = false;  ///< ISV
  bool may_tear = false;  ///< the first of two registers may be stored already
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.insn.assembly;
}

class AFaultingAccess : public ::testing::TestWithParam<Case> {};

TEST_P(AFaultingAccess, ChangesNothingAndNamesItsAddress) {
  const Case& c = GetParam();
  SmallMachine m(
      {{"nop", 0xd503'201f}, c.insn, {"add x9, x9, #1", 0x91000529}, {"hvc #7", 0xd40000e2}});
  ASSERT_TRUE(m.space.unmap(GuestPhys(kHole), 0x1000));
  m.store<std::uint64_t>(kHole - 8, 0x5a5a'5a5a'5a5a'5a5a);
  m.store<std::uint64_t>(kHole - 16, 0x5a5a'5a5a'5a5a'5a5a);
  m.store<std::uint64_t>(kHole + 0x1000, 0x5a5a'5a5a'5a5a'5a5a);
  m.cpu().set_x(1, 0x1122'3344'5566'7788);
  m.cpu().set_x(2, kHole + c.base);
  m.cpu().set_x(3, 2);

  const RawExit exit = m.run();

  ASSERT_EQ(exit.kind, RawExit::Kind::Trap);
  EXPECT_EQ(class_of(exit.esr), ExceptionClass::DataAbortLower);
  EXPECT_EQ(exit.far, kHole + c.far);
  EXPECT_EQ(exit.hpfar, kHole >> 12 << 4);
  EXPECT_EQ(iss_of(exit.esr) & abort_iss::kFscMask, fsc::kTranslation | 3);
  EXPECT_EQ((iss_of(exit.esr) & abort_iss::kWnR) != 0, c.write);
  EXPECT_EQ((iss_of(exit.esr) & abort_iss::kIsv) != 0, c.syndrome);
  EXPECT_EQ(m.cpu().pc(), SmallMachine::kCode + 4);
  EXPECT_EQ(m.cpu().x(1), 0x1122'3344'5566'7788u);
  EXPECT_EQ(m.cpu().x(2), kHole + c.base);
  EXPECT_EQ(m.cpu().x(9), 0u);
  EXPECT_EQ(m.clock.retired(), 1u);
  if (!c.may_tear) {
    EXPECT_EQ(m.read<std::uint64_t>(kHole - 8), 0x5a5a'5a5a'5a5a'5a5a);
    EXPECT_EQ(m.read<std::uint64_t>(kHole - 16), 0x5a5a'5a5a'5a5a'5a5a);
  }
  EXPECT_EQ(m.read<std::uint64_t>(kHole + 0x1000), 0x5a5a'5a5a'5a5a'5a5a);
}

TEST_P(AFaultingAccess, RunsOnWhenThePageIsThere) {
  const Case& c = GetParam();
  SmallMachine m(
      {{"nop", 0xd503'201f}, c.insn, {"add x9, x9, #1", 0x91000529}, {"hvc #7", 0xd40000e2}});
  ASSERT_TRUE(m.space.unmap(GuestPhys(kHole), 0x1000));
  m.cpu().set_x(2, kHole + c.base);
  m.cpu().set_x(3, 2);
  (void)m.run();

  ASSERT_TRUE(m.space.map_ram(GuestPhys(kHole), 0x1000, MappingFlags::Read | MappingFlags::Write,
                              MapType::Alloc, Populate::Eager, "hole"));
  const RawExit exit = m.run();

  EXPECT_EQ(hvc_of(exit), 7u);
  EXPECT_EQ(m.cpu().x(9), 1u);
  EXPECT_EQ(m.clock.retired(), 4u);
}

const Case kCases[] = {
    {.insn = {"ldr x1, [x2]", 0xf9400041}, .base = 0x10, .far = 0x10, .syndrome = true},
    {.insn = {"ldr x1, [x2], #8", 0xf8408441}, .base = 0x10, .far = 0x10},
    {.insn = {"ldr w1, [x2, #16]!", 0xb8410c41}, .base = 0, .far = 0x10},
    {.insn = {"ldrsb w1, [x2]", 0x39c00041}, .base = 0x13, .far = 0x13, .syndrome = true},
    {.insn = {"ldur x1, [x2, #-5]", 0xf85fb041}, .base = 0x15, .far = 0x10, .syndrome = true},
    {.insn = {"str x1, [x2]", 0xf9000041},
     .base = 0x10,
     .far = 0x10,
     .write = true,
     .syndrome = true},
    {.insn = {"str w1, [x2], #4", 0xb8004441}, .base = 0x10, .far = 0x10, .write = true},
    {.insn = {"strb w1, [x2, x3]", 0x38236841},
     .base = 0xe,
     .far = 0x10,
     .write = true,
     .syndrome = true},
    {.insn = {"str x1, [x2, x3, lsl #3]", 0xf8237841},
     .base = 0,
     .far = 0x10,
     .write = true,
     .syndrome = true},
    {.insn = {"ldp x1, x4, [x2]", 0xa9401041}, .base = 0x10, .far = 0x10},
    {.insn = {"ldnp x1, x4, [x2]", 0xa8401041}, .base = 0x10, .far = 0x10},
    {.insn = {"ldpsw x1, x4, [x2]", 0x69401041}, .base = 0x10, .far = 0x10},
    {.insn = {"stp x1, x4, [x2, #-16]!", 0xa9bf1041}, .base = 0x20, .far = 0x10, .write = true},
    {.insn = {"ldr q0, [x2]", 0x3dc00040}, .base = 0x10, .far = 0x10},
    {.insn = {"str b0, [x2]", 0x3d000040}, .base = 0x10, .far = 0x10, .write = true},
    {.insn = {"stp q0, q1, [x2]", 0xad000440}, .base = 0x10, .far = 0x10, .write = true},
    {.insn = {"ld1 {v0.16b-v3.16b}, [x2]", 0x4c402040}, .base = 0x10, .far = 0x10},
    {.insn = {"st4 {v0.4s-v3.4s}, [x2], #64", 0x4c9f0840},
     .base = 0x10,
     .far = 0x10,
     .write = true},
    {.insn = {"ld1r {v0.2d}, [x2]", 0x4d40cc40}, .base = 0x10, .far = 0x10},
    {.insn = {"ld3 {v0.h, v1.h, v2.h}[5], [x2], x3", 0x4dc36840}, .base = 0x10, .far = 0x10},
    {.insn = {"ldxr x1, [x2]", 0xc85f7c41}, .base = 0x10, .far = 0x10},
    {.insn = {"ldaxp x1, x4, [x2]", 0xc87f9041}, .base = 0x10, .far = 0x10},
    {.insn = {"ldar x1, [x2]", 0xc8dffc41}, .base = 0x10, .far = 0x10, .syndrome = true},
    {.insn = {"stlr x1, [x2]", 0xc89ffc41},
     .base = 0x10,
     .far = 0x10,
     .write = true,
     .syndrome = true},
    {.insn = {"ldtr x1, [x2]", 0xf8400841}, .base = 0x10, .far = 0x10, .syndrome = true},
    {.insn = {"dc zva, x2", 0xd50b7422}, .base = 0x10, .far = 0x10, .write = true},
    {.insn = {"ldr x1, [x2, #4]", 0xf8404041},
     .base = 0xffffffffffffffff - 7,
     .far = 0,
     .syndrome = true},
    {.insn = {"str x1, [x2, #4]", 0xf8004041},
     .base = 0xffffffffffffffff - 7,
     .far = 0,
     .write = true,
     .syndrome = true},
    {.insn = {"ldr x1, [x2]", 0xf9400041}, .base = 0xffc, .far = 0xffc, .syndrome = true},
    {.insn = {"str x1, [x2]", 0xf9000041},
     .base = 0xffc,
     .far = 0xffc,
     .write = true,
     .syndrome = true},
    {.insn = {"stp x1, x4, [x2]", 0xa9001041},
     .base = 0xffffffffffffffff - 7,
     .far = 0,
     .write = true,
     .may_tear = true},
    {.insn = {"stp q0, q1, [x2]", 0xad000440},
     .base = 0xffffffffffffffff - 15,
     .far = 0,
     .write = true,
     .may_tear = true},
};
INSTANTIATE_TEST_SUITE_P(AllForms, AFaultingAccess, ::testing::ValuesIn(kCases));

TEST(AnAccess, ThatOnlyPrefetchesNeverFaults) {
  SmallMachine m({{"prfm pldl1keep, [x2]", 0xf9800040}, {"hvc #7", 0xd40000e2}});
  m.cpu().set_x(2, SmallMachine::kDevice);

  EXPECT_EQ(hvc_of(m.run()), 7u);
}

TEST(AFetch, FaultsAtItsTarget) {
  SmallMachine m({{"nop", 0xd503201f}, {"br x2", 0xd61f0040}});
  m.cpu().set_x(2, SmallMachine::kDevice);

  const RawExit exit = m.run();

  EXPECT_EQ(class_of(exit.esr), ExceptionClass::InstructionAbortLower);
  EXPECT_EQ(exit.far, SmallMachine::kDevice);
  EXPECT_EQ(exit.hpfar, SmallMachine::kDevice >> 12 << 4);
  EXPECT_EQ(m.cpu().pc(), SmallMachine::kDevice);
  EXPECT_EQ(m.clock.retired(), 2u);
}

TEST(AFetch, FromAPageWithoutExecuteIsAPermissionFault) {
  SmallMachine m({{"br x2", 0xd61f0040}});
  ASSERT_TRUE(m.space.unmap(GuestPhys(kHole), 0x1000));
  ASSERT_TRUE(m.space.map_ram(GuestPhys(kHole), 0x1000, MappingFlags::Read | MappingFlags::Write,
                              MapType::Alloc, Populate::Eager, "data"));
  m.cpu().set_x(2, kHole);

  const RawExit exit = m.run();

  EXPECT_EQ(class_of(exit.esr), ExceptionClass::InstructionAbortLower);
  EXPECT_EQ(iss_of(exit.esr) & abort_iss::kFscMask, fsc::kPermission | 3);
}

TEST(AStore, ToAReadOnlyRegionIsAPermissionFault) {
  SmallMachine m({{"ldr x1, [x2]", 0xf9400041}, {"str x1, [x2]", 0xf9000041}});
  ASSERT_TRUE(m.space.unmap(GuestPhys(kHole), 0x1000));
  ASSERT_TRUE(m.space.map_ram(GuestPhys(kHole), 0x1000, MappingFlags::Read, MapType::Alloc,
                              Populate::Eager, "rom"));
  m.cpu().set_x(2, kHole);

  const RawExit exit = m.run();

  EXPECT_EQ(m.cpu().pc(), SmallMachine::kCode + 4);
  EXPECT_EQ(iss_of(exit.esr) & abort_iss::kFscMask, fsc::kPermission | 3);
  EXPECT_NE(iss_of(exit.esr) & abort_iss::kWnR, 0u);
}

TEST(AWalkOfStage1, ThatStage2RefusesNamesTheTable) {
  SmallMachine m({{"ldr x1, [x2]", 0xf9400041}, {"hvc #7", 0xd40000e2}});
  m.enable_stage1(0, [](std::uint64_t page) { return page | 0x403; });
  ASSERT_TRUE(m.space.unmap(GuestPhys(SmallMachine::kTables + 0x2000), 0x1000));
  m.cpu().set_x(2, SmallMachine::kData + 8);

  const RawExit exit = m.run();

  // The fetch of the first instruction walks the same table.
  EXPECT_EQ(class_of(exit.esr), ExceptionClass::InstructionAbortLower);
  EXPECT_NE(iss_of(exit.esr) & abort_iss::kS1Ptw, 0u);
  EXPECT_EQ(exit.hpfar, (SmallMachine::kTables + 0x2000) >> 12 << 4);
  EXPECT_EQ(exit.far, SmallMachine::kCode);
}

TEST(AnUnmappedPage, IsNoLongerReachableThroughACachedTranslation) {
  SmallMachine m({{"ldr x1, [x2]", 0xf9400041},
                  {"hvc #1", 0xd4000022},
                  {"ldr x1, [x2]", 0xf9400041},
                  {"hvc #2", 0xd4000042}});
  m.cpu().set_x(2, kHole);
  ASSERT_EQ(hvc_of(m.run()), 1u);

  ASSERT_TRUE(m.space.unmap(GuestPhys(kHole), 0x1000));
  const RawExit exit = m.run();

  EXPECT_EQ(class_of(exit.esr), ExceptionClass::DataAbortLower);
  EXPECT_EQ(m.cpu().pc(), SmallMachine::kCode + 8);
}

}  // namespace
}  // namespace retrap::aarch64::test
