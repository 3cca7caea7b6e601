// What is recorded replays; what is changed on the way is found and named.
#include "sim/replay.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sim/replay_exits.h"
#include "sim/testing.h"
#include "tests/replay/guest_machine.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "vmm/base/prng.h"
#include "vmm/config_toml.h"

namespace retrap {
namespace {

using test::machine_with;
using test::record;
using test::Succeeds;
using ::testing::HasSubstr;
using Outcome = ReplayReport::Outcome;

class ReplayOf : public ::testing::TestWithParam<ArchId> {};

INSTANTIATE_TEST_SUITE_P(All, ReplayOf, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(ReplayOf, AMachineThatAProgramHasSetUpIsIdentical) {
  EXPECT_TRUE(testing::replays([&] { return machine_with(GetParam(), "timer"); },
                               [](Machine&, Recorder& recorder) { return recorder.run(); }, 1000));
}

TEST_P(ReplayOf, InputsOfEveryKindIsIdentical) {
  const auto drive = [&](Machine& machine, Recorder& recorder) {
    Vm& vm = machine.vm(0);
    const std::uint64_t ram = vm.memory().regions()[0].range.base().raw();
    (void)recorder.run(1000);
    EXPECT_THAT(machine.write_memory(vm, GuestPhys(ram + (16 << 20)), "written"), Succeeds());
    const auto frame = vm.memory().translate(GuestPhys(ram + (16 << 20)));
    EXPECT_THAT(
        machine.map(vm, {.gpa = 0xd000'0000, .hpa = frame->raw(), .size = 0x1000, .flags = 1}),
        Succeeds());
    (void)recorder.run(1000);
    EXPECT_THAT(machine.unmap(vm, {.gpa = 0xd000'0000, .size = 0x1000}), Succeeds());
    RunReport report = recorder.run(10'000'000);
    while (report.reason == StopReason::Deadlocked && machine.type(vm, 'x')) {
      report = recorder.run(10'000'000);
      if (report.instructions > 50'000) break;
    }
    return report;
  };

  EXPECT_TRUE(testing::replays([&] { return machine_with(GetParam(), "echo"); }, drive, 1000));
}

/// Flips one bit of a register or of a byte of RAM that the guest has written.
void flip(Machine& machine, Prng& prng) {
  Vm& vm = machine.vm(0);
  if (prng.chance(1, 2)) {
    Vcpu* const vcpu = *vm.vcpu(kBootVcpu);
    const auto index = static_cast<unsigned>(prng.between(1, 15));
    const std::uint64_t value = vcpu->arch().gpr(index).value();
    EXPECT_THAT(vcpu->set_gpr(index, value ^ std::uint64_t{1} << prng.below(64)), Succeeds());
    return;
  }
  const guests::Guest* const guest = guests::find(vm.config().arch, "timer");
  const auto image = Image::parse("g", {guest->elf.begin(), guest->elf.end()}, vm.config().arch);
  const ImageSegment& segment = image->segments().back();
  const GuestPhys at(segment.address.raw() + prng.below(segment.size));
  const auto byte = vm.read_from_guest_of<std::uint8_t>(at).value();
  EXPECT_THAT(vm.write_to_guest_of(at, static_cast<std::uint8_t>(byte ^ 1U << prng.below(8))),
              Succeeds());
}

TEST_P(ReplayOf, ARunWithOneBitChangedIsFoundWheneverItEndsOtherwise) {
  const traces::Reader trace = record(GetParam(), "timer");
  std::size_t found = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Prng prng(seed);
    auto machine = machine_with(GetParam(), "timer").value();
    Replayer replayer(*machine, trace);
    const std::uint64_t at = prng.below(trace.end()->retired);
    ASSERT_THAT(replayer.run(UntilInstruction{at}), Succeeds());
    flip(*machine, prng);
    const auto report = replayer.run();
    ASSERT_THAT(report, Succeeds());
    if (report->outcome == Outcome::Diverged) {
      ++found;
      EXPECT_FALSE(report->divergence->what.field.empty()) << seed;
      EXPECT_NE(report->divergence->what.left, report->divergence->what.right) << seed;
      EXPECT_LE(report->divergence->retired, at + 1000 + 1'000'000) << seed;
      continue;
    }
    EXPECT_EQ(machine->digest(), trace.end()->digest) << seed;
  }
  EXPECT_GT(found, 20U);
}

TEST_P(ReplayOf, AnotherInterruptIsFound) {
  const traces::Reader trace = record(GetParam(), "timer");
  auto machine = machine_with(GetParam(), "timer").value();
  Replayer replayer(*machine, trace);
  ASSERT_THAT(replayer.run(UntilInstruction{trace.end()->retired / 2}), Succeeds());
  const std::uint64_t vector = GetParam() == ArchId::X86_64    ? 0x40
                               : GetParam() == ArchId::Aarch64 ? 40
                                                               : 9;
  ASSERT_THAT(machine->vm(0).inject_interrupt_to_vcpu(kBootVcpu, vector), Succeeds());
  const auto report = replayer.run();

  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->outcome, Outcome::Diverged);
}

TEST_P(ReplayOf, TheMonitorAloneGivesTheRecordedAnswers) {
  for (const std::string_view name :
       {"hello", "smp", "hypercalls", "lazy", "user", "timer", "fpu", "irqmask"}) {
    const traces::Reader trace = record(GetParam(), name);
    const VmConfig config = parse_config(trace.header().configs[0], "config").value();
    const auto report = replay_exits(trace, config);

    ASSERT_THAT(report, Succeeds()) << name;
    EXPECT_FALSE(report->divergence) << name << "\n"
                                     << to_text(*report->divergence, "recorded", "now");
    EXPECT_EQ(report->exits, trace.end()->exits) << name;
  }
}

TEST_P(ReplayOf, TheMonitorAloneFindsAnAnswerThatIsAnother) {
  const traces::Reader trace = record(GetParam(), "hello");
  // The same exits, and one answer with another bit.
  traces::ByteVector bytes;
  auto writer = traces::Writer::create(std::make_unique<traces::MemorySink>(bytes), trace.header());
  traces::EventCursor cursor(trace);
  traces::Event event;
  std::size_t answers = 0;
  while (cursor.next(event).value()) {
    if (auto* answer = std::get_if<traces::AnswerRecord>(&event); answer && ++answers == 3) {
      answer->value ^= 1;
    }
    std::visit([&](const auto& record) { writer->add(record); }, event);
  }
  ASSERT_THAT(writer->finish(*trace.end()), Succeeds());
  const auto changed = traces::Reader::parse("changed", bytes).value();
  const auto report =
      replay_exits(changed, parse_config(trace.header().configs[0], "config").value());

  ASSERT_THAT(report, Succeeds());
  ASSERT_TRUE(report->divergence);
  EXPECT_EQ(report->divergence->what.field, "answer");
}

TEST(Testing, LeavesATraceWhereARunDoesNotReplay) {
  int made = 0;
  const auto result = testing::replays(
      [&]() -> Result<std::unique_ptr<Machine>> {
        auto machine = machine_with(ArchId::Riscv64, "hello");
        if (machine && made++ == 1) {
          (void)(*(*machine)->vm(0).vcpu(kBootVcpu))->set_gpr(9, 1);
        }
        return machine;
      },
      [](Machine&, Recorder& recorder) { return recorder.run(); }, 100);

  EXPECT_FALSE(result);
  EXPECT_THAT(result.message(), HasSubstr("first difference"));
  EXPECT_THAT(result.message(), HasSubstr("look at it: retrap dump "));
}

/// What a test of a user is like that fails: IsLeftBehindByATestThatFails runs it.
TEST(ARecordedRun, DISABLED_OfATestThatFails) {
  testing::RecordedRun run([] { return machine_with(ArchId::Riscv64, "hello"); });
  ASSERT_TRUE(run);
  EXPECT_EQ(run.run().reason, StopReason::Crashed) << "planted";
}

TEST(ARecordedRun, IsLeftBehindByATestThatFails) {
  const test::TemporaryFolder folder;
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string filter = "--gtest_filter=ARecordedRun.DISABLED_OfATestThatFails";
  const auto failed = test::run_program("/usr/bin/env",
                                        {"TEST_TMPDIR=" + folder.path().string(), self.string(),
                                         "--gtest_also_run_disabled_tests", filter},
                                        folder.path());

  EXPECT_EQ(failed.status, 1);
  EXPECT_THAT(failed.out, HasSubstr("planted"));
  const std::string again =
      fmt::format("run it again: {} --gtest_also_run_disabled_tests {}\n", self.string(), filter);
  EXPECT_THAT(failed.err, HasSubstr(again));
  EXPECT_THAT(failed.err, HasSubstr("look at it: retrap dump " + folder.path().string()));
  ASSERT_EQ(folder.names(), std::vector<std::string>{"ARecordedRun.DISABLED_OfATestThatFails.rtr"});
  const auto trace = traces::Reader::open((folder.path() / folder.names()[0]).string());
  ASSERT_THAT(trace, Succeeds());
  EXPECT_EQ(trace->missing(), "");
  auto machine = machine_with(ArchId::Riscv64, "hello").value();
  EXPECT_EQ(Replayer(*machine, *trace).run()->outcome, ReplayReport::Outcome::Identical);
}

TEST(ARecordedRun, OfATestThatPassesLeavesNothingAndIsReplayed) {
  int made = 0;
  {
    testing::RecordedRun run([&] {
      ++made;
      return machine_with(ArchId::Riscv64, "hello");
    });
    ASSERT_TRUE(run);
    EXPECT_EQ(run.run(1000).reason, StopReason::BudgetSpent);
    EXPECT_EQ(run.run().reason, StopReason::PoweredOff);
    EXPECT_EQ(made, 1);
  }
  EXPECT_EQ(made, 2);
}

}  // namespace
}  // namespace retrap
