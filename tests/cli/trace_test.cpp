// retrap record, replay and diff as a script sees them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/cli/trace_folder.h"
#include "traces/reader.h"
#include "vmm/arch_id.h"
#include "vmm/base/prng.h"

namespace retrap {
namespace {

using test::builtin_guest;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class Traces : public test::TraceFolder {};

INSTANTIATE_TEST_SUITE_P(All, Traces, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(Traces, ReplayIdenticallyWithWhateverTheyHold) {
  for (const std::string detail : {"inputs", "exits", "full"}) {
    SCOPED_TRACE(detail);
    std::vector<std::string> more = {"--vcpus", "2", "--record", detail};
    if (detail == "full") more.insert(more.end(), {"--digest-every", "100000"});
    const auto recorded = record("t.rtr", "smp", more);
    const auto replayed = retrap({"replay", "t.rtr"});

    EXPECT_EQ(recorded.status, 0) << recorded.err;
    EXPECT_EQ(replayed.status, 0) << replayed.err;
    EXPECT_EQ(replayed.out, recorded.out);
    EXPECT_THAT(replayed.err, StartsWith("retrap: identical: "));
  }
}

TEST_P(Traces, ReplayIdenticallyInOtherSlices) {
  EXPECT_EQ(record("t.rtr", "timer", {"--record", "full", "--digest-every", "1000"}).status, 0);

  EXPECT_EQ(retrap({"replay", "t.rtr", "--slice", "97"}).status, 0);
}

TEST_P(Traces, TakeNoMoreThanTheyShould) {
  EXPECT_EQ(record("inputs.rtr", "hello", {"--record", "inputs"}).status, 0);

  EXPECT_LE(std::filesystem::file_size(path("inputs.rtr")), 4096U);
}

TEST_P(Traces, CanBeMovedToAnotherPlaceWithTheirImages) {
  std::filesystem::copy_file(builtin_guest(GetParam(), "hello"), path("kernel"));
  const auto recorded = retrap({"record", "-o", "t.rtr", "--with-images", "--kernel", "kernel"});
  EXPECT_EQ(recorded.status, 0) << recorded.err;
  std::filesystem::remove(path("kernel"));

  const auto replayed = retrap({"replay", "t.rtr"});

  EXPECT_EQ(replayed.status, 0) << replayed.err;
}

TEST_P(Traces, SayWhichImageIsMissingOrAnotherOne) {
  std::filesystem::copy_file(builtin_guest(GetParam(), "hello"), path("kernel"));
  EXPECT_EQ(retrap({"record", "-o", "t.rtr", "--kernel", "kernel"}).status, 0);
  std::filesystem::remove(path("kernel"));
  const auto missing = retrap({"replay", "t.rtr"});
  const auto other = retrap({"replay", "t.rtr", "--kernel", builtin_guest(GetParam(), "timer")});
  const auto moved = retrap({"replay", "t.rtr", "--kernel", builtin_guest(GetParam(), "hello")});

  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, AllOf(StartsWith("retrap: t.rtr: its kernel is not here: kernel"),
                                 EndsWith("; give the recorded one with --kernel FILE\n")));
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, HasSubstr("is not the recorded kernel"));
  EXPECT_EQ(moved.status, 0) << moved.err;
}

TEST_P(Traces, HoldWhatIsTyped) {
  const std::string command = fmt::format(
      "printf 'hello, guest\\n' | {} record -o t.rtr --console - --kernel {} --max-instructions "
      "20000000",
      test::retrap_program().string(), builtin_guest(GetParam(), "echo"));
  const auto recorded = test::run_program("/bin/sh", {"-c", command}, folder_.path());
  const auto replayed = retrap({"replay", "t.rtr"});

  EXPECT_THAT(recorded.out, HasSubstr("got ")) << recorded.err;
  EXPECT_EQ(replayed.status, 0) << replayed.err;
  EXPECT_EQ(replayed.out, recorded.out);
  const auto trace = traces::Reader::open(path("t.rtr"));
  std::string typed;
  for (const auto& input : trace->inputs()) {
    typed += std::get<traces::ConsoleInput>(input.input).bytes;
  }
  EXPECT_EQ(typed, "hello, guest\n");
  // What the UART takes at one stop is one input; on aarch64 this guest uses no FIFO.
  EXPECT_EQ(trace->inputs().size(), GetParam() == ArchId::Aarch64 ? typed.size() : 1U);
}

TEST_P(Traces, StopWhereTheyAreTold) {
  EXPECT_EQ(record("t.rtr", "timer").status, 0);
  const auto at_exit = retrap({"replay", "t.rtr", "--until", "20"});
  const auto at_count = retrap({"replay", "t.rtr", "--until", "insn=3000"});
  const auto at_time = retrap({"replay", "t.rtr", "--until", "time=5000"});
  const auto at_halt = retrap({"replay", "t.rtr", "--until", "first(halt)"});

  EXPECT_EQ(at_exit.status, 0);
  EXPECT_THAT(at_exit.err, HasSubstr("stopped there"));
  EXPECT_THAT(at_count.err, HasSubstr(" 3000 instructions"));
  EXPECT_THAT(at_time.err, HasSubstr("stopped there"));
  EXPECT_THAT(at_halt.err, HasSubstr("stopped there"));
  EXPECT_THAT(at_halt.err, HasSubstr("retrap: vm 1 vcpu 0 at pc 0x"));
}

TEST_P(Traces, SayWhichPlaceIsNeverReached) {
  EXPECT_EQ(record("t.rtr", "hello").status, 0);
  const auto last = traces::Reader::open(path("t.rtr"))->end()->exits - 1;
  for (const std::string where :
       {"99999", "insn=99999999", "pc=0x3", "time=999999999999", "first(fail-entry)"}) {
    for (const std::vector<std::string>& then : {std::vector<std::string>{}, {"--then", "run"}}) {
      std::vector<std::string> arguments = {"replay", "t.rtr", "--until", where};
      arguments.insert(arguments.end(), then.begin(), then.end());
      const auto replayed = retrap(arguments);
      EXPECT_EQ(replayed.status, 6) << replayed.err;
      EXPECT_THAT(replayed.err, StartsWith("retrap: never reached: " + where +
                                           "; the trace ends at exit " + std::to_string(last)));
    }
  }
}

TEST_P(Traces, StopBeforeAnInstruction) {
  EXPECT_EQ(record("t.rtr", "hello").status, 0);
  const auto line = retrap({"dump", "t.rtr", "--from", "10", "--to", "10"}).out;
  const std::string pc = line.substr(line.find("pc=0x") + 3, 18);

  const auto stopped = retrap({"replay", "t.rtr", "--until", "pc=" + pc});

  EXPECT_THAT(stopped.err, HasSubstr("stopped there")) << line;
}

TEST_P(Traces, GoOnLiveFromAnywhere) {
  const auto recorded = record("t.rtr", "timer");
  const auto gone_on = retrap({"replay", "t.rtr", "--until", "first(halt)", "--then", "run"});

  EXPECT_EQ(gone_on.status, 0) << gone_on.err;
  EXPECT_EQ(gone_on.out, recorded.out);
  const std::string digest = recorded.err.substr(recorded.err.find("digest"), 23);
  EXPECT_THAT(gone_on.err, HasSubstr(digest));
}

TEST_P(Traces, ShowWhereARunWithAnotherSeedParts) {
  EXPECT_EQ(record("t.rtr", "smp", {"--vcpus", "2"}).status, 0);
  const auto replayed = retrap({"replay", "t.rtr", "--seed", "2"});

  EXPECT_EQ(replayed.status, 3);
  EXPECT_THAT(replayed.err,
              AllOf(HasSubstr("retrap: diverged after "), HasSubstr("first difference at exit "),
                    HasSubstr("recorded"), HasSubstr("before it"), HasSubstr(" at pc 0x")));
}

TEST_P(Traces, AreComparedWithOneAnother) {
  EXPECT_EQ(record("a.rtr", "smp", {"--vcpus", "2"}).status, 0);
  EXPECT_EQ(record("b.rtr", "smp", {"--vcpus", "2"}).status, 0);
  EXPECT_EQ(record("c.rtr", "smp", {"--vcpus", "2", "--seed", "2"}).status, 0);
  const auto same = retrap({"diff", "a.rtr", "b.rtr"});
  const auto other = retrap({"diff", "a.rtr", "c.rtr"});

  EXPECT_EQ(same.status, 0);
  EXPECT_THAT(same.out, EndsWith(" events and the end are equal\n"));
  EXPECT_EQ(other.status, 3);
  EXPECT_THAT(other.out, AllOf(HasSubstr("seed: 1 and 2"), HasSubstr("first difference at exit")));
}

/// What diff shows of two runs of other seeds.
class CodeOfTraces : public test::TraceFolder {
 public:
  std::string shown(std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--vcpus", "2", "--seed", "1"});
    EXPECT_EQ(record("a.rtr", "smp", more).status, 0);
    more.back() = "2";
    EXPECT_EQ(record("b.rtr", "smp", more).status, 0);
    return retrap({"diff", "a.rtr", "b.rtr"}).out;
  }
};

INSTANTIATE_TEST_SUITE_P(All, CodeOfTraces, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(CodeOfTraces, IsShownAroundADifference) {
  const std::string text = shown();

  const auto at = text.find(" at pc 0x");
  ASSERT_NE(at, std::string::npos) << text;
  const std::string pc = text.substr(at + 7, text.find('\n', at) - at - 7);
  const auto marked = text.find("\n  > " + pc + "  ");
  ASSERT_NE(marked, std::string::npos) << text;
  EXPECT_THAT(text.substr(at, marked - at), HasSubstr("\n    0x")) << "what comes before it";
  EXPECT_THAT(text.substr(marked + 1), HasSubstr("\n    0x")) << "and behind";
  EXPECT_THAT(text, Not(HasSubstr(".byte")));
}

TEST_P(CodeOfTraces, ComesOutOfTheTraceWhereItHasTheImages) {
  const std::string with = shown({"--with-images"});

  EXPECT_THAT(with, HasSubstr("\n  > 0x"));
}

TEST_P(CodeOfTraces, IsSaidToBeUnknownWithoutTheRecordedImage) {
  std::filesystem::copy_file(builtin_guest(GetParam(), "smp"), path("kernel"));
  for (const std::string seed : {"1", "2"}) {
    const auto recorded =
        retrap({"record", "-o", seed, "--kernel", "kernel", "--vcpus", "2", "--seed", seed});
    EXPECT_EQ(recorded.status, 0);
  }
  std::filesystem::copy_file(builtin_guest(GetParam(), "hello"), path("kernel"),
                             std::filesystem::copy_options::overwrite_existing);
  const auto other = retrap({"diff", "1", "2"});
  std::filesystem::remove(path("kernel"));
  const auto none = retrap({"diff", "1", "2"});

  EXPECT_EQ(other.status, 3);
  EXPECT_THAT(other.out, HasSubstr("\n  no code: 1: kernel is not the recorded kernel"));
  EXPECT_EQ(none.status, 3);
  EXPECT_THAT(none.out, HasSubstr("\n  no code: 1: its kernel is not here: kernel: cannot read"));
}

TEST_P(Traces, WithNothingInThemAreNotCalledEqual) {
  EXPECT_EQ(record("t.rtr", "hello", {"--record", "inputs"}).status, 0);
  const auto first = traces::Reader::open(path("t.rtr"))->blocks().at(1).offset;
  std::filesystem::resize_file(path("t.rtr"), first);

  const auto compared = retrap({"diff", "t.rtr", "t.rtr"});

  EXPECT_EQ(compared.status, 1);
  EXPECT_THAT(compared.out, HasSubstr("left was cut off after instruction 0\n"));
  EXPECT_THAT(compared.err, HasSubstr("nothing of the two can be compared; record both"));
}

TEST_P(Traces, WithDigestsAtOtherIntervalsAreEqual) {
  EXPECT_EQ(record("a.rtr", "timer", {"--record", "full", "--digest-every", "1000"}).status, 0);
  EXPECT_EQ(record("b.rtr", "timer", {"--record", "full", "--digest-every", "1500"}).status, 0);

  const auto compared = retrap({"diff", "a.rtr", "b.rtr"});

  EXPECT_EQ(compared.status, 0) << compared.out;
  EXPECT_THAT(compared.out, HasSubstr("instructions between digests: 1000 and 1500\n"));
}

TEST_P(Traces, AreComparedWithoutWhatMayDiffer) {
  EXPECT_EQ(record("a.rtr", "hello").status, 0);
  EXPECT_EQ(record("b.rtr", "hello", {"--memory", "256M"}).status, 0);

  const auto diff = retrap({"diff", "a.rtr", "b.rtr", "--ignore", "digest,retired,end"});

  EXPECT_EQ(diff.status, 0) << diff.out;
}

/// The UART of a board.
std::string uart_of(ArchId arch) {
  return arch == ArchId::Aarch64 ? "pl011" : "ns16550";
}

TEST_P(Traces, GoOnWithoutADevice) {
  EXPECT_EQ(record("t.rtr", "timer").status, 0);

  // The first tick comes behind the first halt.
  const auto gone_on = retrap({"replay", "t.rtr", "--until", "first(halt)", "--then", "run",
                               "--unplug", uart_of(GetParam()), "--max-instructions", "5000000"});

  EXPECT_THAT(gone_on.err, HasSubstr("stopped there: identical so far"));
  EXPECT_THAT(gone_on.out, Not(HasSubstr("tick 2"))) << "nobody prints it any more";
}

TEST_P(Traces, SayWhichDevicesThereAreToUnplug) {
  EXPECT_EQ(record("t.rtr", "hello").status, 0);

  const auto refused =
      retrap({"replay", "t.rtr", "--until", "5", "--then", "run", "--unplug", "uart7"});

  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("--unplug uart7: no such device; there are "));
  EXPECT_THAT(refused.err, HasSubstr(uart_of(GetParam())));
}

TEST_P(Traces, AreNotBegunForAGuestThatIsRefused) {
  EXPECT_EQ(record("t.rtr", "hello", {"--memory", "4K"}).status, 1);
  EXPECT_THAT(folder_.names(), IsEmpty());
}

TEST_P(Traces, ThatAreDamagedAreRefusedInOneLine) {
  EXPECT_EQ(record("t.rtr", "hello").status, 0);
  std::string bytes = test::contents_of(path("t.rtr"));
  const std::size_t behind_the_header = bytes.size() * 3 / 4;
  bytes[behind_the_header] = static_cast<char>(bytes[behind_the_header] ^ 1);
  folder_.write("t.rtr", bytes);
  for (const std::string command : {"replay", "stat", "dump"}) {
    const auto refused = retrap({command, "t.rtr"});
    EXPECT_EQ(refused.status, 1) << command;
    EXPECT_EQ(refused.out, "") << command;
    EXPECT_THAT(refused.err, StartsWith("retrap: t.rtr: offset 0x")) << command;
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << command;
  }
  EXPECT_EQ(retrap({"stat", "t.rtr", "--up-to-damage"}).status, 0);
}

TEST_P(Traces, AreWrittenWhileExitsAreCounted) {
  const auto recorded = record("t.rtr", "timer", {"--stat"});

  EXPECT_EQ(recorded.status, 0) << recorded.err;
  EXPECT_THAT(recorded.err, HasSubstr("system-down"));
  EXPECT_EQ(retrap({"replay", "t.rtr"}).status, 0);
  EXPECT_EQ(retrap({"replay", "t.rtr", "--exits-only"}).status, 0);
  const auto guest_alone = retrap({"replay", "t.rtr", "--guest-only"});
  EXPECT_EQ(guest_alone.status, 0) << guest_alone.err;
  EXPECT_THAT(guest_alone.out, IsEmpty());
}

/// Kills a recording after some time and replays what is there. Whether it came to its end.
bool replays_after_a_kill(Traces& test, const std::string& trace, const std::string& kernel,
                          std::chrono::microseconds after) {
  const std::string program = test::retrap_program().string();
  const pid_t child = fork();
  if (child == 0) {
    (void)!freopen("/dev/null", "w", stdout);
    (void)!freopen("/dev/null", "w", stderr);
    execl(program.c_str(), program.c_str(), "record", "-o", trace.c_str(), "--record", "full",
          "--digest-every", "200000", "--max-instructions", "30000000", "--kernel", kernel.c_str(),
          nullptr);
    _exit(127);
  }
  std::this_thread::sleep_for(after);
  (void)kill(child, SIGKILL);
  int status = 0;
  (void)waitpid(child, &status, 0);
  if (!std::filesystem::exists(trace)) return false;
  const auto reader = traces::Reader::open(trace);
  if (!reader) {
    EXPECT_THAT(reader.error().message, HasSubstr("record again"));
    return false;
  }
  const auto replayed = test.retrap({"replay", trace});
  EXPECT_EQ(replayed.status, 0) << replayed.err;
  EXPECT_THAT(replayed.err, HasSubstr("identical: "));
  if (!reader->end()) {
    EXPECT_THAT(replayed.err, HasSubstr("the recording was cut off here"));
  }
  return reader->end().has_value();
}

TEST_P(Traces, ReplayUpToTheirEndWhereTheRecordingWasKilled) {
  Prng prng(static_cast<std::uint64_t>(GetParam()));
  for (int i = 0; i < 12; ++i) {
    (void)replays_after_a_kill(*this, path("killed.rtr"), builtin_guest(GetParam(), "spin"),
                               std::chrono::microseconds(prng.between(1'000, 60'000)));
    std::filesystem::remove(path("killed.rtr"));
  }
}

TEST(TraceCommands, RefuseWhatTheyDoNotUnderstand) {
  struct Case {
    std::vector<std::string> arguments;
    std::string says;
  };
  const std::vector<Case> cases = {
      {{"replay"}, "replay TRACE: is missing; name a file that retrap record has written"},
      {{"diff", "a.rtr"}, "diff: the second TRACE: is missing"},
      {{"replay", "a", "--until", "x=1"}, "--until x=1: is no place; write the number of an exit"},
      {{"replay", "a", "--until", "first(hlat)"}, "is no kind of exit; did you mean halt"},
      {{"replay", "a", "--then", "stop"}, "--then stop: is not offered; write --then run"},
      {{"replay", "a", "--unplug", "pl011"}, "--unplug pl011: goes with --then run"},
      {{"replay", "a", "--guest-only", "--then", "run"}, "does not go with --exits-only or --then"},
      {{"replay", "a", "--max-instructions", "5"}, "--max-instructions 5: goes with --then run"},
      {{"replay", "a", "--guest-only", "--exits-only"}, "--guest-only does not go with"},
      {{"replay", "a", "--exits-only", "--until", "5"}, "--until does not go with --exits-only"},
      {{"replay", "a", "--exits-only", "--then", "run"}, "--then does not go with --exits-only"},
      {{"replay", "a", "--exits-only", "--kernel", "k"}, "--kernel does not go with --exits-only"},
      {{"replay", "a", "--exits-only", "--initrd", "k"}, "--initrd does not go with --exits-only"},
      {{"replay", "a", "--exits-only", "--seed", "5"}, "--seed does not go with --exits-only"},
      {{"replay", "a", "--exits-only", "--slice", "5"}, "--slice does not go with --exits-only"},
      {{"replay", "a", "--exits-only", "--unplug", "x", "--then", "run"},
       "--unplug does not go with --exits-only"},
      {{"run", "--kernel", "k", "--with-images"}, "need a trace; add -o TRACE"},
      {{"run", "--kernel", "k", "--digest-every", "5"}, "need a trace; add -o TRACE"},
      {{"record", "--kernel", "k", "-o", "t", "--digest-every", "5"},
       "--digest-every: digests are for --record full only"},
      {{"record", "--kernel", "k", "-o", "t", "--record", "inputs", "--digest-every", "5"},
       "--digest-every: digests are for --record full only"},
      {{"dump", "a", "--from", "5", "--to", "4"}, "--from 5: is behind --to 4; swap them"},
      {{"export", "a", "--format", "perfetto", "--elf", "b"}, "--elf b: is for --format lcov only"},
      {{"report", "a", "-o", "b", "--from", "5"}, "--from: no such option"},
      {{"report", "a", "-o", "b", "--filter", "kind=halt"}, "--filter: no such option"},
      {{"export", "a", "--format", "csv", "--json"}, "--json: no such option"},
      {{"dump", "a", "--top", "5"}, "--top: no such option"},
      {{"stat", "a", "--format", "csv"}, "--format: no such option"},
      {{"diff", "a", "b", "-o", "c"}, "-o: no such option here"},
      {{"--json", "stat", "a"}, "--json: goes behind stat, or with --version"},
      {{"--version", "demo"}, "--version: goes alone; leave out demo"},
      {{"dump", "a", "--filter", "kind=x"}, "'x' is no kind; use one of hypercall"},
      {{"dump", "a", "--filter", "foo=1"}, "'foo' is nothing to filter by; use kind, vm"},
      {{"dump", "a", "--filter", "pc=zz"}, "'pc=zz' has no number; write pc=42"},
      {{"dump", "a", "--filter", "kind=hlat"}, "'hlat' is no kind; did you mean halt?"},
      {{"dump", "a", "--filter", "retird=1"}, "nothing to filter by; did you mean retired?"},
      {{"dump", "a", "--filter", "vm=1", "--filter", "pc=9..1"}, "'pc=9..1' ends before it begins"},
      {{"dump", "a", "--filter", "halt"}, "'halt' is no term; write NAME=VALUE, as kind=halt"},
      {{"diff", "a", "b", "--ignore", "pc,retird"},
       "--ignore pc,retird: 'retird' is nothing that traces have; did you mean retired?"},
      {{"diff", "a", "b", "--ignore", "x"},
       "'x' is nothing that traces have; use access_flags, addr"},
      {{"replay", "a", "--until", "pc=40081118"}, "is no address; write pc=0xA"},
      {{"export", "a"}, "export --format: is missing; use perfetto, csv or lcov"},
      {{"export", "a", "--format", "xml"}, "--format xml: is no format; use perfetto, csv or lcov"},
      {{"export", "a", "--format", "lcov"}, "export --elf: is missing; lcov needs the guest"},
      {{"export", "a", "--format", "csv", "--elf", "b"}, "--elf b: is for --format lcov only"},
      {{"report", "a"}, "add -o FILE.html"},
      {{"record", "--kernel", "k"}, "record: no trace to write; add -o TRACE"},
      {{"run", "--kernel", "k", "--record", "full"}, "need a trace; add -o TRACE"},
      {{"run", "--kernel", "k", "-o", "t", "--record", "all"}, "is none of inputs, exits and full"},
      {{"run", "--kernel", "k", "--console", "x"}, "--console x: is no console"},
  };
  for (const Case& one : cases) {
    const auto refused =
        test::run_program(test::retrap_program(), one.arguments, test::TemporaryFolder().path());
    EXPECT_EQ(refused.status, 2) << one.says;
    EXPECT_THAT(refused.err, HasSubstr(one.says));
  }
}

TEST(TraceCommands, SayWhatIsNoTrace) {
  const test::TemporaryFolder folder;
  folder.write("x.rtr", "hello");
  for (const std::string command : {"replay", "stat", "dump"}) {
    const auto refused =
        test::run_program(test::retrap_program(), {command, "x.rtr"}, folder.path());
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, HasSubstr("x.rtr: offset 0x0: this is no trace of retrap"));
  }
}

}  // namespace
}  // namespace retrap
