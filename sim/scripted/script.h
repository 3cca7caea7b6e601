// What a scripted CPU plays: exits, one after the other, and how it emulates the faults among them.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "vmm/arch_vcpu.h"

namespace retrap::scripted {

/// One access that the emulation of a faulting instruction makes through the port.
using PortAccess = std::variant<exits::MmioRead, exits::MmioWrite>;

/// One exit of a script.
struct Step {
  ExitReason exit;
  std::uint64_t after = 0;  ///< instructions that retire before it
  /// For a NestedPageFault that the monitor has emulated: the accesses, and how it ends when the
  /// port takes them all.
  std::vector<PortAccess> accesses = {};
  Emulated emulated = Emulated::Retired;
  /// How often the exit comes again before the script goes on: a fault that nothing resolves.
  std::uint64_t repeats = 0;
};

using Script = std::vector<Step>;

// What the monitor did, in order.

/// complete(value).
struct Completed {
  std::uint64_t value;
  friend bool operator==(const Completed&, const Completed&) = default;
};
/// refuse().
struct Refused {
  friend bool operator==(const Refused&, const Refused&) = default;
};
/// inject_abort(fault).
struct Aborted {
  exits::NestedPageFault fault;
  friend bool operator==(const Aborted&, const Aborted&) = default;
};
/// A port access of an emulated instruction; reads have a value unless the port refused.
struct Accessed {
  GuestPhys addr;
  std::optional<std::uint64_t> value;
  friend bool operator==(const Accessed&, const Accessed&) = default;
};
/// set_return_value(value).
struct Returned {
  std::uint64_t value;
  friend bool operator==(const Returned&, const Returned&) = default;
};
/// answer_cpu_up(result).
struct CpuUpAnswered {
  CpuUpResult result;
  friend bool operator==(const CpuUpAnswered&, const CpuUpAnswered&) = default;
};
/// set_entry(entry, arg).
struct Entered {
  GuestPhys entry;
  std::uint64_t arg;
  friend bool operator==(const Entered&, const Entered&) = default;
};

using Answer =
    std::variant<Completed, Refused, Aborted, Accessed, Returned, CpuUpAnswered, Entered>;

}  // namespace retrap::scripted
