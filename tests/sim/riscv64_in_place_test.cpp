// Exits that are dealt with inside the engine: whatever the handler does holds from the next
// instruction on, as if the engine had been left.
#include <gtest/gtest.h>

#include "tests/sim/riscv64_hart_fixture.h"

namespace retrap::riscv64::test {
namespace {

constexpr std::uint16_t kCount = 0x0505;  // c.addi a0, 1
constexpr std::uint16_t kStay = 0xa001;   // c.j .

/// ecall is answered in place, and done; everything else is the end.
class ATrapInPlace : public AHart {
 public:
  explicit ATrapInPlace(unsigned harts = 1) : AHart(harts) {}

  template <class Action>
  RawExit run_with(Action action, std::uint64_t instructions = 100) {
    Answers answers([&](const RawExit& exit) {
      if (exit.scause != code(Cause::EcallFromVs)) return false;
      skip();
      action();
      return true;
    });
    clock_.set_slice_end(retired() + instructions);
    return cpu_->run_with(answers);
  }

  /// The external interrupt is enabled, and goes to kHandler.
  void enable_interrupts() {
    catch_traps();
    cpu_->set_csr(Csr::Vsie, kSeip);
    cpu_->set_csr(Csr::Vsstatus, vsstatus::kSie);
  }

  static constexpr std::uint64_t kSeip = bit(9);
};

TEST_F(ATrapInPlace, CountsEveryInstructionOnce) {
  put(kRam, {kCount, 0x0073, 0x0000, kCount, 0x0073, 0x0000, kCount, kCount, kStay});
  std::vector<std::uint64_t> counts;

  const RawExit exit = run_with([&] { counts.push_back(retired()); }, 6);

  EXPECT_EQ(exit.scause, kTimer);
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(retired(), 6u);
  EXPECT_EQ(x(kA0), 4u);
  EXPECT_EQ(cpu_->pc(), kRam + 16);
}

TEST_F(ATrapInPlace, LetsTheGuestGoOnWhereItIsPut) {
  put(kRam, {0x0073, 0x0000, 0x0000, 0x0000, kCount, kStay});

  (void)run_with([&] {
    cpu_->set_pc(kRam + 8);
    cpu_->set_x(kA0, 41);
  });

  EXPECT_EQ(cpu_->pc(), kRam + 10);
  EXPECT_EQ(x(kA0), 42u);
}

TEST_F(ATrapInPlace, IsFollowedAtOnceByTheInterruptThatItRaises) {
  enable_interrupts();
  put(kRam, {0x0073, 0x0000, kCount, kStay});

  (void)run_with([&] { cpu_->set_hvip(kVseip, kVseip); });

  EXPECT_EQ(cpu_->pc(), kHandler);
  EXPECT_EQ(cpu_->csr(Csr::Vsepc), kRam + 4);
  EXPECT_EQ(x(kA0), 0u);
}

TEST_F(ATrapInPlace, ThatEndsTheSliceLeavesTheInterruptThatItRaisesForTheNext) {
  enable_interrupts();
  put(kRam, {0x0073, 0x0000, kCount, kStay});

  EXPECT_EQ(run_with([&] { cpu_->set_hvip(kVseip, kVseip); }, 1).scause, kTimer);

  EXPECT_EQ(cpu_->pc(), kRam + 4);
  EXPECT_EQ(cpu_->csr(Csr::Vsie), kSeip);
  (void)run(1);
  EXPECT_EQ(cpu_->pc(), kHandler);
  EXPECT_EQ(cpu_->csr(Csr::Vsepc), kRam + 4);
}

TEST_F(ATrapInPlace, ThatTheHandlerWantsNoMoreOfTakesNoInterrupt) {
  enable_interrupts();
  put(kRam, {0x0073, 0x0000, kCount, kStay});
  Answers answers([&](const RawExit&) {
    skip();
    cpu_->set_hvip(kVseip, kVseip);
    return false;
  });
  clock_.set_slice_end(100);

  EXPECT_EQ(cpu_->run_with(answers).scause, code(Cause::EcallFromVs));

  EXPECT_EQ(cpu_->pc(), kRam + 4);
  EXPECT_EQ(cpu_->csr(Csr::Vsepc), 0u);
}

TEST_F(ATrapInPlace, MovesTheStopIntoTheMiddleOfTheNextBlock) {
  put(kRam, {0x0073, 0x0000, kCount, kCount, kCount, kCount, kStay});

  (void)run_with([&] { clock_.set_slice_end(retired() + 3); });

  EXPECT_EQ(retired(), 4u);
  EXPECT_EQ(x(kA0), 3u);
  EXPECT_EQ(cpu_->pc(), kRam + 10);
}

TEST_F(ATrapInPlace, RunsTheCodeThatTheHandlerHasWritten) {
  // The second round runs what was translated in the first.
  put(kRam, {0x0073, 0x0000, kCount, 0xbfed});  // ecall; c.addi a0, 1; c.j .-6
  unsigned round = 0;

  (void)run_with(
      [&] {
        if (++round == 2) put(kRam + 4, {0x0541, kStay});  // c.addi a0, 16
      },
      20);

  EXPECT_EQ(round, 2u);
  EXPECT_EQ(x(kA0), 17u);
}

TEST_F(ATrapInPlace, TakesMemoryAwayThatTheGuestHasUsed) {
  put(kRam, {kCount, 0x0073, 0x0000, kCount, kStay});

  const RawExit exit = run_with(
      [&] { ASSERT_THAT(space_.unmap(GuestPhys(kRam), kRamSize), retrap::test::Succeeds()); });

  EXPECT_EQ(exit.scause, code(Cause::InstructionGuestPageFault));
  EXPECT_EQ(exit.sepc, kRam + 6);
  EXPECT_EQ(x(kA0), 1u);
}

TEST_F(ATrapInPlace, OfADeviceAccessIsRetiredByTheHandler) {
  put(kRam, {0xc590, 0x458c, 0x0073, 0x0000});  // c.sw a2, 8(a1); c.lw a1, 8(a1); ecall
  cpu_->set_x(kA1, kDevice);
  std::vector<std::uint64_t> addresses;
  Answers answers([&](const RawExit& exit) {
    if (exit.scause == code(Cause::EcallFromVs)) return false;
    addresses.push_back(exit.stval);
    if (exit.scause == code(Cause::LoadGuestPageFault)) cpu_->set_x(kA1, 77);
    skip(2);
    return true;
  });
  clock_.set_slice_end(100);

  EXPECT_EQ(cpu_->run_with(answers).sepc, kRam + 4);
  EXPECT_EQ(addresses, (std::vector<std::uint64_t>{kDevice + 8, kDevice + 8}));
  EXPECT_EQ(x(kA1), 77u);
  EXPECT_EQ(retired(), 2u);
}

/// A page of code whose last instruction traps, and a page behind it that nobody has accessed.
class ASliceThatEndsWithAPage : public ATrapInPlace,
                                public ::testing::WithParamInterface<std::uint32_t> {};

TEST_P(ASliceThatEndsWithAPage, DoesNotTouchTheNext) {
  constexpr std::uint64_t kLast = 0x4000'0ffc;
  constexpr std::uint64_t kNextEntry = kTables + 0x2008;
  constexpr std::uint64_t kAccessed = bit(6);
  turn_paging_on({entry(kData, 0xcf), entry(kData + 0x1000, 0x0f)});
  put(kData + 0xffc, {static_cast<std::uint16_t>(GetParam() & 0xffff),
                      static_cast<std::uint16_t>(GetParam() >> 16), kCount, kStay});
  cpu_->set_pc(kLast);

  EXPECT_EQ(run_with([] {}, 1).scause, kTimer);

  EXPECT_EQ(retired(), 1u);
  EXPECT_EQ(cpu_->pc(), kLast + 4);
  EXPECT_EQ(load(kNextEntry) & kAccessed, 0u);
  (void)run_with([] {}, 1);
  EXPECT_EQ(load(kNextEntry) & kAccessed, kAccessed);
}
INSTANTIATE_TEST_SUITE_P(OfEveryKind, ASliceThatEndsWithAPage,
                         ::testing::Values(0x0000'0073,    // ecall
                                           0x1200'0073,    // sfence.vma
                                           0xc010'2573));  // rdtime a0

class TwoHartsInPlace : public ATrapInPlace {
 public:
  TwoHartsInPlace() : ATrapInPlace(2) {}
};

TEST_F(TwoHartsInPlace, ATrapOfOneInterruptsTheOther) {
  Cpu& first = cpus_->cpu(0);
  Cpu& second = cpus_->cpu(1);
  cpu_ = &second;
  enable_interrupts();
  second.set_pc(kData);
  put(kData, {kStay});
  cpu_ = &first;
  put(kRam, {0x0073, 0x0000, kCount, kStay});

  (void)run_with([&] { second.set_hvip(kVseip, kVseip); });

  EXPECT_EQ(first.pc(), kRam + 6);
  EXPECT_EQ(first.x(kA0), 1u);
  EXPECT_EQ(second.pc(), kData);
  cpu_ = &second;
  (void)run(1);
  EXPECT_EQ(second.pc(), kHandler);
  EXPECT_EQ(second.csr(Csr::Vsepc), kData);
}

}  // namespace
}  // namespace retrap::riscv64::test
