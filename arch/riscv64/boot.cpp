// The boot protocol: RISC-V Image, ELF, raw (Linux, Documentation/arch/riscv/boot).
#include "arch/riscv64/boot.h"

#include <algorithm>

#include "arch/riscv64/board.h"
#include "vmm/base/bits.h"

namespace retrap::riscv64 {
namespace {

constexpr std::uint64_t kLargePage = std::uint64_t{2} << 20;

}  // namespace

Result<GuestRange> BootLayout::place(std::string what, GuestPhys at, std::uint64_t size) {
  const auto range = GuestRange::make(at, size);
  if (!range) {
    return fail(ErrorCode::InvalidInput, "{} of {:#x} bytes does not fit at {}", what, size, at);
  }
  if (memory_.find(at, size) == nullptr) {
    return fail(ErrorCode::InvalidInput, "{} at {} is not inside one memory region", what, *range);
  }
  for (const Placement& other : placed_) {
    if (!other.range.overlaps(*range)) continue;
    return fail(ErrorCode::Overlap, "{} at {} overlaps {} at {}", what, *range, other.what,
                other.range);
  }
  placed_.push_back({std::move(what), *range});
  return *range;
}

Result<GuestPhys> BootLayout::at_end_of_ram(std::string_view what, std::uint64_t size) const {
  const Region* ram = memory_.find(kernel_at_);
  if (ram == nullptr) {
    return fail(ErrorCode::InvalidInput, "there is no memory at {} to put {} into", kernel_at_,
                what);
  }
  std::uint64_t end = ram->range.last().raw() + 1;
  for (const Placement& other : placed_) {
    const bool above_kernel = other.range.base() > kernel_at_;
    if (above_kernel && ram->range.contains(other.range)) {
      end = std::min(end, other.range.base().raw());
    }
  }
  if (end - ram->range.base().raw() < size) {
    return fail(ErrorCode::NoMemory, "{} of {:#x} bytes does not fit into {}", what, size,
                ram->range);
  }
  return GuestPhys(align_down(end - size, kPageSize));
}

Result<> BootLayout::place_kernel(const Images& images) {
  const bool has_kernel = images.kernel.has_value();
  kernel_at_ = GuestPhys(config_.kernel_load_addr.value_or(memory_map::kKernel));
  if (has_kernel && images.kernel->kind() == ImageKind::Elf) {
    for (const ImageSegment& segment : images.kernel->segments()) {
      RETRAP_TRY(place("a kernel segment", segment.address, segment.size));
    }
    kernel_at_ = images.kernel->entry().value_or(kernel_at_);
  } else if (has_kernel) {
    if (!config_.kernel_load_addr && images.kernel->kind() == ImageKind::RiscvImage) {
      kernel_at_ = GuestPhys(align_up(memory_map::kRam, kLargePage) + images.kernel->text_offset());
    }
    const std::uint64_t size =
        std::max<std::uint64_t>(images.kernel->memory_size(), images.kernel->bytes().size());
    RETRAP_TRY(place("the kernel", kernel_at_, size));
  }
  if (!images.bios.empty()) {
    const GuestPhys at(config_.bios_load_addr.value_or(memory_map::kRam));
    RETRAP_TRY(place("the firmware", at, images.bios.size()));
    if (!has_kernel) kernel_at_ = at;
  }
  entry_ = GuestPhys(config_.entry_point.value_or(kernel_at_.raw()));
  return {};
}

Result<> BootLayout::place_ramdisk(const Images& images) {
  if (images.ramdisk.empty()) return {};
  GuestPhys at(config_.ramdisk_load_addr.value_or(0));
  if (!config_.ramdisk_load_addr) {
    RETRAP_TRY(at, at_end_of_ram("the ramdisk", images.ramdisk.size()));
  }
  RETRAP_TRY(ramdisk_, place("the ramdisk", at, images.ramdisk.size()));
  return {};
}

Result<> BootLayout::place_device_tree(std::vector<std::byte> tree) {
  tree_ = std::move(tree);
  GuestPhys at(config_.dtb_load_addr.value_or(0));
  if (!config_.dtb_load_addr) {
    RETRAP_TRY(at, at_end_of_ram("the device tree", tree_.size()));
  }
  RETRAP_TRY(const GuestRange range, place("the device tree", at, tree_.size()));
  tree_at_ = range.base();
  return {};
}

Result<> BootLayout::write(const Images& images) {
  if (images.kernel && images.kernel->kind() == ImageKind::Elf) {
    for (const ImageSegment& segment : images.kernel->segments()) {
      RETRAP_TRY(memory_.write(segment.address, segment.bytes));
    }
  } else if (images.kernel) {
    RETRAP_TRY(memory_.write(kernel_at_, images.kernel->bytes()));
  }
  if (!images.bios.empty()) {
    const GuestPhys at(config_.bios_load_addr.value_or(memory_map::kRam));
    RETRAP_TRY(memory_.write(at, images.bios));
  }
  if (ramdisk_) RETRAP_TRY(memory_.write(ramdisk_->base(), images.ramdisk));
  return memory_.write(tree_at_, tree_);
}

}  // namespace retrap::riscv64
