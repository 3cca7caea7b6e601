// Unmodified Debian kernels and their own virtio drivers read the entropy device: what they read is
// a function of the seed.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/linux/boot.h"
#include "tests/linux/initramfs.h"

namespace retrap::test {
namespace {

constexpr std::string_view kReadsEntropy = R"sh(#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox insmod /virtio_mmio.ko
/bin/busybox insmod /virtio-rng.ko
/bin/busybox echo "RNG $(/bin/busybox cat /sys/class/misc/hw_random/rng_current)"
/bin/busybox echo "BYTES $(/bin/busybox head -c 32 /dev/hwrng | /bin/busybox sha256sum)"
/bin/busybox echo "MORE $(/bin/busybox dd if=/dev/hwrng bs=5000 count=3 | /bin/busybox sha256sum)"
/bin/busybox grep virtio /proc/interrupts
/bin/busybox echo "USERLAND-DONE"
/bin/busybox poweroff -f
)sh";

class EntropyOfLinux : public ::testing::TestWithParam<std::string> {
 public:
  void SetUp() override {
    guest_ = linux_guest(GetParam());
    ASSERT_TRUE(guest_) << "no kernel for " << GetParam() << "; run ./dev guests";
    ASSERT_TRUE(make_initramfs(guest_->initrd, kReadsEntropy, initrd(), guest_->entropy_modules))
        << "no modules for " << GetParam() << "; run ./dev guests";
  }

  [[nodiscard]] std::filesystem::path initrd() const { return folder_.path() / "initrd"; }

  /// Boots, and sees that the kernel has drawn from the device.
  Boot boots(const std::vector<std::string>& more = {}) {
    Boot boot = boot_linux(GetParam(), guest_->kernel, initrd(), more);
    EXPECT_EQ(boot.program.status, kGuestPoweredOff) << boot.program.err;
    EXPECT_TRUE(boot.printed("RNG virtio_rng.0")) << boot.program.out;
    EXPECT_TRUE(boot.printed("15000 bytes") || boot.printed("3+0 records in")) << boot.program.out;
    EXPECT_TRUE(boot.printed("virtio0")) << "no interrupt came";
    EXPECT_TRUE(boot.printed("USERLAND-DONE"));
    return boot;
  }

  /// The line that begins with `word`.
  static std::string line(const Boot& boot, const std::string& word) {
    const std::string& out = boot.program.out;
    const std::size_t at = out.find("\n" + word + " ");
    EXPECT_NE(at, std::string::npos) << out;
    return at == std::string::npos ? "" : out.substr(at + 1, out.find('\n', at + 1) - at - 1);
  }

  TemporaryFolder folder_;
  std::optional<LinuxGuest> guest_;
};

TEST_P(EntropyOfLinux, IsTheSameFromTheSameSeedWhereverItIsStopped) {
  const Boot whole = boots();
  const Boot sliced = boots({"--slice", "50021"});

  ASSERT_TRUE(whole.report.contains("digest")) << whole.program.err;
  EXPECT_EQ(sliced.report["digest"], whole.report["digest"]);
  EXPECT_EQ(sliced.report["instructions"], whole.report["instructions"]);
  EXPECT_EQ(sliced.program.out, whole.program.out);
}

TEST_P(EntropyOfLinux, IsAnotherFromAnotherSeed) {
  const Boot one = boots({"--seed", "1"});
  const Boot other = boots({"--seed", "2"});

  EXPECT_NE(line(one, "BYTES"), line(other, "BYTES"));
  EXPECT_NE(line(one, "MORE"), line(other, "MORE"));
}

TEST_P(EntropyOfLinux, IsReadAgainInAReplay) {
  const std::string trace = (folder_.path() / "boot.rtr").string();
  const Boot recorded = boots({"--seed", "3", "-o", trace});

  const Finished replayed =
      run_program(retrap_program(), {"replay", trace}, folder_.path(), kSecondsAtMost);

  EXPECT_EQ(replayed.status, kGuestPoweredOff) << replayed.err;
}

INSTANTIATE_TEST_SUITE_P(Debian, EntropyOfLinux, ::testing::Values("x86_64", "aarch64", "riscv64"),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace retrap::test
