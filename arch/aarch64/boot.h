// The boot protocol: where the kernel, the device tree and the initial ramdisk go.
//
// Linux: Documentation/arch/arm64/booting.rst. ELF and raw images are entered the same way: EL1h,
// MMU off, interrupts masked, x0 = device tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/address_space.h"
#include "vmm/config.h"
#include "vmm/image.h"

namespace retrap::aarch64 {

struct MemoryMap;

struct BootState {
  GuestPhys entry;
  GuestPhys device_tree;
};

/// Where the initial ramdisk is: [begin, end).
struct RamdiskRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Copies the images into guest memory, with a generated device tree where none is given. Errors
/// name the image and the addresses: outside RAM, over another image, misaligned.
[[nodiscard]] Result<BootState> load_images_into(const VmConfig& config, const MemoryMap& map,
                                                 const Images& images, AddressSpace& memory);

/// The device tree of the board.
[[nodiscard]] std::vector<std::byte> make_device_tree(const VmConfig& config, const MemoryMap& map,
                                                      RamdiskRange ramdisk);

}  // namespace retrap::aarch64
