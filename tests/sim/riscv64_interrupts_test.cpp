// Interrupts of the simulated hart, several harts on one engine, and stops that change nothing.
#include <gtest/gtest.h>

#include "tests/sim/riscv64_hart_fixture.h"

namespace retrap::riscv64 {
namespace {

using test::AHart;
using test::Answers;
using test::code;
using test::Code;
using test::kA0;
using test::kA1;
using test::kA2;
using test::kA3;
using test::kS0;
using test::kT0;
using test::kT1;

constexpr std::uint64_t kAllEnabled = bit(1) | bit(5) | bit(9);

std::uint64_t interrupt(unsigned number) {
  return kInterrupt | number;
}

TEST_F(AHart, TakesAnInterruptBeforeItsFirstInstruction) {
  catch_traps();
  put(kRam, {0x0001, 0x0001});
  cpu_->set_csr(Csr::Vsie, kAllEnabled);
  cpu_->set_csr(Csr::Vsstatus, vsstatus::kSie);
  cpu_->set_hvip(kVstip, kVstip);

  (void)run(1);

  EXPECT_EQ(cpu_->pc(), kHandler);
  EXPECT_EQ(cpu_->csr(Csr::Vscause), interrupt(kSupervisorTimer));
  EXPECT_EQ(cpu_->csr(Csr::Vsepc), kRam);
}

TEST_F(AHart, HoldsInterruptsThatAreMasked) {
  catch_traps();
  put(kRam, {0x0001, 0x0001, 0x0001});
  cpu_->set_csr(Csr::Vsie, bit(5));
  cpu_->set_hvip(kVsInterrupts, kVstip);
  (void)run(1);
  EXPECT_EQ(cpu_->pc(), kRam + 2) << "sstatus.SIE is clear";

  cpu_->set_csr(Csr::Vsie, bit(1));
  cpu_->set_csr(Csr::Vsstatus, vsstatus::kSie);
  (void)run(1);
  EXPECT_EQ(cpu_->pc(), kRam + 4) << "sie.STIE is clear";
  EXPECT_EQ(cpu_->hvip(), kVstip);
}

TEST_F(AHart, InterruptsUserModeWhateverSieSays) {
  turn_paging_on({entry(kRam, 0xdf)});
  catch_traps();
  put(kRam, {0x0001, 0x0001});
  cpu_->set_csr(Csr::Vsie, bit(1));
  cpu_->set_hvip(kVssip, kVssip);
  cpu_->set_privilege(Privilege::User);
  cpu_->set_pc(0x4000'0000);

  (void)run(1);

  EXPECT_EQ(cpu_->csr(Csr::Vscause), interrupt(kSupervisorSoftware));
  EXPECT_EQ(cpu_->csr(Csr::Vsepc), 0x4000'0000u);
}

// External before software before timer: the engine alone would take the lowest number.
TEST_F(AHart, TakesInterruptsInTheOrderOfTheManual) {
  put(kHandler, Code{
                    0x2573, 0x1420,  // csrr a0, scause
                    0x0073, 0x0000,  // ecall
                });
  cpu_->set_csr(Csr::Vstvec, kHandler);
  put(kRam, {0x0001});
  cpu_->set_csr(Csr::Vsie, kAllEnabled);
  std::uint64_t pending = kVsInterrupts;
  for (const unsigned expected : {kSupervisorExternal, kSupervisorSoftware, kSupervisorTimer}) {
    cpu_->set_pc(kRam);
    cpu_->set_csr(Csr::Vsstatus, vsstatus::kSie);
    cpu_->set_hvip(kVsInterrupts, pending);

    EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

    EXPECT_EQ(x(kA0), interrupt(expected));
    EXPECT_EQ(cpu_->hvip(), pending);
    pending &= ~bit(expected + 1);
  }
}

// The same where the guest opens the window itself, with and without a stop in it.
TEST_F(AHart, TakesTheExternalInterruptFirstWhenTheWindowOpens) {
  put(kHandler, Code{
                    0x2573, 0x1420,  // csrr a0, scause
                    0x0073, 0x0000,  // ecall
                });
  put(kRam, Code{
                0x0001,          // c.nop
                0x6073, 0x1001,  // csrsi sstatus, 2
                0x0001,          // c.nop
            });
  for (const std::uint64_t stop : {1ull, 2ull, 100ull}) {
    cpu_->reset();
    cpu_->set_pc(kRam);
    cpu_->set_csr(Csr::Vstvec, kHandler);
    cpu_->set_csr(Csr::Vsie, kAllEnabled);
    cpu_->set_hvip(kVsInterrupts, kVsInterrupts);
    const std::uint64_t before = retired();

    (void)run(stop);
    EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

    EXPECT_EQ(x(kA0), interrupt(kSupervisorExternal));
    EXPECT_EQ(cpu_->csr(Csr::Vsepc), kRam + 6);
    EXPECT_EQ(retired(), before + 3);
  }
}

TEST_F(AHart, ShowsAllThatIsPendingInSip) {
  put(kRam, Code{
                0x2573, 0x1440,  // csrr a0, sip
                0x7073, 0x1441,  // csrci sip, 2
                0x25f3, 0x1440,  // csrr a1, sip
                0x6073, 0x1441,  // csrsi sip, 2
                0x2673, 0x1440,  // csrr a2, sip
                0x26f3, 0x1040,  // csrr a3, sie
                0x0073, 0x0000,  // ecall
            });
  cpu_->set_csr(Csr::Vsie, kAllEnabled);
  cpu_->set_hvip(kVsInterrupts, kVsInterrupts);

  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

  EXPECT_EQ(x(kA0), kAllEnabled);
  EXPECT_EQ(x(kA1), kAllEnabled & ~bit(1));
  EXPECT_EQ(x(kA2), kAllEnabled);
  EXPECT_EQ(x(kA3), kAllEnabled);
  EXPECT_EQ(retired(), 6u);
  EXPECT_EQ(cpu_->csr(Csr::Vsip), kAllEnabled);
}

TEST_F(AHart, TakesALowerInterruptOnceTheExternalOneIsDisabled) {
  put(kHandler, Code{
                    0x2573, 0x1420,  // csrr a0, scause
                    0x0073, 0x0000,  // ecall
                });
  cpu_->set_csr(Csr::Vstvec, kHandler);
  put(kRam, Code{
                0x0293, 0x2000,  // li t0, 0x200
                0xb073, 0x1042,  // csrc sie, t0
                0x6073, 0x1001,  // csrsi sstatus, 2
                0x0001,          // c.nop
            });
  cpu_->set_csr(Csr::Vsie, kAllEnabled);
  cpu_->set_hvip(kVsInterrupts, kVseip | kVstip);

  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

  EXPECT_EQ(x(kA0), interrupt(kSupervisorTimer));
}

TEST_F(AHart, LetsTheGuestRaiseItsOwnSoftwareInterrupt) {
  catch_traps();
  cpu_->set_csr(Csr::Vsie, bit(1));
  cpu_->set_csr(Csr::Vsstatus, vsstatus::kSie);
  put(kRam, Code{
                0x6073, 0x1441,  // csrsi sip, 2
                0x0001,          // c.nop
            });
  (void)run(1);

  EXPECT_EQ(cpu_->hvip(), kVssip);
  (void)run(1);
  EXPECT_EQ(cpu_->csr(Csr::Vscause), interrupt(kSupervisorSoftware));
  EXPECT_EQ(cpu_->csr(Csr::Vsepc), kRam + 4);
}

TEST_F(AHart, VectorsInterruptsAndNotExceptions) {
  put(kHandler, {0xa001, 0xa001, 0xa001, 0xa001});
  cpu_->set_csr(Csr::Vstvec, kHandler | 1);
  cpu_->set_csr(Csr::Vsie, bit(1));
  cpu_->set_csr(Csr::Vsstatus, vsstatus::kSie);
  put(kRam, {0x9002});  // c.ebreak
  (void)run(1);
  EXPECT_EQ(cpu_->pc(), kHandler);

  cpu_->set_csr(Csr::Vsstatus, vsstatus::kSie);
  cpu_->set_hvip(kVssip, kVssip);
  cpu_->set_pc(kRam);
  (void)run(1);
  EXPECT_EQ(cpu_->pc(), kHandler + 4);
}

// ---- Stops ------------------------------------------------------------------------------------

/// A loop with what could go wrong at a stop: calls, traps of its own, a reservation, code that it
/// writes, counters, a device.
constexpr std::uint64_t kRounds = 20;

class AHartInSteps : public AHart, public ::testing::WithParamInterface<std::uint64_t> {
 public:
  void set_up() {
    put(kHandler, Code{
                      0x2373, 0x1410,  // csrr t1, sepc
                      0x0309,          // addi t1, t1, 2
                      0x1073, 0x1413,  // csrw sepc, t1
                      0x0405,          // c.addi s0, 1
                      0x0073, 0x1020,  // sret
                  });
    put(kData, Code{
                   0x0513, 0x0035,  // addi a0, a0, 3
                   0x8067, 0x0000,  // ret
               });
    put(kRam, Code{
                  0x9002,          // c.ebreak
                  0x9282,          // jalr t0
                  0xb5af, 0x1003,  // lr.d a1, (t2)
                  0x0585,          // c.addi a1, 1
                  0xb62f, 0x18b3,  // sc.d a2, a1, (t2)
                  0xa303, 0x0002,  // lw t1, 0(t0)
                  0xa023, 0x0062,  // sw t1, 0(t0)
                  0x100f, 0x0000,  // fence.i
                  0x2773, 0xc010,  // rdtime a4
                  0x27f3, 0xc000,  // rdcycle a5
                  0xc303, 0x0056,  // lbu t1, 5(a3)
                  0x14fd,          // c.addi s1, -1
                  0xfce1,          // bnez s1, loop
                  0x0073, 0x0000,  // ecall
              });
    cpu_->set_csr(Csr::Vstvec, kHandler);
    cpu_->set_x(kT0, kData);
    cpu_->set_x(test::kT2, kData + 0x1000);
    cpu_->set_x(kA3, kDevice);
    cpu_->set_x(test::kS1, kRounds);
  }

  enum class Exits : std::uint8_t { Outside, Inside };  ///< of the engine

  /// Every exit but the stops, as one number.
  std::uint64_t run_to_the_end(std::uint64_t step, Exits where = Exits::Outside) {
    Digest digest;
    Answers answers([&](const RawExit& exit) {
      clock_.set_slice_end(retired() + step);
      if (exit.scause == kTimer) return true;
      for (const std::uint64_t word : {exit.scause, exit.sepc, exit.stval, exit.htval, exit.htinst,
                                       retired(), x(kA0), x(kS0)}) {
        digest.add(word);
      }
      if (exit.scause == code(Cause::EcallFromVs)) return false;
      skip();
      return true;
    });
    clock_.set_slice_end(step);
    if (where == Exits::Inside) {
      (void)cpu_->run_with(answers);
    } else {
      while (answers.handle(cpu_->run())) continue;
    }
    cpu_->digest(digest);
    space_.digest(digest);
    return digest.value();
  }
};

TEST_P(AHartInSteps, DoesTheSameAsInOneGo) {
  set_up();
  const std::uint64_t stepped = run_to_the_end(GetParam());
  EXPECT_EQ(x(kA0), 3 * kRounds);
  EXPECT_EQ(x(kS0), kRounds);
  EXPECT_EQ(load(kData + 0x1000), kRounds);

  struct Other final : AHartInSteps {
    void TestBody() override {}
  } other;
  other.set_up();
  EXPECT_EQ(other.run_to_the_end(kNever / 2), stepped);
}

TEST_P(AHartInSteps, DoesTheSameWhereExitsAreDealtWithInside) {
  set_up();
  const std::uint64_t inside = run_to_the_end(GetParam(), Exits::Inside);

  struct Other final : AHartInSteps {
    void TestBody() override {}
  } other;
  other.set_up();
  EXPECT_EQ(other.run_to_the_end(kNever / 2), inside);
}

INSTANTIATE_TEST_SUITE_P(OfEverySize, AHartInSteps, ::testing::Values(1, 2, 3, 5, 7, 13, 50, 1000));

// ---- Several harts ----------------------------------------------------------------------------

class TwoHarts : public AHart {
 public:
  TwoHarts() : AHart(2) {}
};

TEST_F(TwoHarts, KeepTheirRegistersApart) {
  Cpu& first = cpus_->cpu(0);
  Cpu& second = cpus_->cpu(1);
  put(kRam, Code{
                0x0505,  // c.addi a0, 1
                0xbffd,  // c.j .-2
            });
  second.set_pc(kRam);
  first.set_csr(Csr::Vsstatus, vsstatus::kFs);
  first.set_csr(Csr::Fflags, 5);
  first.set_hvip(kVstip, kVstip);
  for (int i = 0; i < 10; ++i) {
    cpu_ = &first;
    (void)run(3);
    cpu_ = &second;
    (void)run(5);
  }
  EXPECT_EQ(first.x(kA0), 15u);
  EXPECT_EQ(second.x(kA0), 25u);
  EXPECT_EQ(first.csr(Csr::Fflags), 5u);
  EXPECT_EQ(second.csr(Csr::Fflags), 0u);
  EXPECT_EQ(first.hvip(), kVstip);
  EXPECT_EQ(second.hvip(), 0u);
  EXPECT_EQ(retired(), 80u);
}

TEST_F(TwoHarts, HaveAddressSpacesOfTheirOwn) {
  turn_paging_on({entry(kData, 0xc7)});
  store(kData, 1);
  Cpu& second = cpus_->cpu(1);
  put(kRam, Code{
                0x6288,          // ld a0, 0(a3)
                0x0073, 0x0000,  // ecall
            });
  cpu_->set_x(kA3, 0x4000'0000);
  second.set_x(kA3, 0x4000'0000);
  second.set_pc(kRam);
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));
  EXPECT_EQ(x(kA0), 1u);

  cpu_ = &second;

  EXPECT_EQ(run().scause, code(Cause::LoadGuestPageFault)) << "paging is off there";
}

TEST_F(TwoHarts, SeeEachOthersCode) {
  Cpu& second = cpus_->cpu(1);
  put(kRam, Code{
                0x4515,          // c.li a0, 5
                0x0073, 0x0000,  // ecall
            });
  put(kRam + 0x1000, Code{
                         0x9023, 0x00b6,  // sh a1, 0(a3)
                         0x100f, 0x0000,  // fence.i
                         0x0073, 0x0000,  // ecall
                     });
  (void)run();
  EXPECT_EQ(x(kA0), 5u);

  second.set_pc(kRam + 0x1000);
  second.set_x(kA3, kRam);
  second.set_x(kA1, 0x4519);  // c.li a0,6
  cpu_ = &second;
  (void)run();
  cpu_ = &cpus_->cpu(0);
  cpu_->set_pc(kRam);
  (void)run();

  EXPECT_EQ(x(kA0), 6u);
}

TEST(Hardware, RefusesNoHartsAndTooMany) {
  struct Unused final : AHart {
    void TestBody() override {}
  } host;
  EXPECT_THAT(host.hardware_->create(0, host.space_),
              retrap::test::FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(host.hardware_->create(65, host.space_),
              retrap::test::FailsWith(ErrorCode::InvalidInput));
}

}  // namespace
}  // namespace retrap::riscv64
