// The terminal's modes, and waiting for input.
#include "sim/cli/keyboard.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <utility>

#include "sim/cli/interruption.h"

namespace retrap::cli {

struct Keyboard::Saved {
  termios modes{};
};

namespace {

/// What a signal handler gives back; null where nothing was changed.
std::atomic<const termios*> before = nullptr;

}  // namespace

Keyboard::Keyboard() {
  auto saved = std::make_unique<Saved>();
  if (isatty(STDIN_FILENO) != 1 || tcgetattr(STDIN_FILENO, &saved->modes) != 0) return;
  termios raw = saved->modes;
  cfmakeraw(&raw);
  raw.c_oflag = saved->modes.c_oflag;
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return;
  saved_ = std::move(saved);
  before = &saved_->modes;
}

Keyboard::~Keyboard() {
  restore_terminal();
  before = nullptr;
}

void Keyboard::restore_terminal() {
  const termios* const modes = before;
  if (modes == nullptr) return;
  (void)tcsetattr(STDIN_FILENO, TCSANOW, modes);
}

std::string Keyboard::read(std::chrono::milliseconds most) {
  if (over_) return {};
  std::array<pollfd, 2> sources = {
      pollfd{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
      pollfd{.fd = Interruption::descriptor(), .events = POLLIN, .revents = 0}};
  if (poll(sources.data(), sources.size(), static_cast<int>(most.count())) <= 0) return {};
  if (sources[0].revents == 0) return {};
  std::array<char, 256> bytes{};
  const ssize_t got = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  if (got <= 0) {
    over_ = true;
    return {};
  }
  const std::string text(bytes.data(), static_cast<std::size_t>(got));
  constexpr char kEscape = 0x1d;
  if (saved_ != nullptr && text.find(kEscape) != std::string::npos) wants_out_ = true;
  return text;
}

}  // namespace retrap::cli
