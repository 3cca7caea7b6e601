// The memory that a configuration gives a VM.
#include "vmm/vm_memory.h"

#include "vmm/base/bits.h"

namespace retrap {
namespace {

constexpr MappingFlags kWindowFlags =
    MappingFlags::Read | MappingFlags::Write | MappingFlags::Device;

/// A window as the configuration has it: any address, any length.
struct Window {
  std::uint64_t gpa;
  std::uint64_t hpa;
  std::uint64_t length;
  std::string name;
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
Result<> map_window(const Window& window, AddressSpace& memory) {
  const std::uint64_t offset = window.gpa % kPageSize;
  if (window.hpa % kPageSize != offset) {
    return fail(ErrorCode::InvalidInput,
                "{}: {:#x} and {:#x} are at different places in their pages", window.name,
                window.gpa, window.hpa);
  }
  const auto end = checked_add(window.length, offset);
  const auto size = end ? checked_align_up(*end, kPageSize) : end;
  if (window.length == 0 || !size) {
    return fail(ErrorCode::InvalidInput, "{}: a window of {:#x} bytes", window.name, window.length);
  }
  return memory
      .map_linear(GuestPhys(window.gpa - offset), HostPhys(window.hpa - offset), *size,
                  kWindowFlags, window.name)
      .map_error(while_doing("{}", window.name));
}

}  // namespace

Result<> map_configured_memory(const VmConfig& config, AddressSpace& memory) {
  for (std::size_t number = 0; number < config.memory_regions.size(); ++number) {
    RETRAP_TRY(map_ram(config, number, memory));
  }
  for (const PassthroughDeviceConfig& device : config.passthrough_devices) {
    // Entries of only a name are device-tree paths.
    if (device.length == 0) continue;
    RETRAP_TRY(map_window(
        {device.base_gpa, device.base_hpa, device.length, "passthrough device " + device.name},
        memory));
  }
  for (const AddressWindow& window : config.passthrough_addresses) {
    RETRAP_TRY(map_window({window.base_gpa, window.base_gpa, window.length, "passthrough window"},
                          memory));
  }
  return {};
}

}  // namespace retrap
