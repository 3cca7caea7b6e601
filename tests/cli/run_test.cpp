// retrap run, demo and --version as a script sees them: output, report, exit status.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "vmm/arch_id.h"
#include "vmm/exit.h"

namespace retrap {
namespace {

using nlohmann::ordered_json;
using test::builtin_guest;
using test::Finished;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

Finished retrap_in(const test::TemporaryFolder& folder, const std::vector<std::string>& arguments) {
  return test::run_program(test::retrap_program(), arguments, folder.path());
}

Finished run_retrap(const std::vector<std::string>& arguments) {
  return retrap_in(test::TemporaryFolder(), arguments);
}

/// The report of a run, from --json -.
ordered_json report_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "run");
  arguments.insert(arguments.end(), {"--json", "-"});
  const Finished finished = run_retrap(arguments);
  const std::size_t end = finished.out.find_last_not_of('\n');
  const std::size_t line = finished.out.rfind('\n', end);
  return ordered_json::parse(finished.out.substr(line == std::string::npos ? 0 : line + 1));
}

class EveryArch : public ::testing::TestWithParam<ArchId> {};

TEST_P(EveryArch, RunsAGuestWithItsConsoleOnStandardOutput) {
  const auto finished = run_retrap({"run", "--kernel", builtin_guest(GetParam(), "hello")});

  EXPECT_EQ(finished.status, 0);
  EXPECT_EQ(finished.out, "hello from " + std::string(to_string(GetParam())) + "\n");
  EXPECT_THAT(finished.err,
              MatchesRegex("retrap: powered-off; [0-9]+ instructions, [0-9]+ exits, digest "
                           "[0-9a-f]+, seed 1, [0-9.]+ s\n"));
}

TEST_P(EveryArch, RunsItsExampleConfiguration) {
  const std::string name = "hello-" + std::string(to_string(GetParam())) + ".toml";
  const auto path = test::source_dir() / "examples" / "configs" / name;
  const auto finished =
      run_retrap({"run", path.string(), "--kernel", builtin_guest(GetParam(), "hello")});

  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(finished.out, "hello from " + std::string(to_string(GetParam())) + "\n");
}

TEST_P(EveryArch, ReportsWhatScriptsDependOn) {
  const auto report =
      report_of({"--kernel", builtin_guest(GetParam(), "timer"), "--vcpus", "2", "--seed", "7"});

  std::vector<std::string> keys;
  for (const auto& [key, value] : report.items()) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("arch", "vcpus", "seed", "instructions", "exits", "digest",
                                "virtual_time_ns", "wall_seconds", "stop_reason"));
  EXPECT_EQ(report["arch"], to_string(GetParam()));
  EXPECT_EQ(report["vcpus"], 2);
  EXPECT_EQ(report["seed"], 7);
  EXPECT_EQ(report["stop_reason"], "powered-off");
  EXPECT_EQ(report["exits"].size(), kExitKinds);
  EXPECT_EQ(report["exits"]["system-down"], 1);
  EXPECT_GE(report["exits"]["halt"], 5);
  EXPECT_GT(report["virtual_time_ns"], report["instructions"]);
  EXPECT_EQ(report["digest"].get<std::string>().size(), 16u);
}

TEST_P(EveryArch, HasOneDigestHoweverItIsSliced) {
  const std::string kernel = builtin_guest(GetParam(), "timer");
  const auto whole = report_of({"--kernel", kernel});

  for (const std::string slice : {"29", "1000", "50021"}) {
    const auto sliced = report_of({"--kernel", kernel, "--slice", slice});
    EXPECT_EQ(sliced["digest"], whole["digest"]) << slice;
    EXPECT_EQ(sliced["instructions"], whole["instructions"]) << slice;
    EXPECT_EQ(sliced["exits"], whole["exits"]) << slice;
  }
}

TEST_P(EveryArch, RunsTheSameEagerOrLazy) {
  const std::string kernel = builtin_guest(GetParam(), "lazy");
  const auto eager = report_of({"--kernel", kernel, "--populate", "eager", "--memory", "64M"});
  const auto lazy = report_of({"--kernel", kernel, "--populate", "lazy", "--memory", "64M"});

  EXPECT_EQ(lazy["digest"], eager["digest"]);
  EXPECT_EQ(lazy["instructions"], eager["instructions"]);
}

TEST_P(EveryArch, SaysThatTheBudgetIsSpent) {
  const auto finished = run_retrap(
      {"run", "--kernel", builtin_guest(GetParam(), "spin"), "--max-instructions", "1000000"});

  EXPECT_EQ(finished.status, 5);
  EXPECT_EQ(finished.out, "spinning\n");
  EXPECT_THAT(finished.err, StartsWith("retrap: budget-spent; 1000000 instructions"));
}

TEST_P(EveryArch, SaysThatNothingWillWakeTheGuest) {
  const auto finished = run_retrap({"run", "--kernel", builtin_guest(GetParam(), "sleep")});

  EXPECT_EQ(finished.status, 4);
  EXPECT_THAT(finished.err, StartsWith("retrap: deadlocked: "));
}

TEST_P(EveryArch, SaysThatTheGuestAskedForAReset) {
  const auto finished = run_retrap({"run", "--kernel", builtin_guest(GetParam(), "restart")});

  EXPECT_EQ(finished.status, 4);
  EXPECT_THAT(finished.err, StartsWith("retrap: reset"));
}

TEST_P(EveryArch, RefusesRamThatIsTooSmallForItsGuest) {
  const std::string kernel = builtin_guest(GetParam(), "hello");
  const auto finished = run_retrap({"run", "--kernel", kernel, "--memory", "4K"});

  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.out, "");
  EXPECT_THAT(finished.err, StartsWith("retrap: " + kernel + ": "));
  EXPECT_THAT(finished.err, EndsWith("; change --memory, --vcpus or the kernel\n"));
}

TEST_P(EveryArch, RefusesRamBeyondItsAddresses) {
  const auto finished = run_retrap(
      {"run", "--kernel", builtin_guest(GetParam(), "hello"), "--memory", "17179869183G"});

  EXPECT_EQ(finished.status, 1);
  EXPECT_THAT(finished.err, StartsWith("retrap: " + builtin_guest(GetParam(), "hello") + ": "));
}

TEST_P(EveryArch, RefusesRamWhereItsInterruptControllerIs) {
  constexpr std::array<std::string_view, 3> kBases = {"0xfec0_0000", "0x0800_0000", "0x0c00_0000"};
  constexpr std::array<std::string_view, 3> kRam = {"0", "0x4000_0000", "0x8000_0000"};
  const auto index = static_cast<std::size_t>(GetParam());
  const test::TemporaryFolder folder;
  folder.write("c.toml",
               fmt::format("base = {{id = 1, name = \"n\", arch = \"{}\", cpu_num = 1}}\n"
                           "kernel = {{memory_regions = [[{}, 0x100_0000], [{}, 0x1000]]}}\n"
                           "devices = {{}}\n",
                           to_string(GetParam()), kRam[index], kBases[index]));
  const auto finished =
      retrap_in(folder, {"run", "c.toml", "--kernel", builtin_guest(GetParam(), "hello")});

  EXPECT_EQ(finished.status, 1);
  EXPECT_THAT(finished.err, MatchesRegex("retrap: c.toml:2:[0-9]+: memory_regions.1. .* overlaps "
                                         "the board's .*; move it\n"));
}

TEST_P(EveryArch, RefusesAKernelOfAnother) {
  const auto finished = run_retrap(
      {"run", "--arch", std::string(to_string(GetParam())), "--kernel",
       builtin_guest(GetParam() == ArchId::X86_64 ? ArchId::Riscv64 : ArchId::X86_64, "hello")});

  EXPECT_EQ(finished.status, 1);
  EXPECT_THAT(finished.err, HasSubstr("ELF e_machine"));
}

INSTANTIATE_TEST_SUITE_P(All, EveryArch, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST(Report, IsAWholeFileOrNone) {
  const test::TemporaryFolder folder;
  const auto finished = retrap_in(
      folder, {"run", "--kernel", builtin_guest(ArchId::X86_64, "hello"), "--json", "report.json"});

  EXPECT_EQ(finished.status, 0);
  EXPECT_EQ(finished.out, "hello from x86_64\n");
  EXPECT_THAT(folder.names(), ElementsAre("report.json"));
  const auto report = ordered_json::parse(test::contents_of(folder.path() / "report.json"));
  EXPECT_EQ(report["arch"], "x86_64");
}

TEST(Report, MayGoWhereNothingIsKept) {
  EXPECT_EQ(
      run_retrap({"run", "--kernel", builtin_guest(ArchId::X86_64, "hello"), "--json", "/dev/null"})
          .status,
      0);
}

TEST(Report, IsWrittenForAGuestThatFails) {
  const auto report = report_of({"--kernel", builtin_guest(ArchId::Riscv64, "crash")});

  EXPECT_EQ(report["stop_reason"], "crashed");
  EXPECT_EQ(report["exits"]["guest-crash"], 1);
}

TEST(StandardOutput, ThatIsFullIsAFailureOfTheHost) {
  const std::string command = test::retrap_program().string() + " run --kernel " +
                              builtin_guest(ArchId::X86_64, "hello") + " >/dev/full";
  const auto finished =
      test::run_program("/bin/sh", {"-c", command}, test::TemporaryFolder().path());

  EXPECT_EQ(finished.status, 1);
  EXPECT_THAT(finished.err, HasSubstr("retrap: standard output: cannot write"));
}

TEST(StandardError, HasNoEscapesOutsideATerminal) {
  EXPECT_THAT(run_retrap({"rnu"}).err, Not(HasSubstr("\x1b")));
}

TEST(Demo, ShowsEqualDigestsOnAllArchitectures) {
  const auto finished = run_retrap({"demo"});

  EXPECT_EQ(finished.status, 0);
  EXPECT_THAT(finished.err, IsEmpty());
  for (const ArchId arch : kAllArchs) {
    EXPECT_THAT(finished.out, HasSubstr("hello from " + std::string(to_string(arch))));
  }
  EXPECT_THAT(finished.out, EndsWith("every pair is equal\n"));
}

TEST(Version, NamesWhatTheProgramIsMadeOf) {
  const auto text = run_retrap({"--version"});
  const auto json = ordered_json::parse(run_retrap({"--version", "--json"}).out);

  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out,
              AllOf(StartsWith("retrap "), HasSubstr("Unicorn "), HasSubstr("Capstone ")));
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("program", "unicorn", "capstone", "build_type", "compiler"));
}

TEST(Help, HasAnExampleForEverySubcommand) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--help"}, {"run", "--help"}, {"demo", "--help"}, {"config", "--help"}}) {
    const auto finished = run_retrap(arguments);

    EXPECT_EQ(finished.status, 0);
    EXPECT_THAT(finished.out, HasSubstr("Example"));
    EXPECT_THAT(finished.out, HasSubstr("  retrap "));
    EXPECT_THAT(finished.err, IsEmpty());
  }
}

}  // namespace
}  // namespace retrap
