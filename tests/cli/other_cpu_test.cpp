// A trace replays on a host CPU with other features: QEMU's user mode plays that host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "vmm/arch_id.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RETRAP_HAS_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define RETRAP_HAS_ASAN 1
#endif

namespace retrap {
namespace {

using test::Finished;
using ::testing::HasSubstr;

const std::filesystem::path kQemu = "/usr/bin/qemu-x86_64";

/// Why it cannot be tried here, or nothing.
std::string obstacle() {
#if !defined(__x86_64__)
  return "the host is not x86_64: qemu-x86_64 plays other models of that only";
#elif defined(RETRAP_HAS_ASAN)
  return "AddressSanitizer's shadow memory does not fit under QEMU's user mode";
#else
  return std::filesystem::exists(kQemu) ? "" : kQemu.string() + " is missing: ./dev setup";
#endif
}

class AHostWithAnotherCpu : public ::testing::TestWithParam<std::string> {
 public:
  void SetUp() override {
    if (const std::string why = obstacle(); !why.empty()) GTEST_SKIP() << why;
  }
  void expect_identical(ArchId arch, const std::string& guest) {
    SCOPED_TRACE(std::string(to_string(arch)) + " " + guest);
    const auto retrap = test::retrap_program();
    const Finished recorded =
        test::run_program(retrap,
                          {"record", "-o", "t.rtr", "--record", "full", "--digest-every", "100000",
                           "--kernel", test::builtin_guest(arch, guest)},
                          folder_.path());
    ASSERT_EQ(recorded.status, 0) << recorded.err;
    const Finished replayed = test::run_program(
        kQemu, {"-cpu", GetParam(), retrap.string(), "replay", "t.rtr"}, folder_.path(), 300);
    EXPECT_EQ(replayed.status, 0) << replayed.err;
    EXPECT_EQ(replayed.out, recorded.out);
    EXPECT_THAT(replayed.err, HasSubstr("retrap: identical: "));
  }

  test::TemporaryFolder folder_;
};

TEST_P(AHostWithAnotherCpu, ReplaysIdentically) {
  for (const ArchId arch : kAllArchs) {
    expect_identical(arch, "fpu");
    expect_identical(arch, "timer");
    expect_identical(arch, "paging");
  }
}

// FSIN and its kind are calculated by functions of the host's libm unless we prevent it.
TEST_P(AHostWithAnotherCpu, HasTheSameSines) {
  expect_identical(ArchId::X86_64, "x87");
}

INSTANTIATE_TEST_SUITE_P(Models, AHostWithAnotherCpu,
                         ::testing::Values("Nehalem", "Haswell", "EPYC"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace retrap
