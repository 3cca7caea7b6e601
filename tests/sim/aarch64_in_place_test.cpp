// Exits that are dealt with inside the engine: whatever the handler does holds from the next
// instruction on, as if the engine had been left.
#include <gtest/gtest.h>

#include "tests/sim/aarch64_machine.h"

namespace retrap::aarch64::test {
namespace {

constexpr Insn kNop = {"nop", 0xd503201f};
constexpr Insn kHvc1 = {"hvc #1", 0xd4000022};
constexpr Insn kHvc7 = {"hvc #7", 0xd40000e2};
constexpr Insn kCount = {"add x0, x0, #1", 0x91000400};
constexpr std::uint64_t kCode = SmallMachine::kCode;

/// Runs the guest; at hvc #1 `action` happens, and the guest goes on. Gives the next exit.
template <class Action>
RawExit run_with(SmallMachine& m, Action action, std::uint64_t instructions = 1000) {
  Answers answers([&](const RawExit& exit) {
    if (hvc_of(exit) != 1u) return false;
    action();
    return true;
  });
  m.clock.set_slice_end(m.clock.retired() + instructions);
  return m.cpu().run_with(answers);
}

TEST(AnExitInPlace, CountsEveryInstructionOnce) {
  SmallMachine m({kCount, kHvc1, kCount, kHvc1, kCount, kCount, kHvc7});

  std::vector<std::uint64_t> counts;
  const RawExit exit = run_with(m, [&] { counts.push_back(m.clock.retired()); });

  EXPECT_EQ(hvc_of(exit), 7u);
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(m.clock.retired(), 7u);
  EXPECT_EQ(m.cpu().x(0), 4u);
}

TEST(AnExitInPlace, LetsTheGuestGoOnWhereItIsPut) {
  SmallMachine m({kHvc1, kHvc7, kCount, kHvc7});

  const RawExit exit = run_with(m, [&] {
    m.cpu().set_pc(kCode + 8);
    m.cpu().set_x(0, 41);
  });

  EXPECT_EQ(hvc_of(exit), 7u);
  EXPECT_EQ(m.cpu().pc(), kCode + 16);
  EXPECT_EQ(m.cpu().x(0), 42u);
}

TEST(AnExitInPlace, IsFollowedAtOnceByTheInterruptThatItRaises) {
  SmallMachine m({{"msr daifclr, #2", 0xd50342ff}, kHvc1, kCount, kHvc7});

  const RawExit exit = run_with(m, [&] { m.cpu().set_virtual_irq(true); });

  EXPECT_EQ(hvc_of(exit), 0x105u);
  EXPECT_EQ(m.cpu().sysreg(SysReg::ELR_EL1), kCode + 8);
  EXPECT_EQ(m.cpu().x(0), 0u);
}

TEST(AnExitInPlace, LeavesAMaskedInterruptPending) {
  SmallMachine m({kHvc1, kCount, {"msr daifclr, #2", 0xd50342ff}, kCount, kHvc7});

  const RawExit exit = run_with(m, [&] { m.cpu().set_virtual_irq(true); });

  EXPECT_EQ(hvc_of(exit), 0x105u);
  EXPECT_EQ(m.cpu().sysreg(SysReg::ELR_EL1), kCode + 12);
  EXPECT_EQ(m.cpu().x(0), 1u);
}

TEST(AnExitInPlace, AsTheLastInstructionOfASliceIsFollowedByTheStop) {
  SmallMachine m({kCount, kHvc1, kCount, kHvc7});

  const RawExit exit = run_with(m, [] {}, 2);

  EXPECT_EQ(exit.kind, RawExit::Kind::Stopped);
  EXPECT_EQ(m.clock.retired(), 2u);
  EXPECT_EQ(m.cpu().pc(), kCode + 8);
  EXPECT_EQ(m.cpu().x(0), 1u);
}

TEST(AnExitInPlace, ThatEndsTheSliceIsFollowedByTheStop) {
  SmallMachine m({kHvc1, kCount, kHvc7});

  const RawExit exit = run_with(m, [&] { m.clock.set_slice_end(m.clock.retired()); });

  EXPECT_EQ(exit.kind, RawExit::Kind::Stopped);
  EXPECT_EQ(m.cpu().pc(), kCode + 4);
  EXPECT_EQ(m.cpu().x(0), 0u);
}

TEST(AnExitInPlace, MovesTheStopIntoTheMiddleOfTheNextBlock) {
  SmallMachine m({kHvc1, kCount, kCount, kCount, kCount, kHvc7});

  const RawExit exit = run_with(m, [&] { m.clock.set_slice_end(m.clock.retired() + 3); });

  EXPECT_EQ(exit.kind, RawExit::Kind::Stopped);
  EXPECT_EQ(m.clock.retired(), 4u);
  EXPECT_EQ(m.cpu().x(0), 3u);
}

TEST(AnExitInPlace, RunsTheCodeThatTheHandlerHasWritten) {
  // The second round runs what was translated in the first.
  SmallMachine m({kHvc1,
                  {"mov x1, #1", 0xd2800021},
                  {"cbnz x0, .+12", 0xb5000060},
                  kCount,
                  {"b .-16", 0x17fffffc},
                  kHvc7});
  unsigned round = 0;

  const RawExit exit = run_with(m, [&] {
    if (++round == 2) m.load(kCode + 4, {{"mov x1, #2", 0xd2800041}});
  });

  EXPECT_EQ(hvc_of(exit), 7u);
  EXPECT_EQ(round, 2u);
  EXPECT_EQ(m.cpu().x(1), 2u);
}

TEST(AnExitInPlace, TakesMemoryAwayThatTheGuestHasUsed) {
  SmallMachine m({{"ldr x1, [x2]", 0xf9400041}, kHvc1, {"ldr x1, [x2]", 0xf9400041}, kHvc7});
  m.cpu().set_x(2, SmallMachine::kData);

  const RawExit exit = run_with(m, [&] {
    ASSERT_TRUE(m.space.unmap(GuestPhys(SmallMachine::kRam), SmallMachine::kRamBytes));
  });

  // Of the fetch: the code has gone, too.
  EXPECT_EQ(class_of(exit.esr), ExceptionClass::InstructionAbortLower);
  EXPECT_EQ(m.cpu().pc(), kCode + 8);
}

TEST(AnExitInPlace, LetsTheHandlerUseAnotherCpu) {
  SmallMachine m({kCount, kHvc1, kCount, kHvc7}, Populate::Eager, 2);
  Cpu& other = m.cpu(1);

  const RawExit exit = run_with(m, [&] {
    other.reset();
    other.set_x(0, 100);
    other.set_pc(kCode);
  });

  EXPECT_EQ(hvc_of(exit), 7u);
  EXPECT_EQ(m.cpu().x(0), 2u);
  EXPECT_EQ(other.x(0), 100u);
  EXPECT_EQ(other.pc(), kCode);
}

TEST(AnExitInPlace, OfADeviceAccessIsRetiredByTheHandler) {
  SmallMachine m({{"ldr w0, [x2]", 0xb9400040},
                  {"str w0, [x2, #4]", 0xb9000440},
                  {"add w1, w0, #1", 0x11000401},
                  kHvc7});
  m.cpu().set_x(2, SmallMachine::kDevice);
  std::vector<std::uint64_t> addresses;
  Answers answers([&](const RawExit& exit) {
    if (class_of(exit.esr) != ExceptionClass::DataAbortLower) return false;
    addresses.push_back(exit.far);
    m.cpu().retire_with((iss_of(exit.esr) & abort_iss::kWnR) != 0 ? 31 : 0, 77);
    return true;
  });
  m.clock.set_slice_end(1000);

  EXPECT_EQ(hvc_of(m.cpu().run_with(answers)), 7u);
  EXPECT_EQ(addresses,
            (std::vector<std::uint64_t>{SmallMachine::kDevice, SmallMachine::kDevice + 4}));
  EXPECT_EQ(m.cpu().x(1), 78u);
  EXPECT_EQ(m.clock.retired(), 4u);
}

TEST(AnExitInPlace, OfAFetchIsRepeatedWhereTheHandlerMapsThePage) {
  constexpr std::uint64_t kNew = 0x9000'0000;
  constexpr auto kAll = MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;
  SmallMachine m({{"br x2", 0xd61f0040}});
  m.cpu().set_x(2, kNew);
  unsigned faults = 0;
  Answers answers([&](const RawExit& exit) {
    if (class_of(exit.esr) != ExceptionClass::InstructionAbortLower || ++faults > 1) return false;
    const auto mapped =
        m.space.map_ram(GuestPhys(kNew), 0x1000, kAll, MapType::Alloc, Populate::Eager, "more");
    m.load(kNew, {kCount, kHvc7});
    return mapped.has_value();
  });
  m.clock.set_slice_end(1000);

  EXPECT_EQ(hvc_of(m.cpu().run_with(answers)), 7u);
  EXPECT_EQ(faults, 1u);
  EXPECT_EQ(m.cpu().x(0), 1u);
  EXPECT_EQ(m.clock.retired(), 3u);
}

// A WFE leaves its block as no other instruction does; code behind it is looked at all the same.
TEST(TheFirstBlocks, AreSeenBehindAWaitForAnEvent) {
  constexpr Insn kWfe = {"wfe", 0xd503205f};
  constexpr Insn kReadCounter = {"mrs x0, cntvct_el0", 0xd53be040};
  for (std::size_t waits = 0; waits < 5; ++waits) {
    Program program(waits, kWfe);
    program.push_back(kReadCounter);
    program.push_back(kHvc7);
    SmallMachine m(program);

    const RawExit exit = m.run();

    EXPECT_EQ(hvc_of(exit), 7u);
    EXPECT_EQ(m.timer.reads, 1) << waits;
    EXPECT_EQ(m.clock.retired(), waits + 2) << waits;
  }
}

}  // namespace
}  // namespace retrap::aarch64::test
