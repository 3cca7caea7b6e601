// The memory that a configuration gives a VM.
#include "vmm/vm_memory.h"

#include <algorithm>

#include "vmm/base/bits.h"

namespace retrap {
namespace {

constexpr MappingFlags kWindowFlags =
    MappingFlags::Read | MappingFlags::Write | MappingFlags::Device;

/// A passthrough window, whole pages.
struct Window {
  std::uint64_t gpa;
  std::uint64_t hpa;
  std::uint64_t size;
  std::string name;

  [[nodiscard]] std::uint64_t last() const { return gpa + (size - 1); }
};

Result<> map_ram(const VmConfig& config, std::size_t number, AddressSpace& memory) {
  const MemoryRegionConfig& region = config.memory_regions[number];
  constexpr auto kRamFlags =
      MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute | MappingFlags::User;
  const auto flags = MappingFlags{region.flags};
  if ((flags & kRamFlags) != flags) {
    return fail(ErrorCode::InvalidInput, "kernel.memory_regions[{}]: flags {:#x} are not RAM's",
                number, region.flags);
  }
  return memory
      .map_ram(GuestPhys(region.gpa), region.size, flags, region.map_type, config.populate,
               fmt::format("ram{}", number))
      .map_error(while_doing("kernel.memory_regions[{}]", number));
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
  std::sort(windows.begin(), windows.end(),
            [](const Window& a, const Window& b) { return a.gpa < b.gpa; });
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

Result<std::vector<Window>> windows_of(const VmConfig& config) {
  std::vector<Window> windows;
  for (const PassthroughDeviceConfig& device : config.passthrough_devices) {
    // Entries of only a name are device-tree paths.
    if (device.length == 0) continue;
    RETRAP_TRY(Window window, whole_pages({.gpa = device.base_gpa,
                                           .hpa = device.base_hpa,
                                           .size = device.length,
                                           .name = "passthrough device " + device.name}));
    windows.push_back(std::move(window));
  }
  for (const AddressWindow& address : config.passthrough_addresses) {
    RETRAP_TRY(Window window, whole_pages({.gpa = address.base_gpa,
                                           .hpa = address.base_gpa,
                                           .size = address.length,
                                           .name = "passthrough window"}));
    windows.push_back(std::move(window));
  }
  return merged(std::move(windows));
}

Result<> map_windows(const VmConfig& config, AddressSpace& memory) {
  RETRAP_TRY(const std::vector<Window> windows, windows_of(config));
  for (const Window& window : windows) {
    RETRAP_TRY(memory
                   .map_linear(GuestPhys(window.gpa), HostPhys(window.hpa), window.size,
                               kWindowFlags, window.name)
                   .map_error(while_doing("{}", window.name)));
  }
  return {};
}

/// The regions that name their host address, or those that do not.
enum class Placed : bool { Anywhere, ByConfiguration };

Result<> map_regions(const VmConfig& config, AddressSpace& memory, Placed placed) {
  for (std::size_t number = 0; number < config.memory_regions.size(); ++number) {
    const bool named = config.memory_regions[number].map_type != MapType::Alloc;
    if (named == (placed == Placed::ByConfiguration)) RETRAP_TRY(map_ram(config, number, memory));
  }
  return {};
}

}  // namespace

// What names its place in the host comes first: RAM that may be anywhere must not take that place.
Result<> map_configured_memory(const VmConfig& config, AddressSpace& memory) {
  RETRAP_TRY(map_regions(config, memory, Placed::ByConfiguration));
  RETRAP_TRY(map_windows(config, memory));
  return map_regions(config, memory, Placed::Anywhere);
}

}  // namespace retrap
