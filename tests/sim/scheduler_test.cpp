// Turns: fair, drawn from the seed, and the same however often the run is stopped.
#include "sim/scheduler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/matchers.h"
#include "tests/support/scripted_host.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::Succeeds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Who retired how much, in order: the schedule as the guests see it.
class Journal final : public Observer {
 public:
  void on_exit(const ExitEvent& event) override {
    entries.push_back(fmt::format("vm{}.{} at {}: {}", index(event.vm), index(event.vcpu),
                                  event.retired, name(event.reason)));
  }
  std::vector<std::string> entries;
};

/// `vms` VMs of `vcpus` each, on one clock.
class Guests {
 public:
  /// `masks`: of the only vCPU of each VM, or empty.
  Guests(std::uint32_t vms, std::uint64_t seed, std::uint64_t slice, std::uint32_t vcpus = 1,
         const std::vector<std::uint64_t>& masks = {})
      : scheduler(hypervisor, host.clock(), {.seed = seed, .slice = slice}) {
    for (std::uint32_t id = 1; id <= vms; ++id) {
      VmConfig config = host.config(0);
      config.id = id;
      config.cpu_num = vcpus;
      if (!masks.empty()) config.phys_cpu_sets = {masks[id - 1]};
      auto vm = *Vm::create(std::move(config), host, console);
      vm->set_observer(&journal);
      EXPECT_THAT(hypervisor.adopt(std::move(vm)), Succeeds());
    }
    hypervisor.boot_all();
  }

  scripted::ScriptedVcpu& cpu(std::size_t vm) {
    return dynamic_cast<scripted::ScriptedBoard&>(hypervisor.vm(vm).board()).vcpu(kBootVcpu);
  }

  /// `count` exits, `after` instructions apart.
  static scripted::Script busy(std::size_t count, std::uint64_t after) {
    return scripted::Script(count, {.exit = exits::Nothing{}, .after = after});
  }

  test::ScriptedHost host;
  test::ConsoleText console;
  Journal journal;
  Hypervisor hypervisor;
  Scheduler scheduler;
};

std::vector<std::string> journal_of(std::uint64_t seed, std::uint64_t slice,
                                    std::uint64_t budget = kNever) {
  Guests guests(3, seed, slice);
  guests.cpu(0).play(Guests::busy(240, 5003));
  guests.cpu(1).play(Guests::busy(160, 10007));
  guests.cpu(2).play(Guests::busy(400, 1501));
  for (std::uint64_t limit = budget; guests.hypervisor.fate(0) == VmFate::Alive ||
                                     guests.hypervisor.fate(1) == VmFate::Alive ||
                                     guests.hypervisor.fate(2) == VmFate::Alive;) {
    const auto stop = guests.scheduler.run(limit);
    if (stop == Scheduler::Stop::BudgetSpent) limit += budget;
    EXPECT_NE(stop, Scheduler::Stop::Deadlocked);
  }
  return guests.journal.entries;
}

TEST(Scheduler, RunsEveryVmToItsEnd) {
  const auto journal = journal_of(1, 0);

  for (const std::string vm : {"vm1.0", "vm2.0", "vm3.0"}) {
    EXPECT_THAT(journal, Contains(::testing::AllOf(HasSubstr(vm), HasSubstr("system-down"))));
  }
}

TEST(Scheduler, TakesTurns) {
  const auto journal = journal_of(1, 0);

  std::size_t changes = 0;
  for (std::size_t i = 1; i < journal.size(); ++i) {
    if (journal[i].substr(0, 5) != journal[i - 1].substr(0, 5)) ++changes;
  }
  EXPECT_GT(changes, 10u);
}

TEST(Scheduler, DrawsTheSameTurnsFromTheSameSeed) {
  EXPECT_EQ(journal_of(1, 0), journal_of(1, 0));
  EXPECT_NE(journal_of(1, 0), journal_of(2, 0));
}

TEST(Scheduler, KeepsItsTurnsHoweverOftenItIsStopped) {
  const auto journal = journal_of(3, 0);

  for (const std::uint64_t slice : {97u, 1000u, 50021u}) EXPECT_EQ(journal_of(3, slice), journal);
  for (const std::uint64_t budget : {331u, 9999u}) EXPECT_EQ(journal_of(3, 0, budget), journal);
}

TEST(Scheduler, StopsAtItsLimitExactly) {
  Guests guests(2, 1, 0);
  guests.cpu(0).play(Guests::busy(1000, 1000));
  guests.cpu(1).play(Guests::busy(1000, 1000));

  EXPECT_EQ(guests.scheduler.run(123'457), Scheduler::Stop::BudgetSpent);
  EXPECT_EQ(guests.host.clock().retired(), 123'457u);
  EXPECT_EQ(guests.scheduler.run(123'457), Scheduler::Stop::BudgetSpent);
  EXPECT_EQ(guests.host.clock().retired(), 123'457u);
}

/// Stops the scheduler again and again, and changes nothing.
class Onlooker final : public AlarmSink {
 public:
  Onlooker(Clock& clock, Scheduler& scheduler)
      : clock_(clock), scheduler_(scheduler), id_(clock.add_alarm(this)) {
    clock_.set_alarm(id_, 1);
  }
  void on_alarm(std::uint64_t now_ns) override {
    clock_.set_alarm(id_, now_ns + 971);
    scheduler_.request_stop();
  }
  [[nodiscard]] bool is_observer() const override { return true; }

 private:
  Clock& clock_;
  Scheduler& scheduler_;
  Clock::AlarmId id_;
};

TEST(Scheduler, KeepsItsTurnsWhoeverLooksOn) {
  const auto journal_with = [](bool onlooker, std::uint64_t slice) {
    Guests guests(3, 5, slice);
    for (std::size_t vm = 0; vm < 3; ++vm) guests.cpu(vm).play(Guests::busy(400, 4999));
    std::optional<Onlooker> on;
    if (onlooker) on.emplace(guests.host.clock(), guests.scheduler);
    Scheduler::Stop stop = Scheduler::Stop::Requested;
    while (stop == Scheduler::Stop::Requested) stop = guests.scheduler.run(4'000'000);
    EXPECT_EQ(stop, Scheduler::Stop::BudgetSpent);
    return guests.journal.entries;
  };

  const auto alone = journal_with(false, 0);

  EXPECT_EQ(journal_with(true, 0), alone);
  EXPECT_EQ(journal_with(true, 4999), alone);
}

/// How many exits each of three VMs took by the time that all together took 3000.
std::vector<std::size_t> shares_of(const std::vector<std::uint64_t>& masks) {
  Guests guests(3, 1, 0, 1, masks);
  for (std::size_t vm = 0; vm < 3; ++vm) guests.cpu(vm).play(Guests::busy(100'000, 5000));
  EXPECT_EQ(guests.scheduler.run(15'000'000), Scheduler::Stop::BudgetSpent);
  std::vector<std::size_t> shares;
  for (const std::string vm : {"vm1", "vm2", "vm3"}) {
    shares.push_back(static_cast<std::size_t>(std::ranges::count_if(
        guests.journal.entries, [&](const std::string& line) { return line.starts_with(vm); })));
  }
  return shares;
}

TEST(PhysicalCpus, AreSharedByThoseWhoseMasksHaveThem) {
  using ::testing::AllOf;
  using ::testing::Ge;
  using ::testing::Le;
  const auto about = [](std::size_t share) {
    return AllOf(Ge(share - share / 5), Le(share + share / 5));
  };

  EXPECT_THAT(shares_of({}), ElementsAre(about(1000), about(1000), about(1000)));
  EXPECT_THAT(shares_of({0b1, 0b1, 0b1}), ElementsAre(about(1000), about(1000), about(1000)));
  EXPECT_THAT(shares_of({0b1, 0b10, 0b10}), ElementsAre(about(1500), about(750), about(750)));
  // The third has a turn in every round, on either; in one of three it comes before the others.
  EXPECT_THAT(shares_of({0b1, 0b1, 0b11}), ElementsAre(about(600), about(600), about(1800)));
}

TEST(PhysicalCpus, RunOnlyWhatIsAllowedThere) {
  Guests guests(3, 7, 0, 1, {0b100, 0b10, 0b110});
  for (std::size_t vm = 0; vm < 3; ++vm) guests.cpu(vm).play(Guests::busy(100'000, 5000));
  for (std::uint64_t limit = 10'000; limit < 5'000'000; limit += 10'000) {
    EXPECT_EQ(guests.scheduler.run(limit), Scheduler::Stop::BudgetSpent);
    const PhysCpus& cpus = guests.scheduler.phys_cpus();
    EXPECT_EQ(cpus.cpu_of({.vm = 0, .vcpu = kBootVcpu}).value_or(2), 2u);
    EXPECT_EQ(cpus.cpu_of({.vm = 1, .vcpu = kBootVcpu}).value_or(1), 1u);
    EXPECT_NE(cpus.cpu_of({.vm = 2, .vcpu = kBootVcpu}).value_or(1), 0u);
  }
}

TEST(PhysicalCpus, GiveTheSameTurnsWhereverTheRunIsStopped) {
  const auto journal_in_slices = [](std::uint64_t slice) {
    Guests guests(3, 3, slice, 1, {0b1, 0b10, 0b11});
    for (std::size_t vm = 0; vm < 3; ++vm) guests.cpu(vm).play(Guests::busy(10'000, 5003));
    EXPECT_EQ(guests.scheduler.run(4'000'000), Scheduler::Stop::BudgetSpent);
    return guests.journal.entries;
  };

  const auto whole = journal_in_slices(0);
  for (const std::uint64_t slice : {97u, 1000u, 50021u}) EXPECT_EQ(journal_in_slices(slice), whole);
}

TEST(Scheduler, SkipsIdleTimeToTheNextAlarm) {
  Guests guests(1, 1, 0);
  auto device = std::make_unique<test::ProbeDevice>(8);
  device->deadline = 1'000'000;
  ASSERT_THAT(guests.hypervisor.vm(0).add_mmio_device(0_gpa, std::move(device), 5), Succeeds());
  guests.cpu(0).play(
      {{.exit = exits::Halt{}, .after = 10}, {.exit = exits::Nothing{}, .after = 10}});

  EXPECT_EQ(guests.scheduler.run(kNever), Scheduler::Stop::GuestEnded);

  EXPECT_EQ(guests.host.clock().retired(), 20u);
  EXPECT_EQ(guests.host.clock().now_ns(), 1'000'010u);
}

TEST(Scheduler, SaysThatNothingWillEverHappen) {
  Guests guests(2, 1, 0);
  guests.cpu(0).play({{exits::Halt{}}});
  guests.cpu(1).play({{exits::CpuDown{}}});

  EXPECT_EQ(guests.scheduler.run(kNever), Scheduler::Stop::Deadlocked);
  EXPECT_EQ(guests.scheduler.run(kNever), Scheduler::Stop::Deadlocked);
}

/// Ticks for ever, and nobody listens.
class Ticker final : public AlarmSink {
 public:
  explicit Ticker(Clock& clock) : clock_(clock), id_(clock.add_alarm(this)) {
    clock_.set_alarm(id_, 1);
  }
  void on_alarm(std::uint64_t now_ns) override { clock_.set_alarm(id_, now_ns + 1000); }

 private:
  Clock& clock_;
  Clock::AlarmId id_;
};

/// Wakes a vCPU at a virtual time.
class Waker final : public AlarmSink {
 public:
  Waker(Clock& clock, std::uint64_t at_ns, scripted::ScriptedVcpu& sleeper) : sleeper_(sleeper) {
    clock.set_alarm(clock.add_alarm(this), at_ns);
  }
  void on_alarm(std::uint64_t) override { sleeper_.set_wakeup(true); }

 private:
  scripted::ScriptedVcpu& sleeper_;
};

TEST(Scheduler, EndsATurnAtTheAlarmThatWakesAnotherWhereverItIsStopped) {
  const auto journal_in_slices = [](std::uint64_t slice) {
    Guests guests(1, 1, slice, 2);
    auto& board = dynamic_cast<scripted::ScriptedBoard&>(guests.hypervisor.vm(0).board());
    const exits::CpuUp other_on{.target_cpu = 1, .entry_point = 0_gpa, .arg = 0};
    board.vcpu(kBootVcpu).play({{.exit = other_on}, {.exit = exits::Nothing{}, .after = 5000}});
    board.vcpu(VcpuId{1}).play({{.exit = exits::Halt{}}, {.exit = exits::Nothing{}, .after = 7}});
    const Waker waker(guests.host.clock(), 1000, board.vcpu(VcpuId{1}));
    EXPECT_EQ(guests.scheduler.run(kNever), Scheduler::Stop::GuestEnded);
    return guests.journal.entries;
  };

  const auto whole = journal_in_slices(0);
  EXPECT_THAT(whole, Contains("vm1.1 at 1007: nothing"));
  for (const std::uint64_t slice : {1u, 10u, 1000u}) EXPECT_EQ(journal_in_slices(slice), whole);
}

TEST(Scheduler, DoesNotWaitForeverForATimerThatWakesNobody) {
  Guests guests(1, 1, 0);
  const Ticker ticker(guests.host.clock());
  guests.cpu(0).play({{exits::Halt{}}});

  EXPECT_EQ(guests.scheduler.run(kNever), Scheduler::Stop::Deadlocked);
}

TEST(Scheduler, DoesNotRunForeverWithoutAnInstruction) {
  Guests guests(1, 1, 0);
  guests.cpu(0).play({{.exit = exits::Nothing{}, .repeats = kNever}});

  EXPECT_EQ(guests.scheduler.run(kNever), Scheduler::Stop::GuestEnded);
  EXPECT_EQ(guests.hypervisor.fate(0), VmFate::Crashed);
  EXPECT_THAT(guests.hypervisor.detail(0), testing::HasSubstr("exits without end"));
}

TEST(Scheduler, DoesNotTakeTurnsForeverWithoutAnInstruction) {
  Guests guests(1, 1, 0, 2);
  auto& board = dynamic_cast<scripted::ScriptedBoard&>(guests.hypervisor.vm(0).board());
  const exits::CpuUp other_on{.target_cpu = 1, .entry_point = 0_gpa, .arg = 0};
  board.vcpu(kBootVcpu).play({{.exit = other_on, .repeats = kNever}});
  board.vcpu(VcpuId{1}).play({{.exit = exits::CpuDown{}, .repeats = kNever}});

  EXPECT_EQ(guests.scheduler.run(kNever), Scheduler::Stop::Deadlocked);
}

TEST(Scheduler, HasNothingToRunWithoutAVm) {
  Guests guests(0, 1, 0);

  EXPECT_EQ(guests.scheduler.run(kNever), Scheduler::Stop::GuestEnded);
}

}  // namespace
}  // namespace retrap
