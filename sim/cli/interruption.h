// SIGINT and SIGTERM end a run in order.
#pragma once

#include <atomic>
#include <optional>

#include "sim/cli/status.h"

namespace retrap::cli {

/// While there is one (at most one at a time), the first SIGINT or SIGTERM is only noted, unless
/// they are ignored; the second one kills the process at once, with the terminal as it was.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// For Machine::set_stop_flag().
  [[nodiscard]] static const std::atomic<bool>* flag();
  /// Readable once a signal has come: for poll(2). -1 where there is none.
  [[nodiscard]] static int descriptor();
  /// What a process ends with after the signal that has come; nothing where none has.
  [[nodiscard]] static std::optional<Status> status();
};

}  // namespace retrap::cli
