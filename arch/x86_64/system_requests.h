// What the guest asked of the whole machine through a device: off, or anew.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/exit.h"

namespace retrap::x86_64 {

/// Written by devices, taken by the vCPU whose access it was as soon as that access is done.
class SystemRequests {
 public:
  void power_off() { pending_ = exits::SystemDown{}; }
  void restart() { pending_ = exits::SystemReset{}; }

  [[nodiscard]] std::optional<ExitReason> take() {
    const std::optional<ExitReason> taken = pending_;
    pending_.reset();
    return taken;
  }
  [[nodiscard]] bool any() const { return pending_.has_value(); }
  void reset() { pending_.reset(); }

 private:
  std::optional<ExitReason> pending_;
};

}  // namespace retrap::x86_64
