// What an embedder does to its VMs comes back where it came; several vCPUs come back as they were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/replay.h"
#include "sim/replay_exits.h"
#include "sim/testing.h"
#include "tests/replay/guest_machine.h"
#include "traces/text.h"
#include "vmm/config_toml.h"

namespace retrap {
namespace {

using test::machine_with;
using test::record;
using test::Succeeds;
using ::testing::HasSubstr;
using Outcome = ReplayReport::Outcome;

constexpr std::uint64_t kAboveRam = 0x2'0000'0000;

class EmbedderReplay : public ::testing::TestWithParam<ArchId> {};

INSTANTIATE_TEST_SUITE_P(All, EmbedderReplay, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

/// Everything that can be done to a VM, in an order that its life allows.
RunReport do_everything(Machine& machine, Recorder& recorder, const Images& images) {
  Vm& vm = machine.vm(0);
  (void)recorder.run(2000);
  EXPECT_THAT(machine.grow(vm, {.gpa = kAboveRam, .size = 0x2000, .flags = 7}), Succeeds());
  EXPECT_THAT(machine.suspend(vm), Succeeds());
  EXPECT_EQ(recorder.run(1000).reason, StopReason::Paused);
  EXPECT_THAT(machine.resume(vm), Succeeds());
  (void)recorder.run(1000);
  EXPECT_THAT(machine.unmap(vm, {.gpa = kAboveRam, .size = 0x2000}), Succeeds());
  EXPECT_THAT(machine.reset(vm, images), Succeeds());
  EXPECT_EQ(recorder.run().reason, StopReason::PoweredOff);
  EXPECT_THAT(machine.reset(vm, images), Succeeds());
  (void)recorder.run(3000);
  EXPECT_THAT(machine.shutdown(vm), Succeeds());
  EXPECT_THAT(machine.destroy(vm), Succeeds());
  return recorder.run();
}

TEST_P(EmbedderReplay, OfEveryCallIsIdentical) {
  const Images images = test::images_of(GetParam(), "timer").value();

  EXPECT_TRUE(testing::replays([&] { return machine_with(GetParam(), "timer"); },
                               [&](Machine& machine, Recorder& recorder) {
                                 return do_everything(machine, recorder, images);
                               },
                               1000, &images));
}

TEST_P(EmbedderReplay, OfAResetThatFailsFails) {
  Images images;
  images.kernel =
      Image::parse("big", std::vector<std::byte>(64 << 20, std::byte{1}), GetParam()).value();

  EXPECT_TRUE(testing::replays([&] { return machine_with(GetParam(), "timer"); },
                               [&](Machine& machine, Recorder& recorder) {
                                 (void)recorder.run(2000);
                                 EXPECT_FALSE(machine.reset(machine.vm(0), images));
                                 const RunReport report = recorder.run();
                                 EXPECT_EQ(report.reason, StopReason::Crashed);
                                 return report;
                               },
                               1000, &images));
}

TEST_P(EmbedderReplay, WithoutTheImagesOfAResetSaysSo) {
  const Images images = test::images_of(GetParam(), "hello").value();
  const auto result =
      testing::replays([&] { return machine_with(GetParam(), "hello"); },
                       [&](Machine& machine, Recorder& recorder) {
                         (void)recorder.run(100);
                         EXPECT_THAT(machine.reset(machine.vm(0), images), Succeeds());
                         return recorder.run();
                       });

  EXPECT_FALSE(result);
  EXPECT_THAT(result.message(), HasSubstr("nobody has said with which images"));
}

TEST_P(EmbedderReplay, OfAnInputAtAnotherInstructionIsAnotherRun) {
  const auto drive = [&](std::uint64_t at) {
    auto machine = machine_with(GetParam(), "timer").value();
    traces::ByteVector bytes;
    auto recorder =
        Recorder::start(*machine, std::make_unique<traces::MemorySink>(bytes), {}).value();
    (void)recorder->run(at);
    EXPECT_THAT(machine->suspend(machine->vm(0)), Succeeds());
    EXPECT_THAT(machine->resume(machine->vm(0)), Succeeds());
    EXPECT_THAT(recorder->finish(recorder->run(1000)), Succeeds());
    return traces::Reader::parse("t", bytes).value();
  };
  const auto comparison = traces::compare(drive(2000), drive(2001)).value();

  ASSERT_TRUE(comparison.divergence);
  EXPECT_EQ(comparison.divergence->retired, 2000U);
}

TEST_P(EmbedderReplay, OfFourVcpusIsIdentical) {
  const traces::Reader trace = record(GetParam(), "smp", 4);
  auto machine = machine_with(GetParam(), "smp", 4).value();
  const auto report = Replayer(*machine, trace).run();

  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->outcome, Outcome::Identical) << to_text(*report->divergence, "was", "is");
  EXPECT_GT(report->digests, 2U);

  const auto alone = replay_exits(trace, parse_config(trace.header().configs[0], "config").value());
  ASSERT_THAT(alone, Succeeds());
  EXPECT_FALSE(alone->divergence) << to_text(*alone->divergence, "was", "is");
  EXPECT_EQ(alone->exits, trace.end()->exits);
}

TEST_P(EmbedderReplay, NamesTheVcpuThatIsAnother) {
  const traces::Reader trace = record(GetParam(), "smp", 4);
  for (std::uint32_t id = 0; id < 4; ++id) {
    auto machine = machine_with(GetParam(), "smp", 4).value();
    Replayer replayer(*machine, trace);
    const std::uint64_t at = trace.digests().back().retired - 1;
    ASSERT_THAT(replayer.run(UntilInstruction{at}), Succeeds());
    Vcpu* const vcpu = *machine->vm(0).vcpu(VcpuId{id});
    constexpr unsigned kUnused = 11;  // of the guest's code, at that place
    ASSERT_THAT(vcpu->set_gpr(kUnused, vcpu->arch().gpr(kUnused).value() ^ 1), Succeeds());
    const auto report = replayer.run();

    ASSERT_THAT(report, Succeeds());
    ASSERT_EQ(report->outcome, Outcome::Diverged) << id;
    EXPECT_EQ(report->divergence->vcpu, VcpuId{id});
    EXPECT_EQ(
        report->divergence->what.field,
        fmt::format("digest of the registers of vm {} vcpu {}", index(machine->vm(0).id()), id));
  }
}

TEST_P(EmbedderReplay, GoesLiveWithAnotherSeed) {
  const traces::Reader trace = record(GetParam(), "smp", 4);
  const auto live = [&](std::uint64_t seed) {
    auto machine = machine_with(GetParam(), "smp", 4).value();
    {
      Replayer replayer(*machine, trace);
      EXPECT_THAT(replayer.run(UntilInstruction{1000}), Succeeds());
    }
    machine->reseed(seed);
    EXPECT_EQ(machine->run().reason, StopReason::PoweredOff);
    return machine->clock().retired();
  };

  EXPECT_EQ(live(5), live(5));
  EXPECT_NE(live(5), live(6));
}

}  // namespace
}  // namespace retrap
