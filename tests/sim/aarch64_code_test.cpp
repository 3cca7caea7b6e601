// Code that is written and then executed: through any alias, by any CPU, by the host.
#include <gtest/gtest.h>

#include "tests/sim/aarch64_machine.h"

namespace retrap::aarch64::test {
namespace {

constexpr std::uint64_t kFunctions = SmallMachine::kCode + 0x1000;  // two of them, 32 bytes apart
constexpr std::uint64_t kAlias = SmallMachine::kData + 0x8'0000;    // not executable
constexpr std::uint64_t kPxn = bit(53);
constexpr std::uint32_t kMovX0Two = 0xd280'0040;    // mov x0, #2
constexpr std::uint32_t kMovX0Three = 0xd280'0060;  // mov x0, #3

// Calls both functions, patches both through x20, cleans up as the manual says (B2.4.4), calls them
// again: x5 and x6 are what they give then.
const Program kPatcher = {{"bl .+0x1000", 0x94000400},
                          {"bl .+0x101c", 0x94000407},
                          {"mov w1, #0x40", 0x52800801},
                          {"movk w1, #0xd280, lsl #16", 0x72ba5001},
                          {"str w1, [x20]", 0xb9000281},
                          {"str w3, [x20, #0x20]", 0xb9002283},
                          {"str w2, [x20, #64]", 0xb9004282},
                          {"dsb sy", 0xd5033f9f},
                          {"ic ivau, x21", 0xd50b7535},
                          {"add x22, x21, #0x20", 0x910082b6},
                          {"ic ivau, x22", 0xd50b7536},
                          {"dsb sy", 0xd5033f9f},
                          {"isb", 0xd5033fdf},
                          {"bl .+0xfcc", 0x940003f3},
                          {"mov x5, x0", 0xaa0003e5},
                          {"bl .+0xfe4", 0x940003f9},
                          {"mov x6, x0", 0xaa0003e6},
                          {"hvc #7", 0xd40000e2}};
const Program kReturnOne = {{"mov x0, #1", 0xd2800020}, {"ret", 0xd65f03c0}};

enum class Through : std::uint8_t { SameMapping, Alias };
class APatch : public ::testing::TestWithParam<Through> {};

TEST_P(APatch, TakesEffectAfterIc) {
  SmallMachine m(kPatcher);
  m.load(kFunctions, kReturnOne);
  m.load(kFunctions + 0x20, kReturnOne);
  m.enable_stage1(0, [](std::uint64_t page) {
    return page == kAlias ? kFunctions | 0x403 | kPxn : page | 0x403 | kPxn;
  });
  m.cpu().set_x(21, kFunctions);
  m.cpu().set_x(20, GetParam() == Through::Alias ? kAlias : kFunctions);
  m.cpu().set_x(3, kMovX0Three);

  ASSERT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(5), 2u);
  EXPECT_EQ(m.cpu().x(6), 3u);
}
INSTANTIATE_TEST_SUITE_P(Through, APatch, ::testing::Values(Through::SameMapping, Through::Alias));

TEST(APatch, TakesEffectAfterIcOfEverything) {
  SmallMachine m({{"bl .+0x1000", 0x94000400},
                  {"str w3, [x20]", 0xb9000283},
                  {"dsb sy", 0xd5033f9f},
                  {"ic iallu", 0xd508751f},
                  {"dsb sy", 0xd5033f9f},
                  {"isb", 0xd5033fdf},
                  {"bl .+0xfe8", 0x940003fa},
                  {"hvc #7", 0xd40000e2}});
  m.load(kFunctions, kReturnOne);
  m.enable_stage1(0, [](std::uint64_t page) {
    return page == kAlias ? kFunctions | 0x403 | kPxn : page | 0x403 | kPxn;
  });
  m.cpu().set_x(20, kAlias);
  m.cpu().set_x(3, kMovX0Three);

  ASSERT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(0), 3u);
}

TEST(APatch, NeedsNoIc) {
  SmallMachine m({{"bl .+0x1000", 0x94000400},
                  {"str w3, [x20]", 0xb9000283},
                  {"bl .+0xff8", 0x940003fe},
                  {"hvc #7", 0xd40000e2}});
  m.load(kFunctions, kReturnOne);
  m.enable_stage1(0, [](std::uint64_t page) {
    return page == kAlias ? kFunctions | 0x403 | kPxn : page | 0x403 | kPxn;
  });
  m.cpu().set_x(20, kAlias);
  m.cpu().set_x(3, kMovX0Three);

  ASSERT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(0), 3u);
}

/// A store to what follows it in its own block.
struct OwnPatch {
  const char* name;
  Program program;        ///< x20 is kCode, w3 is mov x0, #3
  std::uint64_t x0;       ///< afterwards
  std::uint64_t retired;  ///< with the hvc
};
void PrintTo(const OwnPatch& patch, std::ostream* out) {
  *out << patch.name;
}
class AStoreToItsOwnBlock : public ::testing::TestWithParam<OwnPatch> {};

TEST_P(AStoreToItsOwnBlock, IsSeenByTheNextInstructionHoweverTheRunIsSliced) {
  const OwnPatch& patch = GetParam();
  for (const std::uint64_t slice : {1000u, 1u, 2u, 3u}) {
    SmallMachine m(patch.program);
    m.load(kFunctions, kReturnOne);
    m.cpu().set_x(20, SmallMachine::kCode);
    m.cpu().set_x(21, kFunctions);
    m.cpu().set_x(3, kMovX0Three);
    m.cpu().set_x(4, std::uint64_t{kMovX0Three} << 32 | 0xd503'201f);

    RawExit exit = m.run(slice);
    while (exit.kind == RawExit::Kind::Stopped && m.clock.retired() < 100) exit = m.run(slice);

    EXPECT_EQ(hvc_of(exit), 7u) << slice;
    EXPECT_EQ(m.cpu().x(0), patch.x0) << slice;
    EXPECT_EQ(m.clock.retired(), patch.retired) << slice;
  }
}

const std::vector<OwnPatch> kOwnPatches = {
    {"a word",
     {{"str w3, [x20, #4]", 0xb9000683}, {"mov x0, #1", 0xd2800020}, {"hvc #7", 0xd40000e2}},
     3,
     3},
    {"a pair: nop, and mov x0, #3",
     {{"stp x4, x4, [x20, #8]", 0xa9009284},
      {"nop", 0xd503201f},
      {"mov x0, #1", 0xd2800020},
      {"mov x0, #1", 0xd2800020},
      {"mov x0, #1", 0xd2800020},
      {"mov x0, #1", 0xd2800020},
      {"hvc #7", 0xd40000e2}},
     3,
     7},
    {"a loop that counts in its own instruction",
     {{"ldr w5, [x20, #12]", 0xb9400e85},
      {"add w5, w5, #0x20", 0x110080a5},
      {"str w5, [x20, #12]", 0xb9000e85},
      {"mov x0, #0", 0xd2800000},
      {"cmp x0, #4", 0xf100101f},
      {"b.ne .-20", 0x54ffff61},
      {"hvc #7", 0xd40000e2}},
     4,
     25},
    {"data in the page of the code",
     {{"str x3, [x20, #0x800]", 0xf9040283},
      {"ldr x0, [x20, #0x800]", 0xf9440280},
      {"hvc #7", 0xd40000e2}},
     kMovX0Three,
     3},
    {"half of it in the next page, which has code, too",
     {{"bl .+0x1000", 0x94000400},
      {"stur x4, [x21, #-4]", 0xf81fc2a4},
      {"bl .+0xff8", 0x940003fe},
      {"hvc #7", 0xd40000e2}},
     3,
     8},
};
INSTANTIATE_TEST_SUITE_P(OfEveryKind, AStoreToItsOwnBlock, ::testing::ValuesIn(kOwnPatches));

/// Two engines over the same memory, as two VMs that share every page.
struct SharedMachine : SmallMachine {
  explicit SharedMachine(const Program& program) : SmallMachine(program) {
    clock.set_slice_end(kNever);
    const CpuSetup setup{.mpidr = 0x8000'0000, .timer = &timer};
    other_set = std::move(*other_hardware->create({&setup, 1}, space));
  }
  Cpu& other() { return other_set->cpu(0); }

  std::unique_ptr<Hardware> other_hardware = unicorn::aarch64::make_unicorn_hardware(memory, clock);
  std::unique_ptr<CpuSet> other_set;
};

TEST(APageThatVmsShare, HasTheCodeThatTheOtherVmWrites) {
  constexpr std::uint64_t kWriter = SmallMachine::kCode + 0x2000;
  SharedMachine m({{"bl .+0x1000", 0x94000400}, {"hvc #7", 0xd40000e2}, {"b .-8", 0x17fffffe}});
  m.load(kFunctions, kReturnOne);
  m.load(kWriter, {{"str w3, [x20]", 0xb9000283}, {"hvc #8", 0xd4000102}, {"b .-8", 0x17fffffe}});
  m.other().set_pc(kWriter);
  m.other().set_x(20, kFunctions);

  for (std::uint64_t value = 0; value < 5; ++value) {
    // Written while it has translations, and while the writer's own TLB has the page.
    m.other().set_x(3, 0xd280'0000 | value << 5);
    ASSERT_EQ(hvc_of(m.other().run()), 8u);
    ASSERT_EQ(hvc_of(m.cpu().run()), 7u);
    EXPECT_EQ(m.cpu().x(0), value);
  }
}

TEST(CodeThatTheHostWrites, TakesEffectAtTheNextRun) {
  SmallMachine m({{"mov x0, #1", 0xd2800020}, {"hvc #7", 0xd40000e2}, {"b .-8", 0x17fffffe}});
  ASSERT_EQ(hvc_of(m.run()), 7u);
  ASSERT_EQ(m.cpu().x(0), 1u);

  m.store<std::uint32_t>(SmallMachine::kCode, kMovX0Two);

  ASSERT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(0), 2u);
}

TEST(CodeOfOneCpu, IsCoherentForTheOther) {
  SmallMachine m({{"mov x0, #1", 0xd2800020}, {"hvc #7", 0xd40000e2}, {"b .-8", 0x17fffffe}},
                 Populate::Eager, 2);
  m.clock.set_slice_end(kNever);
  ASSERT_EQ(hvc_of(m.cpu(0).run()), 7u);
  m.load(kFunctions, {{"str w3, [x20]", 0xb9000283},
                      {"dsb sy", 0xd5033f9f},
                      {"ic ivau, x20", 0xd50b7534},
                      {"dsb sy", 0xd5033f9f},
                      {"isb", 0xd5033fdf},
                      {"hvc #8", 0xd4000102}});
  m.cpu(1).set_pc(kFunctions);
  m.cpu(1).set_x(3, kMovX0Two);
  m.cpu(1).set_x(20, SmallMachine::kCode);

  ASSERT_EQ(hvc_of(m.cpu(1).run()), 8u);
  ASSERT_EQ(hvc_of(m.cpu(0).run()), 7u);

  EXPECT_EQ(m.cpu(0).x(0), 2u);
}

TEST(TwoCpus, KeepTheirRegistersApart) {
  SmallMachine m({{"add x0, x0, x1", 0x8b010000},
                  {"mrs x2, mpidr_el1", 0xd53800a2},
                  {"hvc #7", 0xd40000e2},
                  {"b .-12", 0x17fffffd}},
                 Populate::Eager, 2);
  m.clock.set_slice_end(kNever);
  m.cpu(0).set_x(1, 10);
  m.cpu(1).set_x(1, 100);

  for (int turn = 0; turn < 3; ++turn) {
    for (unsigned cpu : {0u, 1u}) ASSERT_EQ(hvc_of(m.cpu(cpu).run()), 7u);
  }

  EXPECT_EQ(m.cpu(0).x(0), 30u);
  EXPECT_EQ(m.cpu(1).x(0), 300u);
  EXPECT_EQ(m.cpu(0).x(2), 0x8000'0000u);
  EXPECT_EQ(m.cpu(1).x(2), 0x8000'0001u);
  EXPECT_EQ(m.clock.retired(), 6u * 3 + 4);
}

TEST(APage, ThatTheGuestMayWriteIsMarkedForTheDigest) {
  SmallMachine m({{"str x1, [x2]", 0xf9000041}, {"hvc #7", 0xd40000e2}});
  const auto host = m.space.translate(GuestPhys(SmallMachine::kData));
  ASSERT_TRUE(host.has_value());
  EXPECT_EQ(m.memory.flags(*host) & HostMemory::kWritten, 0);
  m.cpu().set_x(2, SmallMachine::kData);

  ASSERT_EQ(hvc_of(m.run()), 7u);

  EXPECT_NE(m.memory.flags(*host) & HostMemory::kWritten, 0);
  EXPECT_EQ(m.memory.flags(*host) & HostMemory::kCode, 0);
}

TEST(APage, WithTranslatedCodeIsMarked) {
  SmallMachine m({{"hvc #7", 0xd40000e2}});
  (void)m.run();

  EXPECT_NE(m.memory.flags(*m.space.translate(GuestPhys(SmallMachine::kCode))) & HostMemory::kCode,
            0);
}

TEST(ACpu, AfterAResetIsAsAfterPowerOn) {
  SmallMachine m({{"mov x5, #7", 0xd28000e5},
                  {"msr vbar_el1, x5", 0xd518c005},
                  {"fmov d3, x5", 0x9e6700a3},
                  {"hvc #7", 0xd40000e2}});
  ASSERT_EQ(hvc_of(m.run()), 7u);

  m.cpu().reset();

  EXPECT_EQ(m.cpu().x(5), 0u);
  EXPECT_EQ(m.cpu().v(3), Vector{});
  EXPECT_EQ(m.cpu().pc(), 0u);
  EXPECT_EQ(m.cpu().sysreg(SysReg::VBAR_EL1), 0u);
  EXPECT_EQ(m.cpu().pstate(), pstate::kReset);
}

TEST(TheHardware, RefusesAVmWithoutCpus) {
  SmallMachine m({{"nop", 0xd503201f}});
  const auto hardware = unicorn::aarch64::make_unicorn_hardware(m.memory, m.clock);

  const auto created = hardware->create({}, m.space);

  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().code, ErrorCode::InvalidInput);
}

}  // namespace
}  // namespace retrap::aarch64::test
