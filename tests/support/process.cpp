// Runs a program and keeps what it says.
#include "tests/support/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "vmm/base/check.h"

namespace retrap::test {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void become(const fs::path& program, const std::vector<std::string>& arguments,
                         const fs::path& folder, const fs::path& out, const fs::path& err,
                         unsigned seconds) {
  constexpr int kNew = O_WRONLY | O_CREAT | O_TRUNC;
  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int in_file = open("/dev/null", O_RDONLY);
  const int out_file = open(out.c_str(), kNew, 0600);
  const int err_file = open(err.c_str(), kNew, 0600);
  if (dup2(in_file, 0) < 0 || dup2(out_file, 1) < 0 || dup2(err_file, 2) < 0) _exit(126);
  if (chdir(folder.c_str()) != 0) _exit(126);
  alarm(seconds);
  execv(argv[0], argv.data());
  _exit(127);
}

}  // namespace

Finished run_program(const fs::path& program, const std::vector<std::string>& arguments,
                     const fs::path& folder, unsigned seconds) {
  const fs::path out = folder.string() + ".out";
  const fs::path err = folder.string() + ".err";
  const pid_t child = fork();
  RETRAP_CHECK(child >= 0, "fork failed");
  if (child == 0) become(program, arguments, folder, out, err, seconds);
  int status = 0;
  RETRAP_CHECK(waitpid(child, &status, 0) == child, "waitpid failed");
  Finished finished;
  finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  finished.out = contents_of(out);
  finished.err = contents_of(err);
  fs::remove(out);
  fs::remove(err);
  return finished;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::path(::testing::TempDir()) / "retrap-test-XXXXXX").string();
  RETRAP_CHECK(mkdtemp(name.data()) != nullptr, "mkdtemp {} failed", name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void TemporaryFolder::write(const std::string& name, const std::string& bytes) const {
  std::ofstream(path_ / name, std::ios::binary) << bytes;
}

std::vector<std::string> TemporaryFolder::names() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path_)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string contents_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace retrap::test
