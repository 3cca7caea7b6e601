// Standard output for the guest, standard error for us.
#include "sim/cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "vmm/config_check.h"

namespace retrap::cli {

namespace {

/// https://no-color.org: any value that is not empty.
bool uses_color() {
  const char* const refused = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  return (refused == nullptr || *refused == '\0') && terminal != nullptr &&
         std::string_view(terminal) != "dumb" && isatty(STDERR_FILENO) == 1;
}

}  // namespace

void complain(std::string_view message) {
  const std::string_view name = uses_color() ? "\x1b[1;31mretrap:\x1b[0m" : "retrap:";
  std::string out;
  while (!message.empty()) {
    const std::string_view line = message.substr(0, message.find('\n'));
    message.remove_prefix(std::min(message.size(), line.size() + 1));
    out += fmt::format("{} {}\n", name, printable(line));
  }
  (void)std::fwrite(out.data(), 1, out.size(), stderr);
}

std::string harmless(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos) break;
    out += '\n';
    text.remove_prefix(end + 1);
  }
  return out;
}

bool shows_progress() {
  return isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) == 0;
}

void show_progress(std::string_view text) {
  fmt::print(stderr, "\r\x1b[K{}", text);
}

StandardOutput::StandardOutput() : immediate_(isatty(STDOUT_FILENO) == 1) {}

void StandardOutput::put(char byte) {
  constexpr std::size_t kBlock = 4096;
  held_.push_back(byte);
  last_ = byte;
  if (immediate_ || held_.size() >= kBlock) (void)flush();
}

bool StandardOutput::flush() {
  (void)std::fwrite(held_.data(), 1, held_.size(), stdout);
  held_.clear();
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

}  // namespace retrap::cli
