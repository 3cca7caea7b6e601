// Which interrupts a vCPU got, and at which instruction: the same wherever a run is stopped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/replay.h"
#include "sim/replay_exits.h"
#include "tests/replay/guest_machine.h"
#include "traces/text.h"
#include "traces/writer.h"
#include "vmm/base/digest.h"
#include "vmm/config_toml.h"

namespace retrap::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using traces::InjectionRecord;
using Outcome = ReplayReport::Outcome;

class Deliveries : public ::testing::TestWithParam<ArchId> {};

INSTANTIATE_TEST_SUITE_P(All, Deliveries, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

std::vector<InjectionRecord> deliveries_of(const traces::Reader& trace) {
  std::vector<InjectionRecord> deliveries;
  traces::EventCursor cursor(trace);
  for (traces::Event event; cursor.next(event).value();) {
    const auto* const injection = std::get_if<InjectionRecord>(&event);
    if (injection != nullptr && injection->change == LineChange::Deliver) {
      deliveries.push_back(*injection);
    }
  }
  return deliveries;
}

/// Every event of a guest.
class Events final : public Observer {
 public:
  void on_exit(const ExitEvent& event) override {
    if (std::holds_alternative<exits::BudgetSpent>(event.reason)) return;
    all.emplace_back(traces::record_of(event, 0));
  }
  void on_answer(const AnswerEvent& event) override { all.emplace_back(traces::record_of(event)); }
  void on_injection(const InjectionEvent& event) override {
    all.emplace_back(traces::record_of(event));
    if (event.change == LineChange::Deliver) ++deliveries;
  }

  std::vector<traces::Event> all;
  std::size_t deliveries = 0;
};

/// What a run in slices is like: `name` on `vcpus` vCPUs, typed at.
Events run_in_slices(ArchId arch, std::string_view name, std::uint32_t vcpus, std::uint64_t slice) {
  auto machine = Machine::create({.slice = slice, .mean_turn = vcpus == 1 ? 0U : 300U}).value();
  VmConfig config = machine->architecture(arch)->default_config(32 << 20);
  config.cpu_num = vcpus;
  Vm* const vm = machine->add_vm(std::move(config), images_of(arch, name).value()).value();
  Events events;
  machine->set_observer(nullptr);
  machine->add_listener(events);
  for (const char byte : std::string_view("abcq")) {
    if (machine->run(3'000'000).reason != StopReason::Deadlocked) break;
    (void)machine->type(*vm, byte);
  }
  (void)machine->run(3'000'000);
  machine->remove_listener(events);
  return events;
}

/// Whole, and each half alone.
void expect_identical_replays(ArchId arch, std::string_view guest, const traces::Reader& trace) {
  for (const bool alone : {false, true}) {
    auto second = machine_with(arch, guest).value();
    Replayer replayer(*second, trace);
    if (alone) {
      ASSERT_THAT(replayer.without_devices(), Succeeds());
    }
    const auto replayed = replayer.run();
    ASSERT_THAT(replayed, Succeeds());
    EXPECT_EQ(replayed->outcome, Outcome::Identical) << to_text(*replayed->divergence, "was", "is");
  }
  const auto config = parse_config(trace.header().configs[0], "config").value();
  const auto monitor = replay_exits(trace, config);
  ASSERT_THAT(monitor, Succeeds());
  EXPECT_FALSE(monitor->divergence) << to_text(*monitor->divergence, "was", "is");
}

TEST_P(Deliveries, AreAtTheSameInstructionsInSlicesOfAnySize) {
  for (const auto& [name, vcpus] : {std::pair("echo", 1U), {"timer", 1U}, {"ipis", 4U}}) {
    const Events whole = run_in_slices(GetParam(), name, vcpus, 0);
    // A hart takes what comes from its timer and from other harts by itself.
    const bool by_itself = GetParam() == ArchId::Riscv64 && std::string_view(name) != "echo";
    EXPECT_EQ(whole.deliveries > 0, !by_itself) << name;
    for (const std::uint64_t slice : {1U, 7U, 997U}) {
      if (vcpus > 1 && slice < 997) continue;
      const Events sliced = run_in_slices(GetParam(), name, vcpus, slice);
      ASSERT_EQ(sliced.all.size(), whole.all.size()) << name << " in slices of " << slice;
      for (std::size_t i = 0; i < whole.all.size(); ++i) {
        ASSERT_TRUE(sliced.all[i] == whole.all[i]) << name << " in slices of " << slice << "\n"
                                                   << to_text(whole.all[i], i) << "\n"
                                                   << to_text(sliced.all[i], i);
      }
    }
  }
}

TEST_P(Deliveries, FollowTheInterruptThatBecamePending) {
  // A guest that waits gets what a typed byte brings at once.
  traces::ByteVector bytes;
  auto machine = machine_with(GetParam(), "echo").value();
  auto recorder = Recorder::start(*machine, std::make_unique<traces::MemorySink>(bytes),
                                  {.detail = traces::Detail::Full,
                                   .digest_interval = 1000,
                                   .configs = {to_toml(machine->vm(0).config())}})
                      .value();
  RunReport report = recorder->run();
  for (const char byte : std::string_view("xyq")) {
    ASSERT_EQ(report.reason, StopReason::Deadlocked);
    ASSERT_TRUE(machine->type(machine->vm(0), byte));
    report = recorder->run();
  }
  ASSERT_THAT(recorder->finish(report), Succeeds());
  const traces::Reader trace = traces::Reader::parse("echo", bytes).value();

  const auto deliveries = deliveries_of(trace);
  ASSERT_GE(deliveries.size(), 3U);
  std::size_t next = 0;
  for (const auto& input : trace.inputs()) {
    while (next < deliveries.size() && deliveries[next].retired < input.retired) ++next;
    ASSERT_LT(next, deliveries.size());
    EXPECT_EQ(deliveries[next].vcpu, kBootVcpu);
    EXPECT_LE(deliveries[next].retired, input.retired + 100);
    EXPECT_THAT(to_text(traces::Event(deliveries[next]), 1), HasSubstr(" deliver"));
  }

  expect_identical_replays(GetParam(), "echo", trace);
}

TEST(DeliveriesOfAPlic, AreItsClaims) {
  auto machine = machine_with(ArchId::Riscv64, "echo").value();
  Vm& vm = machine->vm(0);
  Events events;
  machine->add_listener(events);
  ASSERT_EQ(machine->run().reason, StopReason::Deadlocked);
  ASSERT_TRUE(machine->type(vm, 'x'));

  constexpr std::uint64_t kClaim = 0x0c20'0004;
  const auto source = vm.mmio().read(kClaim, Width::Word, kBootVcpu);
  machine->remove_listener(events);

  ASSERT_NE(source.value_or(0), 0U);
  const auto* const claimed = std::get_if<InjectionRecord>(&events.all.back());
  ASSERT_NE(claimed, nullptr);
  EXPECT_EQ(claimed->vector, *source);
  EXPECT_EQ(name(claimed->change), "deliver");
}

/// The trace as it was before there were deliveries: of version 1, without them.
traces::Reader without_deliveries(const traces::Reader& trace) {
  traces::ByteVector bytes;
  traces::Header header = trace.header();
  auto writer = traces::Writer::create(std::make_unique<traces::MemorySink>(bytes), header).value();
  traces::EventCursor cursor(trace);
  for (traces::Event event; cursor.next(event).value();) {
    const auto* const injection = std::get_if<InjectionRecord>(&event);
    if (injection != nullptr && injection->change == LineChange::Deliver) continue;
    std::visit([&](const auto& record) { writer.add(record); }, event);
  }
  EXPECT_THAT(writer.finish(*trace.end()), Succeeds());
  bytes[8] = std::byte{1};
  Digest check;
  check.add(ConstBytes(bytes).first(12));
  EXPECT_TRUE(store_le(bytes, 12, static_cast<std::uint32_t>(check.value())));
  return traces::Reader::parse("version 1", bytes).value();
}

TEST_P(Deliveries, AreNotMissedInATraceOfVersion1) {
  const traces::Reader trace = without_deliveries(record(GetParam(), "timer"));
  ASSERT_EQ(trace.version(), 1U);
  EXPECT_THAT(deliveries_of(trace), IsEmpty());
  expect_identical_replays(GetParam(), "timer", trace);
}

}  // namespace
}  // namespace retrap::test
