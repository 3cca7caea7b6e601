// Signal handlers: they only store, write to a pipe, and give the terminal back.
#include "sim/cli/interruption.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sim/cli/keyboard.h"

namespace retrap::cli {
namespace {

constexpr std::array<int, 2> kSignals = {SIGINT, SIGTERM};

// What a handler can reach.
std::atomic<bool> has_come = false;
std::atomic<int> which = 0;
std::array<int, 2> wake_up = {-1, -1};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  const int error = errno;
  if (has_come.exchange(true)) {
    Keyboard::restore_terminal();
    (void)::signal(signal, SIG_DFL);
    (void)raise(signal);  // when this handler has returned
  } else {
    which = signal;
    constexpr char kByte = 0;
    if (wake_up[1] >= 0 && write(wake_up[1], &kByte, 1) < 0) wake_up[1] = -1;
  }
  errno = error;
}

}  // namespace

Interruption::Interruption() {
  has_come = false;
  which = 0;
  if (pipe2(wake_up.data(), O_CLOEXEC | O_NONBLOCK) != 0) wake_up = {-1, -1};
  for (const int number : kSignals) {
    struct sigaction old = {};
    if (sigaction(number, nullptr, &old) != 0 || old.sa_handler == SIG_IGN) continue;
    struct sigaction ours = {};
    ours.sa_handler = on_signal;
    ours.sa_flags = SA_RESTART;  // of writes; poll() comes back
    (void)sigaction(number, &ours, nullptr);
  }
}

Interruption::~Interruption() {
  for (const int number : kSignals) {
    struct sigaction now = {};
    if (sigaction(number, nullptr, &now) != 0 || now.sa_handler != on_signal) continue;
    (void)::signal(number, SIG_DFL);
  }
  for (int& descriptor : wake_up) {
    if (descriptor >= 0) (void)close(descriptor);
    descriptor = -1;
  }
}

const std::atomic<bool>* Interruption::flag() {
  return &has_come;
}

int Interruption::descriptor() {
  return wake_up[0];
}

std::optional<Status> Interruption::status() {
  if (!has_come) return std::nullopt;
  return which == SIGTERM ? Status::Terminated : Status::Interrupted;
}

}  // namespace retrap::cli
