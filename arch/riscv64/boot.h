// Where the images of a guest go, and the state it is entered in.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "vmm/address_space.h"
#include "vmm/config.h"
#include "vmm/image.h"

namespace retrap::riscv64 {

struct BootState {
  GuestPhys entry;
  GuestPhys device_tree;
};

/// An image and its place.
struct Placement {
  std::string what;  ///< for messages: "the kernel"
  GuestRange range;
};

/// Lays out kernel, firmware, initrd and device tree. Addresses that `config` does not give: the
/// kernel at its own (ELF), its text offset into RAM (Image) or 2 MiB into RAM (raw); device tree
/// and initrd at the end of the RAM that holds the kernel. `make_tree(ramdisk)` makes the device
/// tree where the images bring none. Errors name the image, its range and what it collides with;
/// nothing is written before all is placed.
template <class MakeTree>
[[nodiscard]] Result<BootState> load_images_for_boot(const VmConfig& config, const Images& images,
                                                     AddressSpace& memory, MakeTree make_tree);

/// The steps of the above, for tests too.
class BootLayout {
 public:
  BootLayout(const VmConfig& config, AddressSpace& memory) : config_(config), memory_(memory) {}

  [[nodiscard]] Result<> place_kernel(const Images& images);
  [[nodiscard]] Result<> place_ramdisk(const Images& images);
  [[nodiscard]] Result<> place_device_tree(std::vector<std::byte> tree);
  [[nodiscard]] Result<> write(const Images& images);

  [[nodiscard]] std::optional<GuestRange> ramdisk() const { return ramdisk_; }
  [[nodiscard]] BootState state() const { return {entry_, tree_at_}; }

 private:
  [[nodiscard]] Result<GuestRange> place(std::string what, GuestPhys at, std::uint64_t size);
  /// The highest page-aligned place for `size` bytes below what is at the end of RAM already.
  [[nodiscard]] Result<GuestPhys> at_end_of_ram(std::string_view what, std::uint64_t size) const;

  const VmConfig& config_;
  AddressSpace& memory_;
  std::vector<Placement> placed_;
  GuestPhys kernel_at_;
  GuestPhys entry_;
  std::optional<GuestRange> ramdisk_;
  GuestPhys tree_at_;
  std::vector<std::byte> tree_;
};

template <class MakeTree>
Result<BootState> load_images_for_boot(const VmConfig& config, const Images& images,
                                       AddressSpace& memory, MakeTree make_tree) {
  BootLayout layout(config, memory);
  RETRAP_TRY(layout.place_kernel(images));
  RETRAP_TRY(layout.place_ramdisk(images));
  RETRAP_TRY(
      layout.place_device_tree(images.dtb.empty() ? make_tree(layout.ramdisk()) : images.dtb));
  RETRAP_TRY(layout.write(images));
  return layout.state();
}

}  // namespace retrap::riscv64
