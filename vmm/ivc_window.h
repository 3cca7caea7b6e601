// Where the inter-VM channels of a VM lie in its address space: the window of its IVC device.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "vmm/config.h"

namespace retrap {

/// The IVC device of a configuration, or null. There is at most one.
[[nodiscard]] const EmuDeviceConfig* ivc_device_of(const VmConfig& config);

/// The interrupt line that a notification pulses: the first entry of the device's cfg_list, else
/// its irq_id. Nothing where neither is given, or the VM has interrupt_mode no_irq.
[[nodiscard]] std::optional<std::uint32_t> ivc_line_of(const VmConfig& config);

/// Gives out ranges of guest-physical addresses. What is mapped there is somebody else's concern.
///
/// Invariant: ranges given out are disjoint, whole pages, and inside the window.
class IvcWindow {
 public:
  /// No window: every call is refused.
  IvcWindow() = default;
  /// Of the configuration's IVC device, where there is one.
  explicit IvcWindow(const VmConfig& config);

  /// `size` bytes, rounded up to 4 KiB: the tightest place, the lowest of several. InvalidInput for
  /// size 0 and where there is no window, NoMemory where it is full.
  [[nodiscard]] Result<GuestRange> allocate(std::uint64_t size);
  /// Exactly what was given out. InvalidInput otherwise.
  [[nodiscard]] Result<> release(GuestPhys gpa, std::uint64_t size);

  [[nodiscard]] const std::optional<GuestRange>& range() const { return range_; }
  [[nodiscard]] std::uint64_t bytes_used() const;

 private:
  std::optional<GuestRange> range_;
  std::map<GuestPhys, std::uint64_t> used_;  ///< base -> size
};

}  // namespace retrap
