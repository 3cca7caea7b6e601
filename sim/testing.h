// For GoogleTest: a run that records and replays by itself. Not part of the library: whoever
// includes it brings GoogleTest.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "sim/record.h"
#include "sim/replay.h"
#include "traces/reader.h"

namespace retrap::testing {

/// Leaves a trace where a failed test can be looked at, and gives its path.
inline std::string leave_trace(const traces::ByteVector& bytes) {
  const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string name = test == nullptr ? std::string("test")
                                     : fmt::format("{}.{}", test->test_suite_name(), test->name());
  for (char& c : name) {
    if (c == '/') c = '_';
  }
  std::string path = fmt::format("{}{}.rtr", ::testing::TempDir(), name);
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return "(nowhere: " + path + " cannot be written)";
  (void)std::fwrite(bytes.data(), 1, bytes.size(), file);
  (void)std::fclose(file);
  return path;
}

/// Makes a machine twice. Records the first with everything that `drive` does to it, replays that
/// on the second, and compares every exit, answer, injection and digest.
///
///     EXPECT_TRUE(retrap::testing::replays(
///         [] { return make_my_machine(); },                       // Result<std::unique_ptr<T>>
///         [](T& it, Recorder& recorder) { return recorder.run(); }));
///
/// Where the run resets a VM, `images` are those that it loads again.
/// T is Machine, or has machine(). Typing and other inputs go through Machine, so that they are
/// recorded. On failure the trace is left behind, and the message says where and how to look.
template <class Make, class Drive>
[[nodiscard]] ::testing::AssertionResult replays(Make make, Drive drive,
                                                 std::uint64_t digest_interval = 100'000,
                                                 const Images* images = nullptr) {
  const auto machine_of = [](auto& it) -> Machine& {
    if constexpr (requires { it.machine(); }) {
      return it.machine();
    } else {
      return it;
    }
  };
  auto first = make();
  if (!first) return ::testing::AssertionFailure() << first.error().message;
  traces::ByteVector bytes;
  {
    auto recorder = Recorder::start(
        machine_of(**first), std::make_unique<traces::MemorySink>(bytes),
        {.program = "a test", .detail = traces::Detail::Full, .digest_interval = digest_interval});
    if (!recorder) return ::testing::AssertionFailure() << recorder.error().message;
    const RunReport report = drive(**first, **recorder);
    if (const auto finished = (*recorder)->finish(report); !finished) {
      return ::testing::AssertionFailure() << finished.error().message;
    }
  }
  const auto trace = traces::Reader::parse("the recorded run", bytes);
  if (!trace) return ::testing::AssertionFailure() << trace.error().message;
  auto second = make();
  if (!second) return ::testing::AssertionFailure() << second.error().message;
  Replayer replayer(machine_of(**second), *trace);
  Machine& machine = machine_of(**second);
  for (std::size_t i = 0; images != nullptr && i < machine.vm_num(); ++i) {
    replayer.set_images(machine.vm(i).id(), *images);
  }
  const auto replayed = replayer.run();
  if (!replayed) return ::testing::AssertionFailure() << replayed.error().message;
  if (replayed->outcome == ReplayReport::Outcome::Identical) {
    return ::testing::AssertionSuccess() << "identical: " << replayed->events << " events";
  }
  const std::string path = leave_trace(bytes);
  return ::testing::AssertionFailure() << to_text(*replayed->divergence, "recorded", "replayed")
                                       << "look at it: retrap dump " << path << "\n";
}

}  // namespace retrap::testing
