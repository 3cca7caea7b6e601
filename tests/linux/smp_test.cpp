// Unmodified Debian kernels on four vCPUs: all of them come up, and every run with one seed is the
// same run.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/linux/boot.h"
#include "tests/linux/initramfs.h"

namespace retrap::test {
namespace {

constexpr std::string_view kInit = R"sh(#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox echo "CPUS $(/bin/busybox grep -c ^processor /proc/cpuinfo)"
/bin/busybox cat /proc/interrupts
for i in 1 2 3 4;
do /bin/busybox sha256sum /bin/busybox & done
wait
/bin/busybox echo "USERLAND-DONE"
/bin/busybox poweroff -f
)sh";

class SmpLinux : public ::testing::TestWithParam<std::string> {
 public:
  void SetUp() override {
    guest_ = linux_guest(GetParam());
    ASSERT_TRUE(guest_) << "no kernel for " << GetParam() << "; run ./dev guests";
    ASSERT_TRUE(make_initramfs(guest_->initrd, kInit, initrd()));
  }

  [[nodiscard]] std::filesystem::path initrd() const { return folder_.path() / "initrd"; }

  Boot boots(std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--vcpus", "4"});
    return boot_linux(GetParam(), guest_->kernel, initrd(), more);
  }

  void expect_four_cpus(const Boot& boot) const {
    EXPECT_EQ(boot.program.status, kGuestPoweredOff) << boot.program.err;
    EXPECT_TRUE(boot.printed("CPUS 4")) << boot.program.out;
    EXPECT_TRUE(boot.printed(guest_->busybox_sha256));
    EXPECT_TRUE(boot.printed("USERLAND-DONE"));
  }

  TemporaryFolder folder_;
  std::optional<LinuxGuest> guest_;
};

TEST_P(SmpLinux, RunsOnFourCpusAndEndsInTheSameStateWhereverItIsStopped) {
  const Boot whole = boots();
  expect_four_cpus(whole);
  ASSERT_TRUE(whole.report.contains("digest")) << whole.program.err;

  const std::vector<std::vector<std::string>> ways = {{}, {"--slice", "50021"}};
  for (const auto& way : ways) {
    SCOPED_TRACE(::testing::PrintToString(way));
    const Boot again = boots(way);

    EXPECT_EQ(again.report["digest"], whole.report["digest"]);
    EXPECT_EQ(again.program.out, whole.program.out);
  }
}

TEST_P(SmpLinux, InterleavesInAnotherWayFromAnotherSeed) {
  const Boot one = boots({"--seed", "1"});
  const Boot other = boots({"--seed", "2"});

  expect_four_cpus(one);
  expect_four_cpus(other);
  EXPECT_NE(one.report["digest"], other.report["digest"]);
}

INSTANTIATE_TEST_SUITE_P(Debian, SmpLinux, ::testing::Values("x86_64", "aarch64", "riscv64"),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace retrap::test
