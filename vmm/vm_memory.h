// The RAM that a configuration gives a VM.
#pragma once

#include "vmm/address_space.h"
#include "vmm/config.h"

namespace retrap {

// What names its place in the host comes first: RAM that may be anywhere must not take that place.
// An Error names the entry; what was mapped before it stays mapped.

/// Maps the RAM regions of `config` that name their host address: Identical and Reserved.
[[nodiscard]] Result<> map_placed_memory(const VmConfig& config, AddressSpace& memory);
/// The others.
[[nodiscard]] Result<> map_other_memory(const VmConfig& config, AddressSpace& memory);

}  // namespace retrap
