// Bytes that are typed at one stop are one input; whoever replays them counts the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/replay.h"
#include "sim/replay_exits.h"
#include "tests/replay/guest_machine.h"
#include "vmm/config_toml.h"

namespace retrap::test {
namespace {

using ::testing::ElementsAre;
using Outcome = ReplayReport::Outcome;
using When = traces::InputRecord::When;

class Typing : public ::testing::TestWithParam<ArchId> {};

INSTANTIATE_TEST_SUITE_P(All, Typing, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

/// What the UART takes of a guest that does not read: on aarch64 the guest has no FIFO.
std::size_t room_of(ArchId arch) {
  return arch == ArchId::Aarch64 ? 1 : 16;
}

/// The guest echo where it waits, with a FIFO on every architecture.
std::unique_ptr<Machine> echo_with_fifo(ArchId arch) {
  auto machine = machine_with(arch, "echo").value();
  EXPECT_EQ(machine->run().reason, StopReason::Deadlocked);
  constexpr std::uint64_t kLineControl = 0x0900'002c;
  constexpr std::uint64_t kEightBitsWithFifo = 0x70;
  if (arch == ArchId::Aarch64) {
    EXPECT_TRUE(
        machine->vm(0).mmio().write(kLineControl, Width::Word, kEightBitsWithFifo, kBootVcpu));
  }
  return machine;
}

/// Records what `drive` does with `machine`.
template <class Drive>
traces::Reader recorded(Machine& machine, Drive drive) {
  traces::ByteVector bytes;
  auto recorder = Recorder::start(machine, std::make_unique<traces::MemorySink>(bytes),
                                  {.detail = traces::Detail::Full,
                                   .digest_interval = 1000,
                                   .configs = {to_toml(machine.vm(0).config())}})
                      .value();
  EXPECT_THAT(recorder->finish(drive(*recorder)), Succeeds());
  return traces::Reader::parse("typed", bytes).value();
}

/// The console inputs of a trace, which has no others.
std::vector<std::string> typed_in(const traces::Reader& trace) {
  std::vector<std::string> typed;
  for (const auto& input : trace.inputs()) {
    typed.push_back(std::get<traces::ConsoleInput>(input.input).bytes);
  }
  return typed;
}

void expect_identical(Machine& machine, const traces::Reader& trace) {
  std::uint64_t events = trace.inputs().size();
  traces::EventCursor cursor(trace);
  for (traces::Event event; cursor.next(event).value();) ++events;
  const auto report = Replayer(machine, trace).run();

  ASSERT_THAT(report, Succeeds());
  EXPECT_EQ(report->outcome, Outcome::Identical) << to_text(*report->divergence, "was", "is");
  EXPECT_EQ(report->events, events);
}

void expect_identical_halves(ArchId arch, const traces::Reader& trace) {
  auto machine = machine_with(arch, "echo").value();
  Replayer replayer(*machine, trace);
  ASSERT_THAT(replayer.without_devices(), Succeeds());
  const auto guest = replayer.run();
  ASSERT_THAT(guest, Succeeds());
  EXPECT_EQ(guest->outcome, Outcome::Identical) << to_text(*guest->divergence, "was", "is");
  const auto monitor =
      replay_exits(trace, parse_config(trace.header().configs[0], "config").value());
  ASSERT_THAT(monitor, Succeeds());
  EXPECT_FALSE(monitor->divergence) << to_text(*monitor->divergence, "was", "is");
}

TEST_P(Typing, ARunOfBytesIsOneRecord) {
  auto machine = echo_with_fifo(GetParam());
  const traces::Reader trace = recorded(*machine, [&](Recorder& recorder) {
    (void)recorder.run();
    EXPECT_EQ(machine->type(machine->vm(0), "several"), 7U);
    (void)recorder.run();
    EXPECT_EQ(machine->type(machine->vm(0), "bytesq"), 6U);
    return recorder.run();
  });

  EXPECT_THAT(typed_in(trace), ElementsAre("several", "bytesq"));
  EXPECT_EQ(trace.end()->reason, static_cast<std::uint8_t>(StopReason::PoweredOff));
  expect_identical(*echo_with_fifo(GetParam()), trace);
}

TEST_P(Typing, AUartThatTakesSomeRecordsThose) {
  auto machine = machine_with(GetParam(), "echo").value();
  Vm& vm = machine->vm(0);
  const std::string many(40, 'x');
  const std::size_t room = room_of(GetParam());
  const traces::Reader trace = recorded(*machine, [&](Recorder& recorder) {
    (void)recorder.run();
    EXPECT_EQ(machine->type(vm, many), room);
    EXPECT_EQ(machine->type(vm, many), 0U);
    EXPECT_EQ(machine->type(vm, ""), 0U);
    (void)recorder.run();
    EXPECT_EQ(machine->type(vm, "q"), 1U);
    return recorder.run();
  });

  EXPECT_THAT(typed_in(trace), ElementsAre(many.substr(0, room), "q"));
  expect_identical(*machine_with(GetParam(), "echo").value(), trace);
  expect_identical_halves(GetParam(), trace);
}

TEST_P(Typing, BytesThatWereTypedOneByOneAreIdentical) {
  auto machine = echo_with_fifo(GetParam());
  const traces::Reader trace = recorded(*machine, [&](Recorder& recorder) {
    (void)recorder.run();
    for (const char byte : std::string_view("abcq"))
      EXPECT_TRUE(machine->type(machine->vm(0), byte));
    return recorder.run();
  });

  EXPECT_THAT(typed_in(trace), ElementsAre("a", "b", "c", "q"));
  EXPECT_EQ(trace.inputs()[1].when, When::Same);
  expect_identical(*echo_with_fifo(GetParam()), trace);
}

/// Keeps what it is told.
class Told final : public MachineObserver {
 public:
  void on_input(const traces::InputRecord& input) override { inputs.push_back(input.input); }
  std::vector<traces::Input> inputs;
};

TEST_P(Typing, ARecordThatDoesNotFitSaysWhichByte) {
  auto machine = machine_with(GetParam(), "echo").value();
  (void)machine->run();
  Told told;
  machine->set_observer(&told, Machine::Listen::Inputs);
  const std::string fits(room_of(GetParam()), 'x');

  EXPECT_THAT(machine->apply(machine->vm(0), traces::ConsoleInput{fits + "yz"}),
              FailsSaying(ErrorCode::Diverged, "the console of vm 1 does not take 0x79 now"));

  EXPECT_THAT(told.inputs, ElementsAre(traces::Input(traces::ConsoleInput{fits})));
  machine->set_observer(nullptr);
}

TEST_P(Typing, NothingIsTypedAtAVmThatIsGone) {
  auto machine = machine_with(GetParam(), "echo").value();
  (void)machine->run();
  ASSERT_THAT(machine->destroy(machine->vm(0)), Succeeds());

  EXPECT_EQ(machine->type(machine->vm(0), "abc"), 0U);
}

}  // namespace
}  // namespace retrap::test
