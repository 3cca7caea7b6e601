// What is read is never overwritten, under whatever name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/config_files.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace retrap {
namespace {

using ::testing::HasSubstr;

class SameFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy_file(test::builtin_guest(ArchId::Aarch64, "hello"), path("kernel"));
    std::filesystem::create_symlink("kernel", path("symlink"));
    std::filesystem::create_hard_link(path("kernel"), path("hardlink"));
    ASSERT_EQ(run({"record", "-o", "t.rtr", "--kernel", "kernel"}).status, 0);
    std::filesystem::create_symlink("t.rtr", path("t2.rtr"));
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_.path() / name).string();
  }
  [[nodiscard]] test::Finished run(const std::vector<std::string>& arguments) const {
    return test::run_program(test::retrap_program(), arguments, folder_.path());
  }
  /// And every file is as before.
  void refuses(const std::vector<std::string>& arguments, const std::string& says) {
    const std::string kernel = test::contents_of(path("kernel"));
    const std::string trace = test::contents_of(path("t.rtr"));
    const auto names = folder_.names();
    const auto refused = run(arguments);
    EXPECT_EQ(refused.status, 1) << says;
    EXPECT_EQ(refused.err, "retrap: " + says + "; name another file\n");
    EXPECT_EQ(test::contents_of(path("kernel")), kernel);
    EXPECT_EQ(test::contents_of(path("t.rtr")), trace);
    EXPECT_EQ(folder_.names(), names);
  }

  test::TemporaryFolder folder_;
};

TEST_F(SameFile, IsNoTraceOverTheKernel) {
  for (const std::string name : {"kernel", "./kernel", "symlink", "hardlink"}) {
    refuses({"record", "-o", name, "--kernel", "kernel"},
            "-o " + name + ": would overwrite the kernel");
    refuses({"record", "-o", "kernel", "--kernel", name}, "-o kernel: would overwrite the kernel");
    refuses({"run", "--json", name, "--kernel", "kernel"},
            "--json " + name + ": would overwrite the kernel");
    refuses({"record", "-o", "new.rtr", "--kernel", path("kernel"), "--initrd", name, "--json",
             "hardlink"},
            "--json hardlink: would overwrite the kernel");
  }
}

TEST_F(SameFile, IsNoReportOverTheConfigurationOrItsImages) {
  folder_.write("c.toml", test::sound_config_with("none", ""));
  folder_.write("demo.bin", std::string(4096, '\0'));
  refuses({"run", "c.toml", "--json", "c.toml"},
          "--json c.toml: would overwrite the configuration");
  refuses({"record", "c.toml", "-o", "demo.bin"}, "-o demo.bin: would overwrite the kernel");
}

TEST_F(SameFile, IsNotBothTraceAndReport) {
  const std::string here = folder_.path().filename().string();
  for (const std::string& name :
       {std::string("new"), std::string("./new"), "../" + here + "/new"}) {
    refuses({"record", "-o", "new", "--json", name, "--kernel", "kernel"},
            "--json " + name + ": would overwrite -o");
  }
}

TEST_F(SameFile, IsNoExportOverItsTrace) {
  for (const std::string name : {"t.rtr", "t2.rtr"}) {
    refuses({"export", "t.rtr", "--format", "csv", "-o", name},
            "-o " + name + ": would overwrite the trace");
    refuses({"dump", "t.rtr", "-o", name}, "-o " + name + ": would overwrite the trace");
    refuses({"stat", "t.rtr", "-o", name}, "-o " + name + ": would overwrite the trace");
    refuses({"report", "t.rtr", "-o", name}, "-o " + name + ": would overwrite the trace");
  }
  std::filesystem::copy_file(path("t.rtr"), path("other.rtr"));
  refuses({"report", "t.rtr", "--diff", "other.rtr", "-o", "other.rtr"},
          "-o other.rtr: would overwrite the other trace");
  refuses({"export", "t.rtr", "--format", "lcov", "--elf", "kernel", "-o", "symlink"},
          "-o symlink: would overwrite the guest of --elf");
}

TEST_F(SameFile, MayBeNoFileAtAll) {
  EXPECT_EQ(run({"record", "-o", "/dev/null", "--json", "/dev/null", "--kernel", "kernel"}).status,
            0);
}

}  // namespace
}  // namespace retrap
