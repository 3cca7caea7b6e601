// The devices of the host that a VM can be given, and which VM has which.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "vmm/base/address.h"
#include "vmm/base/result.h"
#include "vmm/device.h"

namespace retrap {

/// Simulated devices at host-physical addresses. One VM at a time has a device, whole.
///
/// Invariant: their ranges are sorted and do not overlap.
class HostDevices {
 public:
  struct Entry {
    HostRange range;
    Device* device;  ///< never null
    std::optional<VmId> owner;
  };

  /// Takes the device. AlreadyExists names the one in the way; InvalidInput where it has no bytes
  /// or its range wraps.
  [[nodiscard]] Result<Device*> add(HostPhys base, std::unique_ptr<Device> device);

  /// Whether any device has a byte of `range`.
  [[nodiscard]] bool touches(HostRange range) const;

  /// Gives every device in `range` to `vm`, reset: in the order of their addresses. InvalidInput
  /// where the range cuts a device in two, PermissionDenied where another VM has one; both name
  /// it, and nothing has changed then.
  [[nodiscard]] Result<std::vector<Entry>> claim(HostRange range, VmId vm);

  /// `vm` has none of them any more.
  void release(VmId vm);

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<Device>> devices_;
};

}  // namespace retrap
