// What exits mean, between several vCPUs and several VMs.
#include "vmm/hypervisor.h"

#include <gmock/gmock.h>

#include "tests/support/matchers.h"
#include "tests/support/scripted_host.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using scripted::Answer;
using scripted::CpuUpAnswered;
using scripted::Entered;
using scripted::Returned;
using scripted::ScriptedInterrupts;
using test::FailsSaying;
using test::Succeeds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// One VM of three vCPUs with the hardware ids 0x100, 0x101, 0x102.
class AHypervisor : public ::testing::Test {
 public:
  AHypervisor() { EXPECT_THAT(add(1), Succeeds()); }

  Result<Vm*> add(std::uint32_t id) {
    VmConfig config = host_.config();
    config.id = id;
    config.cpu_num = 3;
    config.phys_cpu_ids = {0x100, 0x101, 0x102};
    return Vm::create(std::move(config), host_, console_).and_then([&](std::unique_ptr<Vm> vm) {
      return hypervisor_.adopt(std::move(vm));
    });
  }

  [[nodiscard]] scripted::ScriptedBoard& board() {
    return dynamic_cast<scripted::ScriptedBoard&>(hypervisor_.vm(0).board());
  }
  [[nodiscard]] scripted::ScriptedVcpu& cpu(std::uint32_t id) { return board().vcpu(VcpuId{id}); }
  [[nodiscard]] VcpuActivity activity(std::uint32_t id) {
    return hypervisor_.activity({0, VcpuId{id}});
  }

  /// Boots, and lets a vCPU take `exit` in a slice that ends one instruction later.
  AfterExit takes(const ExitReason& exit, VcpuId vcpu = kBootVcpu) {
    hypervisor_.boot_all();
    host_.clock().set_slice_end(host_.clock().retired() + 1);
    board().vcpu(vcpu).play({{exit}, {.exit = exits::Nothing{}, .after = 2}});
    return hypervisor_.run({0, vcpu});
  }

  test::ScriptedHost host_;
  test::ConsoleText console_;
  Hypervisor hypervisor_;
};

TEST_F(AHypervisor, BootsOnlyTheBootProcessor) {
  hypervisor_.boot_all();

  EXPECT_EQ(activity(0), VcpuActivity::Runnable);
  EXPECT_EQ(activity(1), VcpuActivity::Off);
  EXPECT_EQ(hypervisor_.vm(0).state(), VmState::Running);
}

TEST_F(AHypervisor, RefusesASecondVmWithTheSameId) {
  EXPECT_THAT(add(1), FailsSaying(ErrorCode::AlreadyExists, "vm 1"));
  EXPECT_THAT(add(2), Succeeds());
  EXPECT_EQ(hypervisor_.vm_num(), 2u);
}

TEST_F(AHypervisor, AnswersUnknownHypercallsWithTheArchitecturesCode) {
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2},
                                     std::uint64_t{8}, ~std::uint64_t{0}}) {
    EXPECT_EQ(takes(exits::Hypercall{number, {}}), AfterExit::BudgetSpent);
    EXPECT_THAT(cpu(0).answers(),
                ElementsAre(Answer(Returned{scripted::ScriptedVcpu::kNotSupported})));
  }
}

TEST_F(AHypervisor, LetsAHaltedVcpuWaitUntilAnInterrupt) {
  EXPECT_EQ(takes(exits::Halt{}), AfterExit::Reschedule);
  EXPECT_EQ(activity(0), VcpuActivity::Waiting);

  hypervisor_.wake();
  EXPECT_EQ(activity(0), VcpuActivity::Waiting);

  ASSERT_THAT(hypervisor_.vm(0).inject_interrupt_to_vcpu(kBootVcpu, 0x20), Succeeds());
  hypervisor_.wake();
  EXPECT_EQ(activity(0), VcpuActivity::Runnable);
}

TEST_F(AHypervisor, ComesBackWhereAnExitWakesAnotherVcpu) {
  ASSERT_EQ(takes(exits::CpuUp{0x101, 0_gpa, 0}), AfterExit::Reschedule);
  ASSERT_EQ(takes(exits::Halt{}, VcpuId{1}), AfterExit::Reschedule);
  ASSERT_EQ(activity(1), VcpuActivity::Waiting);

  EXPECT_EQ(takes(exits::SendIPI{0x101, 0, false, false, 5}), AfterExit::Reschedule);

  EXPECT_EQ(activity(1), VcpuActivity::Runnable);
}

TEST_F(AHypervisor, ComesBackAtTheFirstExitOnceItsTurnIsDue) {
  cpu(0).play(scripted::Script(5, {.exit = exits::Nothing{}, .after = 10}));
  host_.clock().set_slice_end(1000);
  host_.clock().set_turn(25, kNever);
  hypervisor_.boot_all();

  EXPECT_EQ(hypervisor_.run({.vm = 0, .vcpu = kBootVcpu}), AfterExit::Reschedule);

  EXPECT_EQ(host_.clock().retired(), 30u);
}

TEST_F(AHypervisor, DoesNotHaltAVcpuThatHasAnInterruptPending) {
  cpu(0).set_wakeup(true);

  EXPECT_EQ(takes(exits::Halt{}), AfterExit::BudgetSpent);
  EXPECT_EQ(activity(0), VcpuActivity::Runnable);
}

TEST_F(AHypervisor, StartsTheVcpuThatTheGuestNames) {
  EXPECT_EQ(takes(exits::CpuUp{0x102, 0x4000'1000_gpa, 77}), AfterExit::Reschedule);

  EXPECT_EQ(activity(2), VcpuActivity::Runnable);
  EXPECT_EQ(activity(1), VcpuActivity::Off);
  EXPECT_THAT(cpu(2).answers(), ElementsAre(Answer(Entered{0x4000'1000_gpa, 77})));
  EXPECT_THAT(cpu(0).answers(), ElementsAre(Answer(CpuUpAnswered{CpuUpResult::Started})));
}

TEST_F(AHypervisor, StartsAVcpuAgainThatWentOff) {
  ASSERT_EQ(takes(exits::CpuUp{0x101, 0x4000'1000_gpa, 1}), AfterExit::Reschedule);
  cpu(1).play({{exits::CpuDown{}}});
  EXPECT_EQ(hypervisor_.run({0, VcpuId{1}}), AfterExit::Reschedule);
  EXPECT_EQ(activity(1), VcpuActivity::Off);

  // An interrupt does not wake what is off.
  cpu(1).set_wakeup(true);
  hypervisor_.wake();
  EXPECT_EQ(activity(1), VcpuActivity::Off);

  EXPECT_EQ(takes(exits::CpuUp{0x101, 0x4000'2000_gpa, 2}), AfterExit::Reschedule);
  EXPECT_EQ(activity(1), VcpuActivity::Runnable);
  EXPECT_EQ(cpu(1).pc(), 0x4000'2000u);
}

TEST_F(AHypervisor, EndsAVmThatPowersOff) {
  EXPECT_EQ(takes(exits::SystemDown{}), AfterExit::Reschedule);

  EXPECT_EQ(hypervisor_.fate(0), VmFate::PoweredOff);
  EXPECT_EQ(hypervisor_.vm(0).state(), VmState::Stopped);
  EXPECT_EQ(activity(0), VcpuActivity::Off);
}

TEST_F(AHypervisor, EndsAVmThatWantsAReset) {
  EXPECT_EQ(takes(exits::SystemReset{}), AfterExit::Reschedule);

  EXPECT_EQ(hypervisor_.fate(0), VmFate::Reset);
}

TEST_F(AHypervisor, SaysWhyAGuestCannotGoOn) {
  EXPECT_EQ(takes(exits::GuestCrash{0x7f, 0x1234}), AfterExit::Reschedule);

  EXPECT_EQ(hypervisor_.fate(0), VmFate::Crashed);
  EXPECT_EQ(hypervisor_.detail(0),
            "vm 1 vcpu 0: the guest cannot go on: cause 0x7f, address 0x1234");
}

TEST_F(AHypervisor, GoesOnWithTheOtherVms) {
  ASSERT_THAT(add(2), Succeeds());
  ASSERT_EQ(takes(exits::GuestCrash{1, 2}), AfterExit::Reschedule);

  EXPECT_EQ(hypervisor_.fate(1), VmFate::Alive);
  EXPECT_EQ(hypervisor_.activity({1, kBootVcpu}), VcpuActivity::Runnable);
}

TEST_F(AHypervisor, TakesNothingFromExitsThatAreDealtWith) {
  EXPECT_EQ(takes(exits::Nothing{}), AfterExit::BudgetSpent);
  EXPECT_EQ(takes(exits::ExternalInterrupt{9}), AfterExit::BudgetSpent);
}

TEST_F(AHypervisor, SaysWhereABudgetEnds) {
  EXPECT_EQ(takes(exits::Nothing{}), AfterExit::BudgetSpent);
  EXPECT_EQ(host_.clock().retired(), 1u);
}

// The catalogue of defects, chapters 2.1 and 2.8.

TEST_F(AHypervisor, DefectV25_WritesTheReturnRegisterForAnUnknownHypercall) {
  ASSERT_EQ(takes(exits::Hypercall{0xdead'beef, {}}), AfterExit::BudgetSpent);

  EXPECT_EQ(*cpu(0).gpr(0), scripted::ScriptedVcpu::kNotSupported);
}

TEST_F(AHypervisor, DefectV26_TellsAWrongTargetFromOneThatIsOn) {
  ASSERT_EQ(takes(exits::CpuUp{0x100, 0_gpa, 0}), AfterExit::BudgetSpent);
  EXPECT_THAT(cpu(0).answers(), ElementsAre(Answer(CpuUpAnswered{CpuUpResult::AlreadyOn})));

  ASSERT_EQ(takes(exits::CpuUp{1, 0_gpa, 0}), AfterExit::BudgetSpent);
  EXPECT_THAT(cpu(0).answers(), ElementsAre(Answer(CpuUpAnswered{CpuUpResult::NoSuchCpu})));
}

TEST_F(AHypervisor, DefectN2_SendsAnIpiToWhomItNames) {
  using Injection = ScriptedInterrupts::Injection;
  const auto receivers = [this](const exits::SendIPI& ipi) {
    board().interrupts().reset();
    EXPECT_EQ(takes(ipi), AfterExit::BudgetSpent);
    return board().interrupts().injections();
  };

  EXPECT_THAT(receivers({0x101, 0, false, false, 5}), ElementsAre(Injection{VcpuId{1}, 5}));
  EXPECT_THAT(receivers({0x100, 0b110, false, false, 6}),
              ElementsAre(Injection{VcpuId{1}, 6}, Injection{VcpuId{2}, 6}));
  EXPECT_THAT(receivers({0, 0, true, false, 7}),
              ElementsAre(Injection{VcpuId{1}, 7}, Injection{VcpuId{2}, 7}));
  EXPECT_THAT(receivers({0, 0, false, true, 8}), ElementsAre(Injection{VcpuId{0}, 8}));
  EXPECT_THAT(receivers({0, 0, true, true, 9}).size(), 3u);
  EXPECT_THAT(receivers({0x200, 0, false, false, 5}), IsEmpty());
  EXPECT_THAT(receivers({0x101, 0, false, false, 0x1000}), IsEmpty()) << "no such vector";
}

TEST_F(AHypervisor, DefectN3_SurvivesCpuOnOfAVcpuThatRuns) {
  ASSERT_EQ(takes(exits::CpuUp{0x101, 0x4000'1000_gpa, 1}), AfterExit::Reschedule);

  EXPECT_EQ(takes(exits::CpuUp{0x101, 0x4000'2000_gpa, 2}), AfterExit::BudgetSpent);

  EXPECT_EQ(cpu(1).pc(), 0x4000'1000u) << "its entry is as the first call had it";
}

/// Suspends or stops the VM at each exit.
class Stopper final : public Observer {
 public:
  Stopper(Vm& vm, bool for_good) : vm_(vm), for_good_(for_good) {}
  void on_exit(const ExitEvent&) override { (void)(for_good_ ? vm_.shutdown() : vm_.suspend()); }

 private:
  Vm& vm_;
  bool for_good_;
};

TEST_F(AHypervisor, SaysWhichVcpuIsOnWhileAnObserverSuspendsTheVm) {
  Vm& vm = hypervisor_.vm(0);
  ASSERT_EQ(takes(exits::CpuUp{0x101, 0x4000'1000_gpa, 1}), AfterExit::Reschedule);
  Stopper observer(vm, false);
  vm.set_observer(&observer);
  const auto answer_for = [&](std::uint64_t target) {
    EXPECT_EQ(takes(exits::CpuUp{target, 0x4000'2000_gpa, 2}), AfterExit::Reschedule);
    EXPECT_EQ(vm.state(), VmState::Paused);
    EXPECT_THAT(vm.resume(), Succeeds());
    return std::get<CpuUpAnswered>(cpu(0).answers().front()).result;
  };

  EXPECT_EQ(answer_for(0x100), CpuUpResult::AlreadyOn) << "itself";
  EXPECT_EQ(answer_for(0x101), CpuUpResult::AlreadyOn);
  EXPECT_EQ(cpu(1).pc(), 0x4000'1000u) << "nobody has reset it";
  EXPECT_EQ(answer_for(0x102), CpuUpResult::Started);
  EXPECT_EQ(activity(2), VcpuActivity::Runnable) << "once the VM goes on";
}

TEST_F(AHypervisor, SurvivesCpuOnOfItselfWhileAnObserverStopsTheVm) {
  Stopper observer(hypervisor_.vm(0), true);
  hypervisor_.vm(0).set_observer(&observer);

  EXPECT_EQ(takes(exits::CpuUp{0x100, 0_gpa, 0}), AfterExit::Reschedule);

  EXPECT_EQ(hypervisor_.vm(0).state(), VmState::Stopped);
}

TEST_F(AHypervisor, DefectN4_EndsAVmThatTheHardwareRefuses) {
  EXPECT_EQ(takes(exits::FailEntry{0x21}), AfterExit::Reschedule);

  EXPECT_EQ(hypervisor_.fate(0), VmFate::Crashed);
  EXPECT_THAT(hypervisor_.detail(0), HasSubstr("0x21"));
}

TEST_F(AHypervisor, DefectN4_EndsAVmThatFaultsWithoutEnd) {
  hypervisor_.boot_all();
  cpu(0).play({{.exit = exits::NestedPageFault{0x7000'0000_gpa, MappingFlags::Read},
                .repeats = 1'000'000}});

  EXPECT_EQ(hypervisor_.run({0, kBootVcpu}), AfterExit::Reschedule);

  EXPECT_EQ(hypervisor_.fate(0), VmFate::Crashed);
  EXPECT_THAT(hypervisor_.detail(0), HasSubstr("exits without end"));
}

TEST_F(AHypervisor, DefectN5_TakesTwoPowerOffsForOne) {
  ASSERT_EQ(takes(exits::CpuUp{0x101, 0x4000'1000_gpa, 1}), AfterExit::Reschedule);
  cpu(0).play({{exits::SystemDown{}}});
  cpu(1).play({{exits::SystemDown{}}});

  EXPECT_EQ(hypervisor_.run({0, kBootVcpu}), AfterExit::Reschedule);
  EXPECT_EQ(hypervisor_.run({0, VcpuId{1}}), AfterExit::Reschedule);

  EXPECT_EQ(hypervisor_.fate(0), VmFate::PoweredOff);
}

TEST_F(AHypervisor, DefectN6_ReachesAVcpuThatIsNotTheCurrentOne) {
  hypervisor_.boot_all();

  EXPECT_THAT(hypervisor_.vm(0).inject_interrupt_to_vcpu(VcpuId{2}, 0x21), Succeeds());

  EXPECT_TRUE(cpu(2).wakeup_pending());
}

}  // namespace
}  // namespace retrap
