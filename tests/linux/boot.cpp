// Boots of unmodified Linux kernels through the real binary.
#include "tests/linux/boot.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <system_error>

#include "sim/testing.h"

namespace retrap::test {

namespace {

/// A trace of a boot, with its images: it replays when all else is gone.
class BootTrace {
 public:
  BootTrace() : path_(::testing::TempDir() + name()) {}
  BootTrace(BootTrace&&) = delete;
  ~BootTrace() {
    std::error_code ignored;
    if (!::testing::Test::HasFailure()) {
      std::filesystem::remove(path_, ignored);
    } else if (std::filesystem::exists(path_, ignored)) {
      std::fprintf(stderr, "run it again: %s replay %s\n", retrap_program().c_str(), path_.c_str());
    }
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  static std::string name() {
    static unsigned number = 0;
    std::string name = fmt::format("{}-boot-{}.rtr", retrap::testing::test_name(), ++number);
    for (char& c : name) {
      if (c == '/') c = '_';
    }
    return name;
  }

  std::string path_;
};

/// Those of the test that runs. They go where it ends, and it is known how.
class BootTraces final : public ::testing::EmptyTestEventListener {
 public:
  static std::vector<std::unique_ptr<BootTrace>>& all() {
    static std::vector<std::unique_ptr<BootTrace>> traces;
    static const bool listens = [] {
      ::testing::UnitTest::GetInstance()->listeners().Append(new BootTraces);
      return true;
    }();
    (void)listens;
    return traces;
  }
  void OnTestEnd(const ::testing::TestInfo&) override { all().clear(); }
};

}  // namespace

Boot boot_linux(const std::string& arch, const std::filesystem::path& kernel,
                const std::filesystem::path& initrd, const std::vector<std::string>& more) {
  const TemporaryFolder folder;
  const std::string json = (folder.path() / "report.json").string();
  std::vector<std::string> arguments = {
      "run",      "--arch", arch,     "--kernel", kernel.string(), "--initrd", initrd.string(),
      "--memory", "512M",   "--json", json};
  if (std::ranges::find(more, "-o") == more.end()) {
    auto& traces = BootTraces::all();
    traces.push_back(std::make_unique<BootTrace>());
    for (const std::string& argument :
         {std::string("-o"), traces.back()->path(), std::string("--record"), std::string("inputs"),
          std::string("--with-images")}) {
      arguments.push_back(argument);
    }
  }
  arguments.insert(arguments.end(), more.begin(), more.end());
  Boot boot{.program = run_program(retrap_program(), arguments, folder.path(), kSecondsAtMost)};
  boot.report = nlohmann::json::parse(contents_of(json), nullptr, /*allow_exceptions=*/false);
  return boot;
}

}  // namespace retrap::test
