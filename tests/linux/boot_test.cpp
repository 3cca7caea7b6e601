// Unmodified Debian kernels boot to userland and power off, the same way every time.
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace retrap::test {
namespace {

constexpr unsigned kSecondsAtMost = 280;
constexpr int kGuestPoweredOff = 0;

/// What one boot showed.
struct Boot {
  Finished program;
  nlohmann::json report = {};  ///< what --json wrote; null where it wrote nothing
};

class Linux : public ::testing::TestWithParam<std::string> {
 public:
  void SetUp() override {
    guest_ = linux_guest(GetParam());
    ASSERT_TRUE(guest_) << "no kernel for " << GetParam() << "; run ./dev guests";
  }

  /// Boots with 512 MiB and `more` on the command line.
  Boot boots(const std::vector<std::string>& more = {}) {
    const TemporaryFolder folder;
    const std::string json = (folder.path() / "report.json").string();
    std::vector<std::string> arguments = {"run",
                                          "--arch",
                                          GetParam(),
                                          "--kernel",
                                          guest_->kernel.string(),
                                          "--initrd",
                                          guest_->initrd.string(),
                                          "--memory",
                                          "512M",
                                          "--json",
                                          json};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Boot boot{.program = run_program(retrap_program(), arguments, folder.path(), kSecondsAtMost)};
    boot.report = nlohmann::json::parse(contents_of(json), nullptr, /*allow_exceptions=*/false);
    return boot;
  }

  std::optional<LinuxGuest> guest_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_P(Linux, ReachesUserlandAndPowersOff) {
  const Boot boot = boots();

  EXPECT_EQ(boot.program.status, kGuestPoweredOff) << boot.program.err;
  EXPECT_TRUE(has(boot.program.out, "USERLAND-UP")) << boot.program.out;
  EXPECT_TRUE(has(boot.program.out, "LOOP 200"));
  EXPECT_TRUE(has(boot.program.out, guest_->busybox_sha256)) << "the guest read another busybox";
  EXPECT_TRUE(has(boot.program.out, "USERLAND-DONE"));
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
