// What a device model has to say for itself.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "vmm/base/digest.h"
#include "vmm/base/width.h"
#include "vmm/ids.h"
#include "vmm/io_result.h"

namespace retrap {

/// One access, as the bus hands it to a device.
struct Access {
  std::uint64_t offset;  ///< from the start of the device; for a system register, from its base
  Width width;
  VcpuId vcpu;           ///< who asks: banked registers depend on it
  std::uint64_t now_ns;  ///< virtual time
};

inline constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

/// A device model: a value with registers.
///
/// A device is a pure function of its state and the calls it is given. It never reads a clock, a
/// file or a random number; time and input arrive as calls, so a recorded run can give them again.
/// After every call the bus samples `irq_level` and `deadline_ns`.
class Device {
 public:
  virtual ~Device() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;  ///< bytes, ports or registers it covers

  /// The whole access lies inside size(). An error makes the bus read zero and count the access.
  [[nodiscard]] virtual IoResult<std::uint64_t> read(const Access& access) = 0;
  [[nodiscard]] virtual IoResult<> write(const Access& access, std::uint64_t value) = 0;

  /// Back to the state after power-on, to the bit.
  virtual void reset() = 0;

  /// The level of the interrupt output.
  [[nodiscard]] virtual bool irq_level() const { return false; }

  /// Whether it reads or writes the memory of its VM by itself.
  [[nodiscard]] virtual bool uses_memory() const { return false; }

  /// The virtual time at which `advance` must be called, or kNever.
  [[nodiscard]] virtual std::uint64_t deadline_ns() const { return kNever; }

  /// Virtual time has reached `now_ns` (>= deadline_ns()).
  virtual void advance(std::uint64_t now_ns) { (void)now_ns; }

  /// Adds all state that a guest could ever see.
  virtual void digest(Digest& into) const = 0;
};

}  // namespace retrap
