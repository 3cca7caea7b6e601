// For GoogleTest: runs that are recorded and replayed by themselves. Not part of the library:
// whoever includes it brings GoogleTest.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "sim/record.h"
#include "sim/replay.h"
#include "traces/reader.h"

namespace retrap::testing {

/// "Suite.Name" of the test that runs.
inline std::string test_name() {
  const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
  if (test == nullptr) return "test";
  return fmt::format("{}.{}", test->test_suite_name(), test->name());
}

/// Leaves a trace where a failed test can be looked at, and gives its path. Those of one test are
/// numbered: "Suite.Name.rtr", "Suite.Name-2.rtr", ...
inline std::string leave_trace(const traces::ByteVector& bytes) {
  static std::string last;
  static unsigned number = 0;
  std::string name = test_name();
  number = name == last ? number + 1 : 1;
  last = name;
  for (char& c : name) {
    if (c == '/') c = '_';
  }
  if (number > 1) name += fmt::format("-{}", number);
  std::string path = fmt::format("{}{}.rtr", ::testing::TempDir(), name);
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return "(nowhere: " + path + " cannot be written)";
  (void)std::fwrite(bytes.data(), 1, bytes.size(), file);
  (void)std::fclose(file);
  return path;
}

/// The command that runs this test alone.
inline std::string command_of_test() {
  std::error_code unknown;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  return fmt::format("{} --gtest_also_run_disabled_tests --gtest_filter={}",
                     unknown ? std::string("the test program") : program.string(), test_name());
}

/// What a failed test leaves: one line to reproduce it, one to look at it.
inline std::string left_behind(const traces::ByteVector& bytes) {
  return fmt::format("run it again: {}\nlook at it: retrap dump {}\n", command_of_test(),
                     leave_trace(bytes));
}

struct RecordOptions {
  std::uint64_t digest_interval = 100'000;  ///< instructions
  const Images* images = nullptr;           ///< what resets load; may be null, outlives the run
  bool replays = true;                      ///< at the end, too
};

/// A machine whose runs are recorded, for the length of a test:
///
///     retrap::testing::RecordedRun run([] { return make_my_machine(); });
///     ASSERT_TRUE(run);
///     EXPECT_EQ(run.run().reason, StopReason::PoweredOff);
///     EXPECT_EQ(run.machine().console_of(run.machine().vm(0)), "hello\n");
///
/// Where the test fails meanwhile, the trace stays, and the command that runs the test again is
/// printed. Otherwise, in the end, the run is replayed on a second machine, and every exit, answer,
/// injection and digest is compared.
/// `make` gives a Result<std::unique_ptr<T>>; T is Machine, or has machine(). Typing and other
/// inputs go through Machine, so that they are recorded; VMs are there when the run begins.
template <class T>
class RecordedRun {
 public:
  using Make = std::function<Result<std::unique_ptr<T>>()>;

  explicit RecordedRun(Make make, const RecordOptions& options = {})
      : make_(std::move(make)), options_(options), failed_before_(::testing::Test::HasFailure()) {
    auto made = make_();
    if (made) {
      it_ = *std::move(made);
      start();
    } else {
      ADD_FAILURE() << made.error().message;
    }
  }
  RecordedRun(const RecordedRun&) = delete;
  RecordedRun& operator=(const RecordedRun&) = delete;
  ~RecordedRun() {
    end();
    if (!it_ || is_done_) return;
    if (!::testing::Test::HasFailure()) {
      if (!options_.replays) return;
      EXPECT_TRUE(replays());
    } else if (!failed_before_) {
      std::fprintf(stderr, "%s", left_behind(bytes_).c_str());
    }
  }

  /// Whether the machine could be made.
  [[nodiscard]] explicit operator bool() const { return it_ != nullptr; }
  [[nodiscard]] T& operator*() { return *it_; }
  [[nodiscard]] T* operator->() { return it_.get(); }
  [[nodiscard]] Machine& machine() { return machine_of(*it_); }
  /// Until end().
  [[nodiscard]] Recorder& recorder() { return *recorder_; }

  /// As Machine::run(); recorded until end().
  RunReport run(std::uint64_t max_instructions = kNever) {
    if (!recorder_) return machine().run(max_instructions);
    report_ = recorder_->run(max_instructions);
    return report_;
  }

  /// What recorder().run() came to, where somebody else called it.
  void ended(const RunReport& report) { report_ = report; }

  /// Nothing is recorded from here on; the machine may go on.
  void end() {
    if (!recorder_) return;
    const auto finished = recorder_->finish(report_);
    EXPECT_TRUE(finished) << finished.error().message;
    recorder_.reset();
  }

  /// Ends the recording, and replays it now.
  [[nodiscard]] ::testing::AssertionResult replays() {
    using ::testing::AssertionFailure;
    if (!it_) return AssertionFailure() << "there is no machine";
    end();
    is_done_ = true;
    const auto trace = traces::Reader::parse("the recorded run", bytes_);
    if (!trace) return AssertionFailure() << trace.error().message;
    auto second = make_();
    if (!second) return AssertionFailure() << second.error().message;
    Machine& machine = machine_of(**second);
    Replayer replayer(machine, *trace);
    for (std::size_t i = 0; options_.images != nullptr && i < machine.vm_num(); ++i) {
      replayer.set_images(machine.vm(i).id(), *options_.images);
    }
    const auto replayed = replayer.run();
    if (!replayed) return AssertionFailure() << replayed.error().message;
    if (replayed->outcome == ReplayReport::Outcome::Identical) {
      return ::testing::AssertionSuccess() << "identical: " << replayed->events << " events";
    }
    return AssertionFailure() << to_text(*replayed->divergence, "recorded", "replayed")
                              << left_behind(bytes_);
  }

  /// The trace, whole after end().
  [[nodiscard]] const traces::ByteVector& trace() const { return bytes_; }

 private:
  [[nodiscard]] static Machine& machine_of(T& it) {
    if constexpr (requires { it.machine(); }) {
      return it.machine();
    } else {
      return it;
    }
  }
  void start() {
    auto recorder = Recorder::start(machine(), std::make_unique<traces::MemorySink>(bytes_),
                                    {.program = "a test",
                                     .detail = traces::Detail::Full,
                                     .digest_interval = options_.digest_interval});
    if (recorder) {
      recorder_ = *std::move(recorder);
      report_.instructions = machine().clock().retired();
    } else {
      ADD_FAILURE() << recorder.error().message;
    }
  }

  Make make_;
  RecordOptions options_;
  bool failed_before_;
  bool is_done_ = false;
  traces::ByteVector bytes_;
  std::unique_ptr<T> it_;
  std::unique_ptr<Recorder> recorder_;  ///< null after end()
  RunReport report_;
};

template <class Make>
RecordedRun(Make, const RecordOptions& = {})
    -> RecordedRun<typename std::invoke_result_t<Make>::value_type::element_type>;

/// Makes a machine twice. Records the first with everything that `drive` does to it, replays that
/// on the second, and compares every exit, answer and digest.
///
///     EXPECT_TRUE(retrap::testing::replays(
///         [] { return make_my_machine(); },                       // as RecordedRun's
///         [](T& it, Recorder& recorder) { return recorder.run(); }));
///
/// Where the run resets a VM, `images` are those that it loads again. On failure the trace is left
/// behind, and the message says where and how to look.
template <class Make, class Drive>
[[nodiscard]] ::testing::AssertionResult replays(Make make, Drive drive,
                                                 std::uint64_t digest_interval = 100'000,
                                                 const Images* images = nullptr) {
  RecordedRun run(make, {.digest_interval = digest_interval, .images = images});
  if (!run) return ::testing::AssertionFailure() << "there is no machine";
  run.ended(drive(*run, run.recorder()));
  return run.replays();
}

}  // namespace retrap::testing
