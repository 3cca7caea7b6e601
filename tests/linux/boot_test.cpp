// Unmodified Debian kernels boot to userland and power off, the same way every time.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/linux/boot.h"

namespace retrap::test {
namespace {

class Linux : public ::testing::TestWithParam<std::string> {
 public:
  void SetUp() override {
    guest_ = linux_guest(GetParam());
    ASSERT_TRUE(guest_) << "no kernel for " << GetParam() << "; run ./dev guests";
  }

  /// Boots with 512 MiB and `more` on the command line.
  Boot boots(const std::vector<std::string>& more = {}) {
    return boot_linux(GetParam(), guest_->kernel, guest_->initrd, more);
  }

  std::optional<LinuxGuest> guest_;
};

TEST_P(Linux, ReachesUserlandAndPowersOff) {
  const Boot boot = boots();

  EXPECT_EQ(boot.program.status, kGuestPoweredOff) << boot.program.err;
  EXPECT_TRUE(boot.printed("USERLAND-UP")) << boot.program.out;
  EXPECT_TRUE(boot.printed("LOOP 200"));
  EXPECT_TRUE(boot.printed(guest_->busybox_sha256)) << "the guest read another busybox";
  EXPECT_TRUE(boot.printed("USERLAND-DONE"));
}

TEST_P(Linux, EndsInTheSameStateWhereverItIsStopped) {
  const Boot whole = boots();
  ASSERT_TRUE(whole.report.contains("digest")) << whole.program.err;

  // Another process, and then one that stops every so many instructions.
  const std::vector<std::vector<std::string>> ways = {
      {}, {"--slice", "1000003"}, {"--slice", "50021"}, {"--slice", "3011"}};
  for (const auto& way : ways) {
    SCOPED_TRACE(::testing::PrintToString(way));
    const Boot sliced = boots(way);

    EXPECT_EQ(sliced.report["digest"], whole.report["digest"]);
    EXPECT_EQ(sliced.report["instructions"], whole.report["instructions"]);
    EXPECT_EQ(sliced.program.out, whole.program.out);
  }
}

TEST_P(Linux, SeesNoDifferenceWhereMemoryIsPopulatedLazily) {
  const Boot eager = boots({"--populate", "eager"});
  const Boot lazy = boots({"--populate", "lazy"});

  ASSERT_TRUE(eager.report.contains("instructions")) << eager.program.err;
  EXPECT_EQ(lazy.report["instructions"], eager.report["instructions"]);
  EXPECT_EQ(lazy.program.out, eager.program.out);
}

INSTANTIATE_TEST_SUITE_P(Debian, Linux, ::testing::Values("x86_64", "aarch64", "riscv64"),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace retrap::test
