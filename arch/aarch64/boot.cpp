// Places images in guest memory.
#include "arch/aarch64/boot.h"

#include <algorithm>
#include <string>

#include "arch/aarch64/board.h"
#include "vmm/base/bytes.h"

namespace retrap::aarch64 {
namespace {

constexpr std::uint64_t kBlock = 2u << 20;  // kernels, device trees and ramdisks begin at 2 MiB
constexpr std::uint64_t kMaxDeviceTree = kBlock;

/// Lays images out and remembers where they are.
class Loader {
 public:
  Loader(const VmConfig& config, AddressSpace& memory) : config_(config), memory_(memory) {}

  /// The entry point of the kernel.
  [[nodiscard]] Result<GuestPhys> load_kernel(const Image& kernel) {
    switch (kernel.kind()) {
      case ImageKind::Elf:        return load_elf(kernel);
      case ImageKind::Raw:        return load_raw(kernel);
      case ImageKind::Arm64Image: return load_linux(kernel);
      case ImageKind::RiscvImage:
      case ImageKind::BzImage:    break;
    }
    return fail(ErrorCode::InvalidInput, "{}: a {} is no kernel for aarch64", kernel.path(),
                to_string(kernel.kind()));
  }

  /// Copies `bytes` to `at`, or to the first free 2 MiB boundary above everything so far.
  [[nodiscard]] Result<GuestPhys> place(const std::string& name, ConstBytes bytes,
                                        std::optional<std::uint64_t> at) {
    const GuestPhys to(at.value_or(align_up(free_, kBlock)));
    RETRAP_TRY(claim(name, to, bytes.size()));
    RETRAP_TRY(memory_.write(to, bytes).map_error(while_doing("loading {}", name)));
    return to;
  }

 private:
  struct Claim {
    std::string name;
    GuestRange range;
  };

  [[nodiscard]] Result<> claim(const std::string& name, GuestPhys at, std::uint64_t size) {
    const auto range = GuestRange::make(at, size);
    if (!range || memory_.find(at, size) == nullptr) {
      return fail(ErrorCode::InvalidInput, "{}: {:#x} bytes at {} do not fit into RAM", name, size,
                  at);
    }
    for (const Claim& other : claims_) {
      if (!other.range.overlaps(*range)) continue;
      return fail(ErrorCode::Overlap, "{} at {} overlaps {} at {}", name, *range, other.name,
                  other.range);
    }
    claims_.push_back({.name = name, .range = *range});
    free_ = std::max(free_, range->last().raw() + 1);
    return {};
  }

  [[nodiscard]] GuestPhys entry_or(GuestPhys entry) const {
    return config_.entry_point ? GuestPhys(*config_.entry_point) : entry;
  }

  [[nodiscard]] Result<GuestPhys> load_elf(const Image& kernel) {
    for (const ImageSegment& segment : kernel.segments()) {
      RETRAP_TRY(claim(kernel.path(), segment.address, segment.size));
      RETRAP_TRY(memory_.write(segment.address, segment.bytes)
                     .map_error(while_doing("loading {}", kernel.path())));
    }
    return entry_or(kernel.entry().value_or(GuestPhys(0)));
  }

  // "The Image must be placed text_offset bytes from a 2MB aligned base address": memory below it
  // is the kernel's, too. The header says how much memory it needs with its bss.
  [[nodiscard]] Result<GuestPhys> load_linux(const Image& kernel) {
    if (config_.memory_regions.empty()) {
      return fail(ErrorCode::InvalidInput, "{}: there is no RAM to load it into", kernel.path());
    }
    const std::uint64_t base = align_up(config_.memory_regions.front().gpa, kBlock);
    const std::uint64_t at = config_.kernel_load_addr.value_or(base + kernel.text_offset());
    if (at < kernel.text_offset() || (at - kernel.text_offset()) % kBlock != 0) {
      return fail(ErrorCode::InvalidInput,
                  "{}: load address {:#x} is not {:#x} bytes from a 2 MiB boundary", kernel.path(),
                  at, kernel.text_offset());
    }
    const std::uint64_t size = std::max<std::uint64_t>(kernel.memory_size(), kernel.bytes().size());
    RETRAP_TRY(claim(kernel.path(), GuestPhys(at), size));
    RETRAP_TRY(memory_.write(GuestPhys(at), kernel.bytes())
                   .map_error(while_doing("loading {}", kernel.path())));
    return entry_or(GuestPhys(at));
  }

  [[nodiscard]] Result<GuestPhys> load_raw(const Image& kernel) {
    if (!config_.kernel_load_addr) {
      return fail(ErrorCode::InvalidInput,
                  "{}: a raw image needs kernel.kernel_load_addr in the configuration",
                  kernel.path());
    }
    const GuestPhys at(*config_.kernel_load_addr);
    RETRAP_TRY(claim(kernel.path(), at, kernel.bytes().size()));
    RETRAP_TRY(
        memory_.write(at, kernel.bytes()).map_error(while_doing("loading {}", kernel.path())));
    return entry_or(at);
  }

  const VmConfig& config_;
  AddressSpace& memory_;
  std::vector<Claim> claims_;
  std::uint64_t free_ = 0;
};

}  // namespace

Result<BootState> load_images_into(const VmConfig& config, const MemoryMap& map,
                                   const Images& images, AddressSpace& memory) {
  Loader loader(config, memory);
  BootState boot{.entry = GuestPhys(config.entry_point.value_or(map.ram)),
                 .device_tree = GuestPhys(0)};
  if (images.kernel) {
    RETRAP_TRY(boot.entry, loader.load_kernel(*images.kernel));
  }
  if (!images.bios.empty()) {
    RETRAP_TRY([[maybe_unused]] const GuestPhys bios,
               loader.place("bios", images.bios, config.bios_load_addr));
  }
  RamdiskRange ramdisk;
  if (!images.ramdisk.empty()) {
    RETRAP_TRY(const GuestPhys at,
               loader.place("ramdisk", images.ramdisk, config.ramdisk_load_addr));
    ramdisk = {.begin = at.raw(), .end = at.raw() + images.ramdisk.size()};
  }
  const auto tree = images.dtb.empty() ? make_device_tree(config, map, ramdisk) : images.dtb;
  if (tree.size() > kMaxDeviceTree) {
    return fail(ErrorCode::InvalidInput, "the device tree has {} bytes; the limit is {}",
                tree.size(), kMaxDeviceTree);
  }
  if (!images.kernel && !config.dtb_load_addr) return boot;
  RETRAP_TRY(boot.device_tree, loader.place("device tree", tree, config.dtb_load_addr));
  if (!boot.device_tree.is_aligned(8)) {
    return fail(ErrorCode::InvalidInput, "device tree at {}: the address is not a multiple of 8",
                boot.device_tree);
  }
  return boot;
}

}  // namespace retrap::aarch64
