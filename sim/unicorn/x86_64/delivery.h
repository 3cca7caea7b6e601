// Delivers interrupts and exceptions through the guest's IVT or IDT (APM volume 2, chapter 8).
#pragma once

#include "sim/unicorn/x86_64/linear_memory.h"

namespace retrap::unicorn::x86_64 {

/// An event on its way. RIP is at the instruction that raised it; `length` is what the saved RIP
/// lies behind that (INT n, traps).
struct PendingEvent {
  Event event;
  std::uint8_t length = 0;
  friend bool operator==(const PendingEvent&, const PendingEvent&) = default;
};

enum class Delivered : std::uint8_t {
  Done,
  NestedFault,  ///< LinearMemory::fault() says where; `event` is what to deliver again
  Shutdown,     ///< a fault while #DF was delivered
  Unmodelled,   ///< a task gate
};

/// Delivers `event`, with promotion to #DF and shutdown. `event` becomes what is being delivered
/// when something faults on the way.
[[nodiscard]] Delivered deliver(PendingEvent& event, Env& env, LinearMemory& memory);

}  // namespace retrap::unicorn::x86_64
