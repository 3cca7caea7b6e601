// What a trace says reaches nobody's terminal as it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "traces/writer.h"

namespace retrap {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kEvil = "evil\x1b[2J\x07\r";

/// What the program shows at a terminal.
std::string shown(const test::TemporaryFolder& folder, std::vector<std::string> words) {
  const std::string program = test::retrap_program().string();
  words.insert(words.begin(), program);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int outer = -1;
  const pid_t child = forkpty(&outer, nullptr, nullptr, nullptr);
  if (child == 0) {
    (void)setenv("TERM", "dumb", 1);
    if (chdir(folder.path().c_str()) == 0) execv(program.c_str(), argv.data());
    _exit(127);
  }
  std::string text;
  std::array<char, 4096> part{};
  for (ssize_t got = 0; (got = read(outer, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  (void)waitpid(child, nullptr, 0);
  (void)close(outer);
  // Line feeds come with a carriage return from a terminal.
  for (std::size_t at = 0; (at = text.find("\r\n", at)) != std::string::npos;) text.erase(at, 1);
  return text;
}

void write(const test::TemporaryFolder& folder, const std::string& name, std::uint64_t seed) {
  const std::string evil(kEvil);
  traces::ByteVector bytes;
  auto writer =
      traces::Writer::create(std::make_unique<traces::MemorySink>(bytes),
                             {.program = evil + name,
                              .detail = traces::Detail::Exits,
                              .seed = seed,
                              .configs = {evil},
                              .images = {{.role = evil, .path = evil, .size = 1, .digest = seed}},
                              .notes = {{evil, evil}},
                              .boards = {{evil, seed}}})
          .value();
  writer.add(traces::InputRecord{.input = traces::ConsoleInput{evil + name}});
  ASSERT_TRUE(writer.finish({.reason = 2, .detail = evil + name}).has_value());
  folder.write(name, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

TEST(Terminal, GetsNoControlCharactersOfATrace) {
  const test::TemporaryFolder folder;
  write(folder, "a.rtr", 1);
  write(folder, "b.rtr", 2);
  for (const std::vector<std::string>& words : {std::vector<std::string>{"replay", "a.rtr"},
                                                {"replay", "a.rtr", "--exits-only"},
                                                {"diff", "a.rtr", "b.rtr"},
                                                {"diff", "a.rtr", "b.rtr", "--ignore", "input"},
                                                {"stat", "a.rtr"},
                                                {"dump", "a.rtr"},
                                                {"dump", "a.rtr", "--json"},
                                                {"export", "a.rtr", "--format", "csv"},
                                                {"export", "a.rtr", "--format", "perfetto"},
                                                {"replay", "no\x1b[2J.rtr"}}) {
    const std::string text = shown(folder, words);
    SCOPED_TRACE(words[0]);
    EXPECT_FALSE(text.empty());
    for (const char c : {'\x1b', '\x07', '\r'}) EXPECT_EQ(text.find(c), std::string::npos) << text;
  }
  EXPECT_THAT(shown(folder, {"diff", "a.rtr", "b.rtr"}), HasSubstr("evil\\x1b[2J"));
}

}  // namespace
}  // namespace retrap
