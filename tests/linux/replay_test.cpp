// Boots of Linux on four vCPUs are recorded in a few bytes an exit, and come back as they were:
// with guest and monitor, and each of them alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/linux/boot.h"
#include "traces/reader.h"

namespace retrap::test {
namespace {

using ::testing::HasSubstr;

constexpr unsigned kSeconds = 300;

class RecordedLinux : public ::testing::TestWithParam<std::string> {
 public:
  Finished replays(const std::vector<std::string>& how) {
    std::vector<std::string> arguments = {"replay", trace()};
    arguments.insert(arguments.end(), how.begin(), how.end());
    return run_program(retrap_program(), arguments, folder_.path(), kSeconds);
  }
  [[nodiscard]] std::string trace() const { return (folder_.path() / "boot.rtr").string(); }

  TemporaryFolder folder_;
};

TEST_P(RecordedLinux, ReplaysOnFourCpusWholeAndInHalves) {
  const auto guest = linux_guest(GetParam());
  ASSERT_TRUE(guest) << "no kernel for " << GetParam() << "; run ./dev guests";
  const Boot boot = boot_linux(GetParam(), guest->kernel, guest->initrd,
                               {"--vcpus", "4", "-o", trace(), "--record", "full"});
  ASSERT_EQ(boot.program.status, 0) << boot.program.err;
  EXPECT_TRUE(boot.printed("USERLAND-DONE"));

  const auto recorded = traces::Reader::open(trace());
  ASSERT_TRUE(recorded) << recorded.error().message;
  std::uint64_t exits = 0;
  for (const auto& block : recorded->blocks()) {
    if (block.frame.layer == traces::Layer::Exits) exits += block.frame.stored;
  }
  EXPECT_LE(exits, 6 * recorded->end()->exits);

  for (const std::vector<std::string>& how : std::vector<std::vector<std::string>>{
           {"--slice", "50021"}, {"--guest-only"}, {"--exits-only"}}) {
    const Finished replayed = replays(how);
    EXPECT_EQ(replayed.status, 0) << ::testing::PrintToString(how) << replayed.err;
    EXPECT_THAT(replayed.err, HasSubstr("identical: "));
  }
}

INSTANTIATE_TEST_SUITE_P(Debian, RecordedLinux, ::testing::Values("x86_64", "aarch64", "riscv64"),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace retrap::test
