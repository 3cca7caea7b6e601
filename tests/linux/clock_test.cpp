// Unmodified Debian kernels and their own drivers: the board's real-time clock sets theirs, they
// set it, and its alarm interrupts them.
#include <gtest/gtest.h>

#include <string>

#include "tests/linux/boot.h"
#include "tests/linux/initramfs.h"

namespace retrap::test {
namespace {

constexpr std::string_view kUsesTheClock = R"sh(#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
cd /sys/class/rtc/rtc0
/bin/busybox echo "CLOCK $(/bin/busybox cat name hctosys)"
/bin/busybox echo "AHEAD $(($(/bin/busybox cat since_epoch) - $(/bin/busybox date +%s)))"
if [ -e wakealarm ]; then
  /bin/busybox echo +2 > wakealarm
  /bin/busybox sleep 1
  /bin/busybox echo "BEFORE $(/bin/busybox grep -c . wakealarm)"
  /bin/busybox sleep 2
  /bin/busybox echo "AFTER $(/bin/busybox grep -c . wakealarm)"
fi
/bin/busybox grep -i rtc /proc/interrupts
/bin/busybox date -u -s "2030-01-02 03:04:05"
/bin/busybox hwclock -u -w
/bin/busybox echo "SET $(/bin/busybox cat since_epoch)"
/bin/busybox echo "USERLAND-DONE"
/bin/busybox poweroff -f
)sh";

struct Board {
  std::string arch;
  std::string driver;
  bool wakes;  ///< its driver offers the alarm in sysfs
};

void PrintTo(const Board& board, std::ostream* out) {
  *out << board.arch;
}

class ClockOfLinux : public ::testing::TestWithParam<Board> {
 public:
  void SetUp() override {
    guest_ = linux_guest(GetParam().arch);
    ASSERT_TRUE(guest_) << "no kernel for " << GetParam().arch << "; run ./dev guests";
    ASSERT_TRUE(make_initramfs(guest_->initrd, kUsesTheClock, initrd()));
  }

  [[nodiscard]] std::filesystem::path initrd() const { return folder_.path() / "initrd"; }

  Boot boots(const std::vector<std::string>& more = {}) {
    return boot_linux(GetParam().arch, guest_->kernel, initrd(), more);
  }

  TemporaryFolder folder_;
  std::optional<LinuxGuest> guest_;
};

TEST_P(ClockOfLinux, IsSetFromTheBoardAndHearsItsAlarm) {
  const Boot boot = boots();

  EXPECT_EQ(boot.program.status, kGuestPoweredOff) << boot.program.err;
  EXPECT_TRUE(boot.printed("setting system clock to 2026-01-01T00:00:0")) << boot.program.out;
  EXPECT_TRUE(boot.printed("CLOCK " + GetParam().driver)) << boot.program.out;
  EXPECT_TRUE(boot.printed("AHEAD 0") || boot.printed("AHEAD 1")) << boot.program.out;
  EXPECT_EQ(boot.printed("BEFORE 1"), GetParam().wakes) << boot.program.out;
  EXPECT_EQ(boot.printed("AFTER 0"), GetParam().wakes) << boot.program.out;
  EXPECT_TRUE(boot.printed("SET 189355344")) << boot.program.out;
  EXPECT_TRUE(boot.printed("USERLAND-DONE"));
}

TEST_P(ClockOfLinux, IsTheSameWhereverItIsStopped) {
  const Boot whole = boots();
  const Boot sliced = boots({"--slice", "50021"});

  ASSERT_TRUE(whole.report.contains("digest")) << whole.program.err;
  EXPECT_EQ(sliced.report["digest"], whole.report["digest"]);
  EXPECT_EQ(sliced.program.out, whole.program.out);
}

INSTANTIATE_TEST_SUITE_P(Debian, ClockOfLinux,
                         ::testing::Values(Board{"x86_64", "rtc_cmos", true},
                                           Board{"aarch64", "rtc-pl031", true},
                                           Board{"riscv64", "goldfish_rtc", false}),
                         [](const auto& param) { return param.param.arch; });

}  // namespace
}  // namespace retrap::test
