// Stands where the devices of a VM stood, for replays of the guest or the monitor alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/machine.h"
#include "vmm/device.h"

namespace retrap {

/// Knows what the devices did when they were there.
class DeviceRecord {
 public:
  virtual ~DeviceRecord() = default;
  /// The access that is being made has happened: the lines that changed with it change.
  virtual void on_device_access() = 0;
  /// What the access was answered, where it is a read.
  [[nodiscard]] virtual std::uint64_t recorded_answer() = 0;
};

/// Takes devices with an interrupt line off the buses of a VM, and stands in for them: where
/// `use_memory`, those that use memory by themselves, otherwise the others. What is left is the
/// interrupt controllers, the platform around them, and devices that never interrupt. `taken` holds
/// those that the buses owned. All outlive the VM, which is of no other use then.
void take_devices_away(Vm& vm, bool use_memory, DeviceRecord& record,
                       std::vector<std::unique_ptr<Device>>& taken);

}  // namespace retrap
