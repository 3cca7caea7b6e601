// Passes exits on, and keeps the last one.
#pragma once

#include "vmm/arch_vcpu.h"

namespace retrap {

/// What run_with() of an architecture has in common: each exit goes to the handler, and the one
/// after which it wants no more is the result.
class ExitRelay {
 public:
  /// The handler outlives the relay.
  explicit ExitRelay(ExitHandler& handler) : handler_(handler) {}

  /// False: `exit` is last(). By reference, for a copy of what has just been written piece by piece
  /// is slow.
  [[nodiscard]] bool goes_on_after(ExitReason& exit) {
    if (handler_.handle(exit)) return true;
    last_ = exit;
    return false;
  }
  [[nodiscard]] bool goes_on_after(ExitReason&& exit) { return goes_on_after(exit); }

  [[nodiscard]] const ExitReason& last() const { return last_; }

 private:
  ExitHandler& handler_;
  ExitReason last_ = exits::Nothing{};
};

}  // namespace retrap
