// What the monitor needs from an interrupt controller, whichever the architecture has.
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/ids.h"

namespace retrap {

/// GICv3, PLIC, or IO-APIC + local APICs + PIC: the board owns it and wires its outputs to vCPUs.
class InterruptController {
 public:
  virtual ~InterruptController() = default;

  /// Sets the level of input `line` (SPI number + 32, PLIC source, GSI). Lines nobody has are
  /// refused by `has_line` when the device is added; here they are ignored.
  virtual void set_line(std::uint32_t line, bool level) = 0;

  /// One edge on `line`, remembered until it is taken however the guest has configured the line:
  /// a notification without a register to acknowledge it in.
  virtual void pulse(std::uint32_t line) {
    set_line(line, true);
    set_line(line, false);
  }

  [[nodiscard]] virtual bool has_line(std::uint32_t line) const = 0;

  /// Makes `vector` pending at `vcpu`: an INTID, an interrupt vector, or 1/5/9 (VS software,
  /// timer, external). InvalidInput where the architecture has no such vector.
  [[nodiscard]] virtual Result<> inject(VcpuId vcpu, std::uint64_t vector) = 0;
};

}  // namespace retrap
