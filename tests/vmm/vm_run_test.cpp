// The run loop: every exit reason, well formed and malformed, on scripted vCPUs.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <string>

#include "tests/support/matchers.h"
#include "tests/support/scripted_vm.h"
#include "vmm/register_value.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using scripted::Aborted;
using scripted::Accessed;
using scripted::Answer;
using scripted::Completed;
using scripted::Refused;
using test::FailsWith;
using test::Succeeds;
using test::SucceedsWith;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kRead = MappingFlags::Read;
constexpr auto kWrite = MappingFlags::Write;

const ExitReason kOver = exits::SystemDown{};

class AVm : public ::testing::Test, public test::ScriptedVm {
 public:
  [[nodiscard]] const VmStatistics& statistics() const { return vm->statistics(); }
  template <class Exit>
  [[nodiscard]] std::uint64_t count() const {
    return statistics().exits[ExitReason(Exit{}).index()];
  }
};

// Device exits that the architecture has decoded itself.

TEST_F(AVm, AnswersAReadOfADevice) {
  plug(0x0900'0000_gpa, 0x1000).value = 0x8765'4321;

  EXPECT_THAT(does({{exits::MmioRead{0x0900'0010_gpa, Width::Word, 3}}}), SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Completed{0x8765'4321})));
  EXPECT_EQ(*cpu().gpr(3), 0x8765'4321u);
}

TEST_F(AVm, CarriesOutAWriteToADevice) {
  const auto& device = plug(0x0900'0000_gpa, 0x1000);

  EXPECT_THAT(does({{exits::MmioWrite{0x0900'0010_gpa, Width::Half, 0xabcd}}}),
              SucceedsWith(kOver));

  EXPECT_EQ(device.value, 0xabcdu);
  EXPECT_THAT(answers(), ElementsAre(Answer(Completed{0})));
}

TEST_F(AVm, RefusesMmioWhereNoDeviceIs) {
  plug(0x0900'0000_gpa, 4);

  EXPECT_THAT(does({{exits::MmioRead{0x0a00'0000_gpa, Width::Word}},
                    {exits::MmioWrite{0x0900'0002_gpa, Width::Word, 1}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Refused{}), Answer(Refused{})));
  EXPECT_EQ(statistics().aborts, 2u);
}

TEST_F(AVm, AnswersASystemRegister) {
  plug_sysreg(0x3a3016, 1).value = 0x1122'3344'5566'7788;

  EXPECT_THAT(does({{exits::SysRegRead{0x3a3016, 4}}, {exits::SysRegWrite{0x3a3016, 99}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(answers(),
              ElementsAre(Answer(Completed{0x1122'3344'5566'7788}), Answer(Completed{0})));
  EXPECT_EQ(*cpu().gpr(4), 0x1122'3344'5566'7788u);
}

TEST_F(AVm, RefusesASystemRegisterThatNobodyHas) {
  EXPECT_THAT(does({{exits::SysRegRead{0x1234, 4}}, {exits::SysRegWrite{~std::uint64_t{0}, 9}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Refused{}), Answer(Refused{})));
  EXPECT_EQ(statistics().refused_sysregs, 2u);
}

TEST_F(AVm, AnswersAPort) {
  auto& device = plug_port(0x3f8, 8);
  device.value = 0x61;

  EXPECT_THAT(
      does({{exits::IoRead{0x3fd, Width::Byte}}, {exits::IoWrite{0x3f8, Width::Byte, 'x'}}}),
      SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Completed{0x61}), Answer(Completed{0})));
  EXPECT_EQ(device.value, std::uint64_t{'x'});
}

TEST_F(AVm, ReadsAllOnesFromAPortThatNobodyHas) {
  EXPECT_THAT(does({{exits::IoRead{0x80, Width::Byte}},
                    {exits::IoRead{0xcf8, Width::Word}},
                    {exits::IoWrite{0x80, Width::Byte, 1}},
                    {exits::IoRead{0xffff, Width::Word}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Completed{0xff}), Answer(Completed{0xffff'ffff}),
                                     Answer(Completed{0}), Answer(Completed{0xffff'ffff})));
  EXPECT_EQ(statistics().unclaimed_ports, 4u);
}

// Nested faults: device, populate, or abort.

TEST_F(AVm, EmulatesAnInstructionThatFaultsAtADevice) {
  auto& device = plug(0x0900'0000_gpa, 0x1000);
  device.value = 0x55;

  EXPECT_THAT(does({{.exit = exits::NestedPageFault{0x0900'0004_gpa, kRead},
                     .accesses = {exits::MmioRead{0x0900'0004_gpa, Width::Byte, 2},
                                  exits::MmioWrite{0x0900'0008_gpa, Width::Byte, 0x66}}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Accessed{0x0900'0004_gpa, 0x55}),
                                     Answer(Accessed{0x0900'0008_gpa, 0x66})));
  EXPECT_EQ(device.value, 0x66u);
  EXPECT_EQ(count<exits::NestedPageFault>(), 1u);
  EXPECT_EQ(count<exits::MmioRead>(), 1u);
  EXPECT_EQ(count<exits::MmioWrite>(), 1u);
}

TEST_F(AVm, LetsAnInstructionTouchADeviceAndRam) {
  plug(0x0900'0000_gpa, 0x1000).value = 0x1234;
  ASSERT_THAT(vm->write_to_guest_of(0x4000'0100_gpa, std::uint64_t{0xfeed}), Succeeds());

  EXPECT_THAT(does({{.exit = exits::NestedPageFault{0x0900'0000_gpa, kRead},
                     .accesses = {exits::MmioRead{0x0900'0000_gpa, Width::Half},
                                  exits::MmioWrite{0x4000'0000_gpa, Width::Half, 0x1234},
                                  exits::MmioRead{0x4000'0100_gpa, Width::Double, 1}}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(vm->read_from_guest_of<std::uint16_t>(0x4000'0000_gpa), SucceedsWith(0x1234));
  EXPECT_EQ(*cpu().gpr(1), 0xfeedu);
  EXPECT_EQ(count<exits::MmioWrite>(), 0u) << "RAM is no device";
}

TEST_F(AVm, AbortsAnInstructionWhoseOtherOperandIsNowhere) {
  plug(0x0900'0000_gpa, 0x1000);
  const exits::NestedPageFault fault{0x0900'0000_gpa, kRead};

  EXPECT_THAT(does({{.exit = fault,
                     .accesses = {exits::MmioRead{0x0900'0000_gpa, Width::Half},
                                  exits::MmioWrite{0x7000'0000_gpa, Width::Half, 1}}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(answers().back(), Answer(Aborted{fault}));
  EXPECT_EQ(statistics().aborts, 1u);
}

TEST_F(AVm, AbortsAnAccessAcrossTheEndOfADevice) {
  plug(0x0900'0000_gpa, 4);
  const exits::NestedPageFault fault{0x0900'0002_gpa, kRead};

  EXPECT_THAT(does({{.exit = fault, .accesses = {exits::MmioRead{0x0900'0002_gpa, Width::Word}}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(answers(),
              ElementsAre(Answer(Accessed{0x0900'0002_gpa, std::nullopt}), Answer(Aborted{fault})));
}

TEST_F(AVm, AbortsAnInstructionThatCannotBeEmulated) {
  plug(0x0900'0000_gpa, 0x1000);
  const exits::NestedPageFault fault{0x0900'0000_gpa, MappingFlags::Execute};

  EXPECT_THAT(does({{.exit = fault, .emulated = Emulated::Unknown}}), SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Aborted{fault})));
}

TEST_F(AVm, RunsOnWhereTheGuestGotItsOwnException) {
  plug(0x0900'0000_gpa, 0x1000);

  EXPECT_THAT(does({{.exit = exits::NestedPageFault{0x0900'0000_gpa, kRead},
                     .emulated = Emulated::GuestFault},
                    {.exit = exits::NestedPageFault{0x0900'0000_gpa, kRead},
                     .emulated = Emulated::NestedFault}}),
              SucceedsWith(kOver));

  EXPECT_THAT(answers(), IsEmpty());
  EXPECT_EQ(statistics().aborts, 0u);
}

TEST_F(AVm, AbortsAnAccessToNothing) {
  const exits::NestedPageFault fault{0x7000'0000_gpa, kWrite};

  EXPECT_THAT(does({{fault}}), SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Aborted{fault})));
  EXPECT_EQ(statistics().aborts, 1u);
}

TEST(AVmWithReadOnlyRam, AbortsAWriteToIt) {
  test::ScriptedVm guest([](VmConfig& config) { config.memory_regions[0].flags = 5; });
  const exits::NestedPageFault fault{0x4000'0000_gpa, kWrite};

  EXPECT_THAT(guest.does({{fault}}), SucceedsWith(kOver));

  EXPECT_THAT(guest.answers(), ElementsAre(Answer(Aborted{fault})));
}

TEST(AVmWithLazyRam, PopulatesAPageWithoutTellingTheGuest) {
  test::ScriptedVm guest([](VmConfig& config) { config.populate = Populate::Lazy; });
  const std::uint64_t used = guest.host.frames().bytes_of(VmId{1});

  EXPECT_THAT(guest.does({{exits::NestedPageFault{0x4000'1234_gpa, kWrite}},
                          {exits::NestedPageFault{0x4000'2000_gpa, kRead}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(guest.answers(), IsEmpty());
  EXPECT_EQ(guest.vm->statistics().populated, 2u);
  EXPECT_GE(guest.host.frames().bytes_of(VmId{1}), used + 2 * kPageSize);
}

TEST(AVmWithLazyRam, AbortsWhereTheHostHasNoFrameLeft) {
  test::ScriptedVm guest([](VmConfig& config) { config.populate = Populate::Lazy; });
  while (guest.host.frames().allocate(kPageSize, kPageSize, {VmId{9}, FrameUse::GuestRam})) {
  }
  const exits::NestedPageFault fault{0x4000'0000_gpa, kRead};

  EXPECT_THAT(guest.does({{fault}}), SucceedsWith(kOver));

  EXPECT_THAT(guest.answers(), ElementsAre(Answer(Aborted{fault})));
}

// What is the embedder's.

TEST_F(AVm, ReturnsWhatIsTheEmbeddersToHandle) {
  const std::vector<ExitReason> returned = {
      exits::Hypercall{7, {1, 2, 3, 4, 5, 6}},
      exits::ExternalInterrupt{0x20},
      exits::Halt{},
      exits::CpuUp{1, 0x4000'0000_gpa, 5},
      exits::CpuDown{0},
      exits::SystemDown{},
      exits::Nothing{},
      exits::FailEntry{7},
      exits::SendIPI{1, 0, false, false, 0x30},
      exits::SystemReset{},
      exits::GuestCrash{8, 9},
  };
  for (const ExitReason& exit : returned) {
    EXPECT_THAT(does({{exit}}), SucceedsWith(exit)) << name(exit);
    EXPECT_THAT(answers(), IsEmpty()) << name(exit);
    EXPECT_EQ((*vm->vcpu(kBootVcpu))->state(), VcpuState::Free) << name(exit);
    EXPECT_EQ(statistics().exits[exit.index()], 1u) << name(exit);
  }
}

TEST_F(AVm, AnswersAHypercallForTheEmbedder) {
  ASSERT_THAT(does({{exits::Hypercall{7, {}}}}), Succeeds());

  ASSERT_THAT(vm->answer_hypercall(kBootVcpu, 0x42), Succeeds());

  EXPECT_EQ(*cpu().gpr(0), 0x42u);
  EXPECT_THAT(vm->answer_hypercall(VcpuId{9}, 0), FailsWith(ErrorCode::InvalidInput));
}

/// Says of the first `goes_on` exits that the guest goes on.
class Others final : public VcpuRunner {
 public:
  explicit Others(Vm& vm, std::size_t goes_on) : vm_(vm), goes_on_(goes_on) {}
  bool handle(ExitReason& exit) override {
    seen.push_back(exit);
    states.push_back((*vm_.vcpu(kBootVcpu))->state());
    return seen.size() <= goes_on_;
  }
  std::vector<ExitReason> seen;
  std::vector<VcpuState> states;

 private:
  Vm& vm_;
  std::size_t goes_on_;
};

TEST_F(AVm, AsksTheOthersBeforeItReturnsAnExit) {
  plug(0x0900'0000_gpa, 0x1000);
  cpu().play({{exits::Hypercall{7, {}}},
              {exits::MmioRead{0x0900'0010_gpa, Width::Word, 3}},
              {exits::Halt{}}});
  Others others(*vm, 1);

  EXPECT_THAT(vm->run_vcpu(kBootVcpu, &others), SucceedsWith(ExitReason(exits::Halt{})));

  EXPECT_THAT(others.seen,
              ElementsAre(ExitReason(exits::Hypercall{7, {}}), ExitReason(exits::Halt{})));
  EXPECT_THAT(others.states, ElementsAre(VcpuState::Ready, VcpuState::Ready));
  EXPECT_EQ((*vm->vcpu(kBootVcpu))->state(), VcpuState::Free);
}

TEST_F(AVm, TellsTheOthersOfAGuestThatGetsNowhereAndNotOfTheEndOfASlice) {
  host.clock().set_slice_end(1);
  cpu().play({{.exit = exits::Halt{}, .after = 5}});
  Others others(*vm, 100'000);
  EXPECT_THAT(vm->run_vcpu(kBootVcpu, &others), SucceedsWith(ExitReason(exits::BudgetSpent{})));
  EXPECT_THAT(others.seen, IsEmpty());

  host.clock().set_slice_end(kNever);
  cpu().play(scripted::Script(100'000, {exits::Nothing{}}));
  EXPECT_TRUE(vm->run_vcpu(kBootVcpu, &others).has_value());
  ASSERT_FALSE(others.seen.empty());
  EXPECT_TRUE(std::holds_alternative<exits::GuestCrash>(others.seen.back()));
}

// Budgets and alarms.

TEST_F(AVm, StopsAtTheEndOfItsSlice) {
  host.clock().set_slice_end(100);

  EXPECT_THAT(does({{.exit = exits::Halt{}, .after = 150}}),
              SucceedsWith(ExitReason(exits::BudgetSpent{})));
  EXPECT_EQ(host.clock().retired(), 100u);

  host.clock().set_slice_end(kNever);
  EXPECT_THAT(vm->run_vcpu(kBootVcpu), SucceedsWith(ExitReason(exits::Halt{})));
  EXPECT_EQ(host.clock().retired(), 150u);
  EXPECT_EQ(count<exits::BudgetSpent>(), 0u) << "the end of a slice is not the guest's doing";
}

TEST_F(AVm, CallsADeviceAtItsExactTimeAndRunsOn) {
  auto& device = plug(0x0900'0000_gpa, 8, 5);
  device.deadline = 70;
  vm->mmio().sample(device);

  EXPECT_THAT(does({{.exit = exits::Halt{}, .after = 150}}),
              SucceedsWith(ExitReason(exits::Halt{})));

  EXPECT_THAT(device.advanced, ElementsAre(70));
  EXPECT_EQ(board().interrupts().lines(), 1u << 5);
}

TEST_F(AVm, CallsADeviceThatIsDueBeforeItEntersTheGuest) {
  auto& device = plug(0x0900'0000_gpa, 8, 5);
  device.deadline = 70;
  vm->mmio().sample(device);
  host.clock().retire_to(80);

  EXPECT_THAT(does({{exits::Halt{}}}), Succeeds());

  EXPECT_THAT(device.advanced, ElementsAre(80));
}

TEST_F(AVm, EndsAGuestThatFaultsWithoutEnd) {
  const exits::NestedPageFault fault{0x7000'0000_gpa, kRead};
  cpu().play({{.exit = fault, .repeats = 1'000'000}});

  const auto exit = vm->run_vcpu(kBootVcpu);

  ASSERT_THAT(exit, Succeeds());
  ASSERT_TRUE(std::holds_alternative<exits::GuestCrash>(*exit));
  EXPECT_EQ(std::get<exits::GuestCrash>(*exit).cause, kNoProgress);
  EXPECT_LT(cpu().runs(), 2000u);
}

TEST_F(AVm, LetsAGuestTakeManyExitsThatRetire) {
  plug(0x0900'0000_gpa, 8);
  scripted::Script script(5000, {exits::MmioRead{0x0900'0000_gpa, Width::Byte}});

  EXPECT_THAT(does(std::move(script)), SucceedsWith(kOver));

  EXPECT_EQ(answers().size(), 5000u);
}

// Who listens.

class Listener final : public Observer {
 public:
  void on_exit(const ExitEvent& event) override {
    log.push_back(fmt::format("{} vcpu {} at {} pc {}: {}", event.sequence, index(event.vcpu),
                              event.retired, event.pc, name(event.reason)));
  }
  void on_answer(const AnswerEvent& event) override {
    log.push_back(fmt::format("{} = {:#x}", event.sequence, event.value));
  }
  std::vector<std::string> log;
};

TEST_F(AVm, TellsAnObserverOfEveryExitAndAnswer) {
  plug(0x0900'0000_gpa, 8).value = 0x77;
  Listener listener;
  vm->set_observer(&listener);

  EXPECT_THAT(does({{.exit = exits::IoRead{0x80, Width::Byte}, .after = 5},
                    {.exit = exits::NestedPageFault{0x0900'0000_gpa, kRead},
                     .accesses = {exits::MmioRead{0x0900'0000_gpa, Width::Byte}}}}),
              SucceedsWith(kOver));

  EXPECT_THAT(listener.log,
              ElementsAre("0 vcpu 0 at 5 pc 5: io-read", "0 = 0xff",
                          "1 vcpu 0 at 6 pc 6: nested-page-fault", "2 vcpu 0 at 6 pc 6: mmio-read",
                          "2 = 0x77", "3 vcpu 0 at 7 pc 7: system-down"));
}

TEST_F(AVm, TellsAnObserverWhenAnExitWasAndWhatItCost) {
  struct Costs final : Observer {
    void on_exit(const ExitEvent& event) override {
      log.push_back(fmt::format("{} at {} ns: {} + {}", name(event.reason), event.now_ns,
                                event.cost.instructions, event.cost.idle_ns));
    }
    std::vector<std::string> log;
  } costs;
  const auto unseen = does({{.exit = exits::Halt{}, .after = 1000}});
  ASSERT_THAT(unseen, Succeeds());
  host.clock().skip_to(5000);
  vm->set_observer(&costs);

  ASSERT_THAT(does({{.exit = exits::IoRead{0x80, Width::Byte}, .after = 7},
                    {.exit = exits::Halt{}, .after = 20}}),
              Succeeds());
  host.clock().skip_to(6000);
  ASSERT_THAT(does({{.exit = exits::Halt{}, .after = 2}}), Succeeds());

  // What it costs to complete the first is the second's.
  EXPECT_THAT(costs.log, ElementsAre("io-read at 5007 ns: 7 + 0", "halt at 5028 ns: 21 + 0",
                                     "halt at 6002 ns: 2 + 972"));
}

}  // namespace
}  // namespace retrap
