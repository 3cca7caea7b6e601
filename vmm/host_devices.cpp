// A ledger of host devices: a window takes them whole, and nobody else's.
#include "vmm/host_devices.h"

#include <algorithm>

#include "vmm/base/check.h"

namespace retrap {

Result<Device*> HostDevices::add(HostPhys base, std::unique_ptr<Device> device) {
  RETRAP_CHECK(device != nullptr, "a device is never null");
  const auto range = HostRange::make(base, device->size());
  if (!range) {
    return fail(ErrorCode::InvalidInput, "host device {} at {} is empty or wraps", device->name(),
                base);
  }
  for (const Entry& other : entries_) {
    if (!other.range.overlaps(*range)) continue;
    return fail(ErrorCode::AlreadyExists, "host device {} at {} overlaps {} at {}", device->name(),
                *range, other.device->name(), other.range);
  }
  const auto after =
      std::ranges::find_if(entries_, [&](const Entry& other) { return other.range.base() > base; });
  entries_.insert(after, {.range = *range, .device = device.get(), .owner = std::nullopt});
  devices_.push_back(std::move(device));
  return devices_.back().get();
}

bool HostDevices::touches(HostRange range) const {
  return std::ranges::any_of(entries_,
                             [&](const Entry& entry) { return entry.range.overlaps(range); });
}

Result<std::vector<HostDevices::Entry>> HostDevices::claim(HostRange range, VmId vm) {
  for (const Entry& entry : entries_) {
    if (!entry.range.overlaps(range)) continue;
    if (!range.contains(entry.range)) {
      return fail(ErrorCode::InvalidInput, "{} cuts the host device {} at {} in two", range,
                  entry.device->name(), entry.range);
    }
    if (entry.owner) {
      return fail(ErrorCode::PermissionDenied, "the host device {} belongs to vm {}",
                  entry.device->name(), index(*entry.owner));
    }
  }
  std::vector<Entry> claimed;
  for (Entry& entry : entries_) {
    if (!entry.range.overlaps(range)) continue;
    entry.owner = vm;
    entry.device->reset();
    claimed.push_back(entry);
  }
  return claimed;
}

void HostDevices::release(VmId vm) {
  for (Entry& entry : entries_) {
    if (entry.owner == vm) entry.owner.reset();
  }
}

}  // namespace retrap
