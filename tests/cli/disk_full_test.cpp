// A trace that cannot be written: said at once, or the run goes on and the trace is cut off.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "traces/reader.h"

namespace retrap {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class DiskFull : public ::testing::Test {
 public:
  [[nodiscard]] test::Finished record(const std::string& output) const {
    return test::run_program(
        test::retrap_program(),
        {"record", "-o", output, "--kernel", test::builtin_guest(ArchId::X86_64, "hello")},
        folder_.path(), 10);
  }
  test::TemporaryFolder folder_;
};

TEST_F(DiskFull, FromTheStartIsSaidAtOnce) {
  const auto refused = record("/dev/full");

  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_EQ(refused.err,
            "retrap: /dev/full: cannot write: No space left on device; name another file\n");
}

TEST_F(DiskFull, OnTheWayCutsTheTraceOffAndNotTheRun) {
  // Of kilobytes: the header fits, and not the exits.
  for (const int blocks : {1, 2}) {
    const std::string command = fmt::format(
        "ulimit -f {}; exec {} record -o t.rtr --record full --digest-every 1000 --kernel {} "
        "2>/dev/stdout | cat",
        blocks, test::retrap_program().string(), test::builtin_guest(ArchId::X86_64, "timer"));
    const auto recorded =
        test::run_program("/bin/bash", {"-c", "set -o pipefail; " + command}, folder_.path());
    EXPECT_EQ(recorded.status, 1) << recorded.out;
    if (recorded.out.find("powered-off") == std::string::npos) continue;  // no room for the header
    EXPECT_THAT(recorded.out,
                AllOf(HasSubstr("tick 5"), HasSubstr("retrap: powered-off; "),
                      ContainsRegex("retrap: t.rtr: cannot write: File too large; the trace is cut "
                                    "off at [0-9]+ bytes; record again")));
    const auto left = std::filesystem::file_size(folder_.path() / "t.rtr");
    EXPECT_THAT(recorded.out, HasSubstr(fmt::format("cut off at {} bytes", left)));
    const auto replayed =
        test::run_program(test::retrap_program(), {"replay", "t.rtr"}, folder_.path());
    EXPECT_EQ(replayed.status, 0) << replayed.err;
    EXPECT_THAT(replayed.err, HasSubstr("the recording was cut off here"));
  }
}

TEST_F(DiskFull, IsNotWhatAPipeOrAFolderIs) {
  ASSERT_EQ(mkfifo((folder_.path() / "pipe").c_str(), 0600), 0);
  for (const std::string name : {"pipe", "-"}) {
    const auto refused = record(name);
    EXPECT_EQ(refused.status, 1);
    EXPECT_EQ(refused.err,
              "retrap: -o " + name + ": is no file, and a trace is one; name a file\n");
  }
  EXPECT_EQ(record(".").err, "retrap: .: cannot write: Is a directory; name another file\n");
}

}  // namespace
}  // namespace retrap
