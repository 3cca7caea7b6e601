// Placing images: every overlap is found before anything is written.
#include "arch/x86_64/boot.h"

#include <algorithm>

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/boot_params.h"
#include "arch/x86_64/msr.h"
#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kEntry64 = 0x200;  // boot.rst, "64-bit Boot Protocol"
constexpr std::uint64_t kDefaultKernelLoad = 0x100'0000;
/// Bytes above the initrd that stay free: firmware tables sit there on real machines.
constexpr std::uint64_t kTopReserve = 0x10'0000;
constexpr std::uint64_t kFourGiB = std::uint64_t{1} << 32;

// boot.rst: __BOOT_CS 0x10 (execute, read), __BOOT_DS 0x18 (read, write), both flat 4 GiB.
constexpr std::uint16_t kCodeSelector = 0x10;
constexpr std::uint16_t kDataSelector = 0x18;
constexpr std::array<std::uint64_t, 4> kGdtEntries = {0, 0, 0x00af'9b00'0000'ffff,
                                                      0x00cf'9300'0000'ffff};
constexpr std::uint16_t kCodeAttributes = 0xa9b;
constexpr std::uint16_t kDataAttributes = 0xc93;

}  // namespace

Result<> BootLoader::reserve(std::string name, std::uint64_t base, std::uint64_t size) {
  const auto range = GuestRange::make(GuestPhys(base), std::max<std::uint64_t>(size, 1));
  if (!range) return fail(ErrorCode::InvalidInput, "{} at {:#x} wraps", name, base);
  if (memory_.find(range->base(), range->size()) == nullptr) {
    return fail(ErrorCode::InvalidInput, "{} at {} does not fit into RAM", name, *range);
  }
  for (const Placed& other : placed_) {
    if (!other.range.overlaps(*range)) continue;
    return fail(ErrorCode::Overlap, "{} at {} overlaps {} at {}", name, *range, other.name,
                other.range);
  }
  placed_.push_back({std::move(name), *range});
  return {};
}

Result<> BootLoader::load_at(std::string name, std::uint64_t base,
                             std::span<const std::byte> bytes) {
  RETRAP_TRY(reserve(std::move(name), base, bytes.size()));
  return memory_.write(GuestPhys(base), bytes);
}

Result<BootLoader::Start> BootLoader::load(const Images& images) {
  if (!images.kernel) return fail(ErrorCode::InvalidInput, "kernel.kernel_path: there is no image");
  const Image& kernel = *images.kernel;
  const bool real_mode = kernel.kind() == ImageKind::Raw || !images.bios.empty();
  if (!real_mode) {
    const std::uint64_t tables = layout::kPageTables;
    RETRAP_TRY(reserve("boot_params", layout::kBootParams, kPage));
    RETRAP_TRY(reserve("the command line", layout::kCommandLine, layout::kCommandLineRoom));
    RETRAP_TRY(reserve("the boot GDT", layout::kGdt, kPage));
    RETRAP_TRY(reserve("the boot page tables", tables, layout::kPageTablesSize));
  }
  RETRAP_TRY(load_firmware(images));
  RETRAP_TRY(const std::uint64_t entry, load_kernel(kernel));
  RETRAP_TRY(load_ramdisk(images.ramdisk));
  RETRAP_TRY(write_acpi());
  if (real_mode) {
    return Start{
        .real_mode = true, .entry = GuestPhys(config_.entry_point.value_or(entry)), .state = {}};
  }
  RETRAP_TRY(write_boot_params(kernel, entry));
  RETRAP_TRY(write_page_tables());
  return start_in_long_mode(config_.entry_point.value_or(entry));
}

Result<> BootLoader::load_firmware(const Images& images) {
  if (images.bios.empty()) return {};
  if (!config_.bios_load_addr) {
    return fail(ErrorCode::InvalidInput, "kernel.bios_load_addr: a BIOS needs one");
  }
  return load_at("the BIOS", *config_.bios_load_addr, images.bios);
}

Result<std::uint64_t> BootLoader::load_kernel(const Image& kernel) {
  switch (kernel.kind()) {
    case ImageKind::Elf:     return load_elf(kernel);
    case ImageKind::BzImage: return load_bzimage(kernel);
    case ImageKind::Raw:     {
      const std::uint64_t base = config_.kernel_load_addr.value_or(layout::kRawLoad);
      return load_at("the kernel", base, kernel.bytes()).map([&] { return base; });
    }
    case ImageKind::Arm64Image:
    case ImageKind::RiscvImage: break;
  }
  return fail(ErrorCode::Unsupported, "{}: {} is no image for x86_64", kernel.path(),
              to_string(kernel.kind()));
}

Result<std::uint64_t> BootLoader::load_elf(const Image& kernel) {
  std::size_t number = 0;
  for (const ImageSegment& segment : kernel.segments()) {
    RETRAP_TRY(reserve(fmt::format("segment {} of the kernel", number++), segment.address.raw(),
                       segment.size));
    RETRAP_TRY(memory_.write(segment.address, segment.bytes));
  }
  if (!kernel.entry()) return fail(ErrorCode::InvalidInput, "{}: no entry point", kernel.path());
  return kernel.entry()->raw();
}

Result<std::uint64_t> BootLoader::load_bzimage(const Image& kernel) {
  const SetupHeader header = read_setup_header(kernel.bytes());
  const std::uint64_t wanted = header.preferred != 0 ? header.preferred : kDefaultKernelLoad;
  const std::uint64_t base = config_.kernel_load_addr.value_or(wanted);
  const auto payload = kernel.bytes().subspan(header.setup_size);
  const std::uint64_t size = std::max<std::uint64_t>(payload.size(), header.init_size);
  if (config_.cmdline.size() > header.command_line_max) {
    return fail(ErrorCode::InvalidInput, "kernel.cmdline: {} bytes, and the kernel takes {}",
                config_.cmdline.size(), header.command_line_max);
  }
  RETRAP_TRY(reserve("the kernel", base, size));
  RETRAP_TRY(memory_.write(GuestPhys(base), payload));
  return base + kEntry64;
}

/// As high as possible below 2 GiB, in the region that holds the most of low memory.
std::optional<std::uint64_t> BootLoader::place_for_ramdisk(std::uint64_t size) const {
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 31;
  const std::uint64_t needed = align_up(size, kPage);
  std::optional<std::uint64_t> best;
  for (const Region& region : memory_.regions()) {
    const std::uint64_t start = std::max(region.range.base().raw(), layout::kHighStart);
    const std::uint64_t end = std::min(region.range.last().raw() + 1, kLimit);
    if (end < start || end - start < needed) continue;
    const std::uint64_t reserve = end - start - needed >= kTopReserve ? kTopReserve : 0;
    const std::uint64_t base = align_down(end - reserve - needed, kPage);
    if (base >= start) best = std::max(best.value_or(0), base);
  }
  return best;
}

Result<> BootLoader::load_ramdisk(std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  const auto place =
      config_.ramdisk_load_addr ? config_.ramdisk_load_addr : place_for_ramdisk(bytes.size());
  if (!place) {
    return fail(ErrorCode::NoMemory, "the ramdisk of {:#x} bytes does not fit into RAM",
                bytes.size());
  }
  if (*place + bytes.size() > kFourGiB) {
    return fail(ErrorCode::InvalidInput, "the ramdisk at {:#x} ends above 4 GiB", *place);
  }
  ramdisk_base_ = *place;
  ramdisk_size_ = bytes.size();
  return load_at("the ramdisk", *place, bytes);
}

Result<> BootLoader::write_acpi() {
  const GuestPhys base(acpi::kTablesBase);
  const std::vector<std::byte> tables = make_acpi_tables(base, phys_cpu_ids_of(config_));
  // A small guest may have no RAM there: it does without.
  if (memory_.find(base, tables.size()) == nullptr) return {};
  return load_at("the ACPI tables", base.raw(), tables);
}

Result<> BootLoader::write_boot_params(const Image& kernel, std::uint64_t entry) {
  if (config_.cmdline.size() >= layout::kCommandLineRoom) {
    return fail(ErrorCode::InvalidInput, "kernel.cmdline: {} bytes, and there is room for {}",
                config_.cmdline.size(), layout::kCommandLineRoom - 1);
  }
  const bool is_linux = kernel.kind() == ImageKind::BzImage;
  const auto page = make_boot_params(
      {.image = is_linux ? kernel.bytes() : std::span<const std::byte>(),
       .load_address = static_cast<std::uint32_t>(is_linux ? entry - kEntry64 : entry),
       .ramdisk_base = ramdisk_base_,
       .ramdisk_size = ramdisk_size_,
       .command_line = static_cast<std::uint32_t>(layout::kCommandLine),
       .rsdp = acpi::kTablesBase,
       .memory = make_e820(config_)});
  RETRAP_TRY(memory_.write(GuestPhys(layout::kBootParams), page));
  std::vector<std::byte> line(config_.cmdline.size() + 1);
  std::transform(config_.cmdline.begin(), config_.cmdline.end(), line.begin(),
                 [](char letter) { return static_cast<std::byte>(letter); });
  return memory_.write(GuestPhys(layout::kCommandLine), line);
}

Result<> BootLoader::write_page_tables() {
  constexpr std::uint64_t kTable = 0x003;      // present, writable
  constexpr std::uint64_t kLargePage = 0x083;  // present, writable, 2 MiB
  std::vector<std::byte> tables(layout::kPageTablesSize);
  const auto put = [&](std::uint64_t table, std::uint64_t index, std::uint64_t entry) {
    (void)store_le<std::uint64_t>(tables, table * kPage + index * 8, entry);
  };
  const auto address = [](std::uint64_t table) { return layout::kPageTables + table * kPage; };
  put(0, 0, address(1) | kTable);
  for (std::uint64_t gib = 0; gib < 4; ++gib) {
    put(1, gib, address(2 + gib) | kTable);
    for (std::uint64_t i = 0; i < 512; ++i) put(2 + gib, i, gib << 30 | i << 21 | kLargePage);
  }
  RETRAP_TRY(memory_.write(GuestPhys(layout::kPageTables), tables));
  std::array<std::byte, sizeof(kGdtEntries)> gdt{};
  for (std::size_t i = 0; i < kGdtEntries.size(); ++i) {
    (void)store_le<std::uint64_t>(Bytes(gdt), i * 8, kGdtEntries[i]);
  }
  return memory_.write(GuestPhys(layout::kGdt), gdt);
}

BootLoader::Start BootLoader::start_in_long_mode(std::uint64_t entry) const {
  CpuState state;
  state.rip = entry;
  state.gpr[static_cast<std::size_t>(Gpr::Rsp)] = layout::kStack;
  state.gpr[static_cast<std::size_t>(Gpr::Rsi)] = layout::kBootParams;
  state.cr0 = 0x8000'0033;  // PG NE ET MP PE
  state.cr3 = layout::kPageTables;
  state.cr4 = 0x620;  // PAE OSFXSR OSXMMEXCPT
  state.efer = efer::kLongMode | efer::kLongModeActive;
  for (const auto name :
       {SegmentName::Es, SegmentName::Ss, SegmentName::Ds, SegmentName::Fs, SegmentName::Gs}) {
    state.segment(name) = {kDataSelector, kDataAttributes, 0xffff'ffff, 0};
  }
  state.segment(SegmentName::Cs) = {kCodeSelector, kCodeAttributes, 0xffff'ffff, 0};
  state.gdtr = {layout::kGdt, sizeof(kGdtEntries) - 1};
  return {.real_mode = false, .entry = GuestPhys(entry), .state = state};
}

}  // namespace retrap::x86_64
