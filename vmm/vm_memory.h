// The memory that a configuration gives a VM: RAM regions and passthrough windows.
#pragma once

#include "vmm/address_space.h"
#include "vmm/config.h"

namespace retrap {

/// Maps the RAM regions and passthrough windows of `config`. Windows are widened to whole pages at
/// both ends. An Error names the entry; what was mapped before it stays mapped.
[[nodiscard]] Result<> map_configured_memory(const VmConfig& config, AddressSpace& memory);

}  // namespace retrap
