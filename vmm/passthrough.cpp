// Passthrough: windows widened and merged, holes for emulated devices, host devices on the bus.
#include "vmm/passthrough.h"

#include <algorithm>

#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap {
namespace {

constexpr MappingFlags kWindowFlags =
    MappingFlags::Read | MappingFlags::Write | MappingFlags::Device;

/// What one entry of the configuration asks for.
struct Window {
  std::uint64_t gpa;
  std::uint64_t hpa;
  std::uint64_t size;
  std::uint32_t irq_id;
  std::string name;

  [[nodiscard]] std::uint64_t last() const { return gpa + (size - 1); }
};

std::vector<Window> entries_of(const VmConfig& config) {
  std::vector<Window> windows;
  for (const PassthroughDeviceConfig& device : config.passthrough_devices) {
    // Entries of only a name are device-tree paths.
    if (device.length == 0) continue;
    windows.push_back({.gpa = device.base_gpa,
                       .hpa = device.base_hpa,
                       .size = device.length,
                       .irq_id = device.irq_id,
                       .name = "passthrough device " + device.name});
  }
  for (const AddressWindow& address : config.passthrough_addresses) {
    windows.push_back({.gpa = address.base_gpa,
                       .hpa = address.base_gpa,
                       .size = address.length,
                       .irq_id = 0,
                       .name = "passthrough window"});
  }
  return windows;
}

/// Both ends move outwards to page boundaries, by the same distance on both sides.
Result<Window> whole_pages(Window window) {
  const std::uint64_t offset = window.gpa % kPageSize;
  if (window.hpa % kPageSize != offset) {
    return fail(ErrorCode::InvalidInput,
                "{}: {:#x} and {:#x} are at different places in their pages", window.name,
                window.gpa, window.hpa);
  }
  const auto end = checked_add(window.size, offset);
  const auto size = end ? checked_align_up(*end, kPageSize) : end;
  if (window.size == 0 || !size || !checked_add(window.gpa - offset, *size - 1)) {
    return fail(ErrorCode::InvalidInput, "{}: no window of {:#x} bytes at {:#x}", window.name,
                window.size, window.gpa);
  }
  window.gpa -= offset;
  window.hpa -= offset;
  window.size = *size;
  return window;
}

/// Two windows that share a page which goes to one place are one.
std::vector<Window> merged(std::vector<Window> windows) {
  std::ranges::sort(windows, {}, &Window::gpa);
  std::vector<Window> out;
  for (Window& window : windows) {
    const bool joins = !out.empty() && window.gpa <= out.back().last() &&
                       window.hpa - window.gpa == out.back().hpa - out.back().gpa;
    if (!joins) {
      out.push_back(std::move(window));
      continue;
    }
    out.back().size = std::max(out.back().last(), window.last()) - out.back().gpa + 1;
    out.back().name += ", " + window.name;
  }
  return out;
}

/// A device that lies across an end of the window is neither in it nor out of it.
Result<> check_ends(const Window& window, const Bus& mmio) {
  const auto crosses = [&](std::uint64_t inside, std::uint64_t outside) {
    const Device* const device = mmio.first_in(inside, 1);
    return device != nullptr && device == mmio.first_in(outside, 1) ? device : nullptr;
  };
  const Device* device = window.gpa == 0 ? nullptr : crosses(window.gpa, window.gpa - 1);
  if (device == nullptr && window.last() + 1 != 0)
    device = crosses(window.last(), window.last() + 1);
  if (device == nullptr) return {};
  return fail(ErrorCode::AlreadyExists, "{} cuts the emulated device {} in two", window.name,
              device->name());
}

/// The pages without an emulated device, as few runs as possible.
Result<> map_around_devices(const Window& window, PassthroughParts parts) {
  RETRAP_TRY(check_ends(window, parts.mmio));
  std::uint64_t run = 0;  // bytes before `done` that no device has
  bool anything = false;
  const auto map_run = [&](std::uint64_t end) -> Result<> {
    if (run == 0) return {};
    const std::uint64_t start = end - run;
    run = 0;
    anything = true;
    return parts.memory.map_linear(GuestPhys(window.gpa + start), HostPhys(window.hpa + start),
                                   end - start, kWindowFlags, window.name);
  };
  for (std::uint64_t done = 0; done < window.size; done += kPageSize) {
    if (parts.mmio.first_in(window.gpa + done, kPageSize) == nullptr) {
      run += kPageSize;
    } else {
      RETRAP_TRY(map_run(done));
    }
  }
  RETRAP_TRY(map_run(window.size));
  if (anything) return {};
  return fail(ErrorCode::AlreadyExists, "{}: the emulated device {} leaves nothing of it",
              window.name, parts.mmio.first_in(window.gpa, window.size)->name());
}

Result<> plug_devices(const Window& window, HostRange range, const VmConfig& config,
                      PassthroughParts parts) {
  RETRAP_TRY(const auto claimed, parts.devices->claim(range, VmId{config.id}));
  const bool wired = config.interrupt_mode == InterruptMode::Passthrough && window.irq_id != 0;
  for (const HostDevices::Entry& entry : claimed) {
    const std::uint64_t base = window.gpa + (entry.range.base().raw() - window.hpa);
    RETRAP_TRY(parts.mmio.add(base, *entry.device, wired ? window.irq_id : Bus::kNoLine,
                              &parts.interrupts));
  }
  return {};
}

}  // namespace

Result<> pass_through(const VmConfig& config, PassthroughParts parts) {
  std::vector<Window> memory;
  for (Window& window : entries_of(config)) {
    const auto range = HostRange::make(HostPhys(window.hpa), window.size);
    if (range && parts.devices != nullptr && parts.devices->touches(*range)) {
      RETRAP_TRY(
          plug_devices(window, *range, config, parts).map_error(while_doing("{}", window.name)));
      continue;
    }
    RETRAP_TRY(Window whole, whole_pages(std::move(window)));
    memory.push_back(std::move(whole));
  }
  for (const Window& window : merged(std::move(memory))) {
    RETRAP_TRY(map_around_devices(window, parts).map_error(while_doing("{}", window.name)));
  }
  return {};
}

}  // namespace retrap
