// What real-time clocks show: one date at virtual time zero, whatever the clock.
#pragma once

#include <cstdint>

#include "vmm/device.h"

namespace retrap {

inline constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

/// Seconds since 1970 at virtual time zero: 2026-01-01 00:00:00 UTC, a Thursday. Fixed, so that
/// every run has the same time of day.
inline constexpr std::uint64_t kEpochSeconds = 1'767'225'600;

/// The virtual time `wait_ns` after `now_ns`; kNever where that is beyond the end of time.
[[nodiscard]] constexpr std::uint64_t time_after(std::uint64_t now_ns, std::uint64_t wait_ns) {
  return wait_ns < kNever - now_ns ? now_ns + wait_ns : kNever;
}

}  // namespace retrap
