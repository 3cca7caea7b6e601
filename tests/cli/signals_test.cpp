// SIGINT and SIGTERM end a run in order: with its line, its trace and the terminal as it was.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "sim/machine.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "traces/reader.h"
#include "vmm/arch_id.h"

namespace retrap {
namespace {

using test::builtin_guest;
using ::testing::HasSubstr;

/// retrap in the background, in a folder of its own.
class Running {
 public:
  /// `input`, `output`: what it reads and writes; -1: nothing. Closed with this.
  Running(const test::TemporaryFolder& folder, std::vector<std::string> words, int input = -1,
          int output = -1)
      : err_(folder.path() / "err"),
        input_(input >= 0 ? input : open("/dev/null", O_RDONLY | O_CLOEXEC)),
        output_(output >= 0 ? output : open("/dev/null", O_WRONLY | O_CLOEXEC)) {
    const std::string program = test::retrap_program().string();
    words.insert(words.begin(), program);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    child_ = fork();
    if (child_ != 0) return;
    const int err = open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (chdir(folder.path().c_str()) != 0 || dup2(input_, 0) < 0 || dup2(output_, 1) < 0 ||
        dup2(err, 2) < 0) {
      _exit(126);
    }
    (void)signal(SIGINT, SIG_DFL);
    alarm(60);
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (child_ > 0) (void)wait();
    (void)close(input_);
    (void)close(output_);
  }

  void send(int number) const { (void)kill(child_, number); }
  /// Its exit status, or 128 and the signal that killed it, and 1000 more for that.
  [[nodiscard]] int wait() {
    int status = 0;
    (void)waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1128 + WTERMSIG(status);
  }
  [[nodiscard]] std::string err() const { return test::contents_of(err_); }

 private:
  std::filesystem::path err_;
  int input_;
  int output_;
  pid_t child_ = -1;
};

void wait_a_while() {
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
}

class Signals : public ::testing::TestWithParam<ArchId> {
 public:
  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_.path() / name).string();
  }
  /// A trace has been begun.
  void wait_for(const std::string& name) const {
    for (int i = 0; i < 300 && !std::filesystem::exists(path(name)); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    wait_a_while();
  }

  test::TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(All, Signals, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(Signals, EndARecordingThatReplaysIdentically) {
  for (const int number : {SIGINT, SIGTERM}) {
    Running recording(folder_, {"record", "-o", "t.rtr", "--record", "full", "--digest-every",
                                "10000000", "--kernel", builtin_guest(GetParam(), "spin")});
    wait_for("t.rtr");
    recording.send(number);

    EXPECT_EQ(recording.wait(), 128 + number);
    EXPECT_THAT(recording.err(), HasSubstr("retrap: interrupted; "));
    const auto trace = traces::Reader::open(path("t.rtr"));
    ASSERT_TRUE(trace.has_value());
    ASSERT_TRUE(trace->end().has_value());
    EXPECT_EQ(trace->end()->reason, static_cast<std::uint8_t>(StopReason::Interrupted));
    EXPECT_GT(trace->end()->retired, 0U);
    const auto replayed =
        test::run_program(test::retrap_program(), {"replay", "t.rtr"}, folder_.path());
    EXPECT_EQ(replayed.status, 0) << replayed.err;
    std::filesystem::remove(path("t.rtr"));
  }
}

TEST_P(Signals, EndAReplay) {
  // So long that nobody waits for its end.
  Running recording(folder_,
                    {"record", "-o", "t.rtr", "--kernel", builtin_guest(GetParam(), "spin")});
  wait_for("t.rtr");
  std::this_thread::sleep_for(std::chrono::seconds(1));
  recording.send(SIGINT);
  ASSERT_EQ(recording.wait(), 130);
  Running replay(folder_, {"replay", "t.rtr", "--slice", "100"});
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  replay.send(SIGTERM);

  EXPECT_EQ(replay.wait(), 143) << replay.err();
  EXPECT_THAT(replay.err(), HasSubstr("retrap: interrupted; identical so far: "));
}

TEST_P(Signals, EndAGuestThatWaitsForATerminalAndGiveThatBack) {
  int outer = -1;
  int inner = -1;
  ASSERT_EQ(openpty(&outer, &inner, nullptr, nullptr, nullptr), 0);
  termios before{};
  ASSERT_EQ(tcgetattr(outer, &before), 0);
  Running recording(
      folder_,
      {"record", "-o", "t.rtr", "--console", "-", "--kernel", builtin_guest(GetParam(), "echo")},
      inner);
  wait_for("t.rtr");
  termios raw{};
  ASSERT_EQ(tcgetattr(outer, &raw), 0);
  EXPECT_NE(raw.c_lflag, before.c_lflag);
  recording.send(SIGTERM);

  EXPECT_EQ(recording.wait(), 143) << recording.err();
  termios after{};
  ASSERT_EQ(tcgetattr(outer, &after), 0);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_iflag, before.c_iflag);
  (void)close(outer);
  const auto replayed =
      test::run_program(test::retrap_program(), {"replay", "t.rtr"}, folder_.path());
  EXPECT_EQ(replayed.status, 0) << replayed.err;
}

TEST_P(Signals, LeaveARecordingThatCtrlBracketEndedIdentical) {
  int outer = -1;
  int inner = -1;
  ASSERT_EQ(openpty(&outer, &inner, nullptr, nullptr, nullptr), 0);
  for (const std::string guest : {"echo", "spin"}) {
    Running recording(
        folder_,
        {"record", "-o", "t.rtr", "--console", "-", "--kernel", builtin_guest(GetParam(), guest)},
        dup(inner));
    wait_for("t.rtr");
    ASSERT_EQ(write(outer, "ab", 2), 2);
    wait_a_while();
    ASSERT_EQ(write(outer, "\x1d", 1), 1);

    EXPECT_EQ(recording.wait(), 5) << recording.err();
    const auto replayed =
        test::run_program(test::retrap_program(), {"replay", "t.rtr"}, folder_.path());
    EXPECT_EQ(replayed.status, 0) << replayed.err;
    std::filesystem::remove(path("t.rtr"));
  }
  (void)close(outer);
  (void)close(inner);
}

TEST_P(Signals, KillTheSecondTime) {
  // Standard output is a pipe that is full and that nobody reads: the run never ends by itself.
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const std::string filling(static_cast<std::size_t>(fcntl(ends[1], F_GETPIPE_SZ)), 'x');
  ASSERT_EQ(write(ends[1], filling.data(), filling.size()), static_cast<ssize_t>(filling.size()));
  Running running(folder_, {"run", "--kernel", builtin_guest(GetParam(), "hello")}, -1, ends[1]);
  wait_a_while();
  running.send(SIGINT);
  wait_a_while();
  running.send(SIGINT);

  EXPECT_EQ(running.wait(), 1128 + SIGINT);
  (void)close(ends[0]);
}

}  // namespace
}  // namespace retrap
