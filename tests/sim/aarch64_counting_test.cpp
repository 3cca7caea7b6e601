// Instructions are counted exactly, stops are exact, and stopping anywhere changes nothing.
#include <gtest/gtest.h>

#include "tests/sim/aarch64_machine.h"
#include "vmm/base/digest.h"

namespace retrap::aarch64::test {
namespace {

constexpr std::uint64_t kForEver = std::uint64_t{1} << 40;

// Loads, stores, pairs, exclusives, calls, SVC, WFI, MMIO, counters, DAIF, FP, DC ZVA.
const Program kMix = {{"mov x0, #0", 0xd2800000},
                      {"mov x10, #40", 0xd280050a},
                      {"add x0, x0, x10", 0x8b0a0000},
                      {"str x0, [sp, #-16]!", 0xf81f0fe0},
                      {"ldp x1, x2, [sp], #16", 0xa8c10be1},
                      {"ldxr x3, [sp]", 0xc85f7fe3},
                      {"add x3, x3, #1", 0x91000463},
                      {"stxr w4, x3, [sp]", 0xc8047fe3},
                      {"cbnz w4, .-24", 0x35ffff44},
                      {"svc #1", 0xd4000021},
                      {"mrs x5, cntvct_el0", 0xd53be045},
                      {"add x0, x0, x5", 0x8b050000},
                      {"tbz x10, #0, .+20", 0x360000aa},
                      {"wfi", 0xd503207f},
                      {"str w0, [x20]", 0xb9000280},
                      {"mrs x6, cntpct_el0", 0xd53be026},
                      {"bl .+44", 0x9400000b},
                      {"yield", 0xd503203f},
                      {"msr daifset, #2", 0xd50342df},
                      {"eor x0, x0, x10, lsl #3", 0xca0a0c00},
                      {"msr daifclr, #2", 0xd50342ff},
                      {"mrs x7, tpidr_el1", 0xd538d087},
                      {"subs x10, x10, #1", 0xf100054a},
                      {"b.ne .-84", 0x54fffd61},
                      {"hvc #0x77", 0xd4000ee2},
                      {"b .-4", 0x17ffffff},
                      {"nop", 0xd503201f},
                      {"mul x0, x0, x10", 0x9b0a7c00},
                      {"fmov d0, x0", 0x9e670000},
                      {"dc zva, x21", 0xd50b7435},
                      {"b .+4", 0x14000001},
                      {"ret", 0xd65f03c0}};

struct Summary {
  std::uint64_t retired = 0;
  std::uint64_t exits = 0;
  std::uint64_t digest = 0;
  bool operator==(const Summary&) const = default;
};
void PrintTo(const Summary& s, std::ostream* out) {
  *out << s.retired << " instructions, " << s.exits << " exits, digest " << s.digest;
}

/// The mix with a stop every `stride` instructions; with `interrupts`, the input rises every 97
/// instructions and falls when the vector (hvc #0x55) is reached.
class TheMixAtWork final : public RawExitHandler {
 public:
  TheMixAtWork(std::uint64_t stride, bool interrupts)
      : stride_(stride), next_interrupt_(interrupts ? 97 : kForEver), next_stop_(stride) {
    m_.load(SmallMachine::kVectors + 0x200,
            {{"add x15, x15, #1", 0x910005ef}, {"nop", 0xd503201f}, {"eret", 0xd69f03e0}});
    m_.load(SmallMachine::kVectors + 0x280,
            {{"add x15, x15, #1", 0x910005ef}, {"hvc #0x55", 0xd4000aa2}, {"eret", 0xd69f03e0}});
    cpu_.set_x(20, SmallMachine::kDevice);
    cpu_.set_x(21, SmallMachine::kData + 0x40);
    cpu_.set_pstate(pstate::kEl1h | pstate::kD | pstate::kA | pstate::kF);
  }

  /// Every exit is dealt with after run() has returned.
  Summary run_outside() {
    do {
      set_stop();
    } while (deal_with(cpu_.run()));
    return summary();
  }
  /// The CPU calls from where it finds the exit.
  Summary run_inside() {
    set_stop();
    (void)cpu_.run_with(*this);
    return summary();
  }

  bool handle(const RawExit& exit) override {
    const bool goes_on = deal_with(exit);
    set_stop();
    return goes_on;
  }

 private:
  void set_stop() {
    if (m_.clock.retired() >= next_interrupt_) {
      cpu_.set_virtual_irq(true);
      next_interrupt_ = kForEver;
    }
    m_.clock.set_slice_end(std::min(next_stop_, next_interrupt_));
  }

  [[nodiscard]] bool deal_with(const RawExit& exit) {
    if (exit.kind == RawExit::Kind::Stopped) {
      while (next_stop_ <= m_.clock.retired()) next_stop_ += stride_;
      return true;
    }
    ++exits_;
    for (const std::uint64_t word : {exit.esr, exit.far, cpu_.pc(), m_.clock.retired()}) {
      digest_.add(word);
    }
    if (exit.kind != RawExit::Kind::Trap || hvc_of(exit) == 0x77u || exits_ > 10'000) return false;
    if (hvc_of(exit) == 0x55u) {
      cpu_.set_virtual_irq(false);
      next_interrupt_ = m_.clock.retired() + 97;
      digest_.add(cpu_.sysreg(SysReg::ELR_EL1));
    } else {
      if (class_of(exit.esr) == ExceptionClass::SysReg) {
        cpu_.set_x(sysreg_iss::rt(iss_of(exit.esr)), m_.clock.retired());
      }
      cpu_.retire();
    }
    return true;
  }

  [[nodiscard]] Summary summary() {
    for (unsigned i = 0; i < 31; ++i) digest_.add(cpu_.x(i));
    digest_.add(cpu_.sp());
    digest_.add(cpu_.pstate());
    m_.space.digest(digest_);
    return {.retired = m_.clock.retired(), .exits = exits_, .digest = digest_.value()};
  }

  SmallMachine m_{kMix};
  Cpu& cpu_ = m_.cpu();
  Digest digest_;
  std::uint64_t exits_ = 0;
  std::uint64_t stride_;
  std::uint64_t next_interrupt_;
  std::uint64_t next_stop_;
};

Summary run_mix(std::uint64_t stride, bool interrupts) {
  return TheMixAtWork(stride, interrupts).run_outside();
}

class AStride : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(AStride, ChangesNothing) {
  EXPECT_EQ(run_mix(GetParam(), false), run_mix(kForEver, false));
}
TEST_P(AStride, ChangesNothingWithInterrupts) {
  EXPECT_EQ(run_mix(GetParam(), true), run_mix(kForEver, true));
}
TEST_P(AStride, ChangesNothingWhereExitsAreDealtWithInside) {
  EXPECT_EQ(TheMixAtWork(GetParam(), false).run_inside(), run_mix(kForEver, false));
  EXPECT_EQ(TheMixAtWork(GetParam(), true).run_inside(), run_mix(kForEver, true));
}
INSTANTIATE_TEST_SUITE_P(OfInstructions, AStride,
                         ::testing::Values(1, 2, 3, 4, 5, 7, 11, 13, 17, 29, 31, 64, 101, 256,
                                           kForEver));

TEST(TheMix, EndsWithItsHypercall) {
  const Summary summary = run_mix(kForEver, true);

  EXPECT_GT(summary.retired, 900u);
  EXPECT_GT(summary.exits, 50u);
}

struct Window {
  const char* name;
  Program program;
  std::uint64_t elr;  ///< an offset
};
void PrintTo(const Window& w, std::ostream* out) {
  *out << w.name;
}

class AnInterruptWindow : public ::testing::TestWithParam<std::tuple<Window, std::uint64_t>> {};

TEST_P(AnInterruptWindow, OpensRightAfterTheInstructionThatUnmasks) {
  const auto& [window, stride] = GetParam();
  SmallMachine m(window.program);
  m.cpu().set_virtual_irq(true);

  RawExit exit;
  do {
    exit = m.run(stride);
  } while (exit.kind == RawExit::Kind::Stopped);

  EXPECT_EQ(hvc_of(exit), 0x105u);
  EXPECT_EQ(m.cpu().sysreg(SysReg::ELR_EL1) - SmallMachine::kCode, window.elr);
}

const Window kWindows[] = {
    {"msr daifclr",
     {{"nop", 0xd503201f},
      {"nop", 0xd503201f},
      {"msr daifclr, #2", 0xd50342ff},
      {"nop", 0xd503201f},
      {"nop", 0xd503201f},
      {"hvc #0x77", 0xd4000ee2}},
     12},
    {"msr daif",
     {{"mov x0, #0x345", 0xd28068a0},
      {"nop", 0xd503201f},
      {"msr daif, xzr", 0xd51b423f},
      {"nop", 0xd503201f},
      {"nop", 0xd503201f},
      {"hvc #0x77", 0xd4000ee2}},
     12},
    {"eret",
     {{"adr x0, .+24", 0x100000c0},
      {"msr elr_el1, x0", 0xd5184020},
      {"mov x1, #0x345", 0xd28068a1},
      {"msr spsr_el1, x1", 0xd5184001},
      {"eret", 0xd69f03e0},
      {"nop", 0xd503201f},
      {"nop", 0xd503201f},
      {"hvc #0x77", 0xd4000ee2}},
     24},
};
INSTANTIATE_TEST_SUITE_P(OfEveryKind, AnInterruptWindow,
                         ::testing::Combine(::testing::ValuesIn(kWindows),
                                            ::testing::Values(1, 2, 3, 1000)));

TEST(AMaskedInterrupt, IsNotTaken) {
  SmallMachine m({{"nop", 0xd503201f}, {"nop", 0xd503201f}, {"hvc #7", 0xd40000e2}});
  m.cpu().set_virtual_irq(true);

  EXPECT_EQ(hvc_of(m.run()), 7u);
}

TEST(ABranchToItself, StopsAtTheExactCount) {
  SmallMachine m({{"b .+0", 0x14000000}});

  const RawExit exit = m.run(1'000'003);

  EXPECT_EQ(exit.kind, RawExit::Kind::Stopped);
  EXPECT_EQ(m.clock.retired(), 1'000'003u);
  EXPECT_EQ(m.cpu().pc(), SmallMachine::kCode);
}

TEST(AStop, AtTheVeryStartRunsNothing) {
  SmallMachine m({{"hvc #7", 0xd40000e2}});

  EXPECT_EQ(m.run(0).kind, RawExit::Kind::Stopped);
  EXPECT_EQ(m.cpu().pc(), SmallMachine::kCode);
}

TEST(ALimit, InTheMiddleOfABlockLeavesTheRestForLater) {
  SmallMachine m({{"add x0, x0, #1", 0x91000400},
                  {"add x0, x0, #1", 0x91000400},
                  {"add x0, x0, #1", 0x91000400},
                  {"add x0, x0, #1", 0x91000400},
                  {"hvc #7", 0xd40000e2}});

  EXPECT_EQ(m.run(3).kind, RawExit::Kind::Stopped);
  EXPECT_EQ(m.cpu().x(0), 3u);
  EXPECT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(0), 4u);
  EXPECT_EQ(m.clock.retired(), 5u);
}

TEST(TheCounter, ReadsTheExactCountWhereverTheBlockBegan) {
  SmallMachine m({{"nop", 0xd503201f},
                  {"nop", 0xd503201f},
                  {"mrs x0, cntvct_el0", 0xd53be040},
                  {"nop", 0xd503201f},
                  {"mrs x1, cntvct_el0", 0xd53be041},
                  {"hvc #7", 0xd40000e2}});

  ASSERT_EQ(hvc_of(m.run()), 7u);
  EXPECT_EQ(m.cpu().x(0), 2u);
  EXPECT_EQ(m.cpu().x(1), 4u);
}

TEST(ATimerWrite, ThatSetsAnEarlierDeadlineStopsThere) {
  SmallMachine m({{"nop", 0xd503201f},
                  {"msr cntv_cval_el0, x1", 0xd51be341},
                  {"nop", 0xd503201f},
                  {"nop", 0xd503201f},
                  {"nop", 0xd503201f},
                  {"nop", 0xd503201f},
                  {"hvc #7", 0xd40000e2}});
  m.cpu().set_x(1, 77);
  m.timer.on_write = [&] { m.clock.set_slice_end(m.clock.retired() + 3); };

  const RawExit exit = m.run();

  EXPECT_EQ(m.timer.last, SysReg::CNTV_CVAL_EL0);
  EXPECT_EQ(m.timer.last_value, 77u);
  EXPECT_EQ(exit.kind, RawExit::Kind::Stopped);
  EXPECT_EQ(m.clock.retired(), 4u);
}

TEST(ATimerWrite, ThatRaisesTheInterruptIsFollowedByItAtOnce) {
  SmallMachine m({{"msr daifclr, #2", 0xd50342ff},
                  {"msr cntv_ctl_el0, x1", 0xd51be321},
                  {"nop", 0xd503201f},
                  {"nop", 0xd503201f},
                  {"hvc #7", 0xd40000e2}});
  m.timer.on_write = [&] { m.cpu().set_virtual_irq(true); };

  EXPECT_EQ(hvc_of(m.run()), 0x105u);
  EXPECT_EQ(m.cpu().sysreg(SysReg::ELR_EL1), SmallMachine::kCode + 8);
}

TEST(SystemRegisterHooks, FollowCodeToMorePagesThanTheyCanBeBoundTo) {
  SmallMachine m({{"b .+0", 0x14000000}});
  // 100 pages, each with one read of the counter and a branch to the next.
  for (std::uint64_t page = 0; page < 100; ++page) {
    m.load(SmallMachine::kData + page * 0x1000, {{"mrs x0, cntvct_el0", 0xd53be040},
                                                 {"add x1, x1, x0", 0x8b000021},
                                                 {"nop", 0xd503201f},
                                                 {"nop", 0xd503201f}});
    m.store<std::uint32_t>(SmallMachine::kData + page * 0x1000 + 12, 0x1400'03fd);
  }
  m.load(SmallMachine::kData + 100 * 0x1000, {{"hvc #7", 0xd40000e2}});
  m.cpu().set_pc(SmallMachine::kData);

  ASSERT_EQ(hvc_of(m.run(10'000)), 7u);
  EXPECT_EQ(m.timer.reads, 100);
  EXPECT_EQ(m.cpu().x(0), 99u * 4);
}

}  // namespace
}  // namespace retrap::aarch64::test
