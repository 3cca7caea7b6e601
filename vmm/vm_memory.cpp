// The memory that a configuration gives a VM.
#include "vmm/vm_memory.h"

namespace retrap {
namespace {

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

Result<> map_placed_memory(const VmConfig& config, AddressSpace& memory) {
  return map_regions(config, memory, Placed::ByConfiguration);
}

Result<> map_other_memory(const VmConfig& config, AddressSpace& memory) {
  return map_regions(config, memory, Placed::Anywhere);
}

}  // namespace retrap
