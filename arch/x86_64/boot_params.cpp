// Filling in the zero page.
#include "arch/x86_64/boot_params.h"

#include <algorithm>

#include "arch/x86_64/boot.h"

namespace retrap::x86_64 {
namespace {

// zero-page.rst.
constexpr std::uint64_t kAcpiRsdp = 0x070;
constexpr std::uint64_t kE820Count = 0x1e8;
constexpr std::uint64_t kE820Table = 0x2d0;
constexpr std::uint64_t kE820EntrySize = 20;

// boot.rst.
constexpr std::uint64_t kHeader = 0x1f1;
constexpr std::uint64_t kSetupSects = 0x1f1;
constexpr std::uint64_t kBootFlag = 0x1fe;
constexpr std::uint64_t kHeaderLength = 0x201;  // the second byte of the jump
constexpr std::uint64_t kMagic = 0x202;
constexpr std::uint64_t kVersion = 0x206;
constexpr std::uint64_t kTypeOfLoader = 0x210;
constexpr std::uint64_t kLoadFlags = 0x211;
constexpr std::uint64_t kCode32Start = 0x214;
constexpr std::uint64_t kRamdiskImage = 0x218;
constexpr std::uint64_t kRamdiskSize = 0x21c;
constexpr std::uint64_t kHeapEnd = 0x224;
constexpr std::uint64_t kCommandLinePointer = 0x228;
constexpr std::uint64_t kRamdiskMax = 0x22c;
constexpr std::uint64_t kCommandLineSize = 0x238;
constexpr std::uint64_t kPreferredAddress = 0x258;
constexpr std::uint64_t kInitSize = 0x260;

constexpr std::uint8_t kOtherLoader = 0xff;
constexpr std::uint8_t kLoadedHighWithHeap = 0x81;
constexpr std::uint16_t kHeapEndOffset = 0xde00;

void put_header(Bytes page, const BootParams& params) {
  if (params.image.empty()) {
    // Enough of a header for a program that looks whether this is one.
    (void)store_le<std::uint16_t>(page, kBootFlag, 0xaa55);
    (void)store_le<std::uint32_t>(page, kMagic, 0x5372'6448);  // "HdrS"
    (void)store_le<std::uint16_t>(page, kVersion, 0x020f);
    return;
  }
  const std::uint64_t length = load_le<std::uint8_t>(params.image, kHeaderLength).value_or(0);
  const std::uint64_t end = std::min<std::uint64_t>(kMagic + length, kE820Table);
  const auto header = params.image.subspan(kHeader, end - kHeader);
  std::copy(header.begin(), header.end(), page.begin() + kHeader);
}

void add_ram(std::vector<E820Entry>& map, std::uint64_t base, std::uint64_t end) {
  if (base < end) map.push_back({.base = base, .size = end - base, .type = E820Type::Ram});
}

}  // namespace

std::vector<E820Entry> make_e820(const VmConfig& config) {
  constexpr std::uint64_t kBiosStart = 0xf'0000;
  std::vector<E820Entry> map;
  for (const MemoryRegionConfig& region : config.memory_regions) {
    const std::uint64_t end = region.gpa + region.size;
    add_ram(map, region.gpa, std::min(end, layout::kLowEnd));
    if (region.gpa <= kBiosStart && end >= layout::kHighStart) {
      map.push_back({kBiosStart, layout::kHighStart - kBiosStart, E820Type::Reserved});
    }
    add_ram(map, std::max(region.gpa, layout::kHighStart), end);
  }
  std::sort(map.begin(), map.end(),
            [](const E820Entry& a, const E820Entry& b) { return a.base < b.base; });
  if (map.size() > kMostE820Entries) map.resize(kMostE820Entries);
  return map;
}

std::array<std::byte, kBootParamsSize> make_boot_params(const BootParams& params) {
  std::array<std::byte, kBootParamsSize> page{};
  const Bytes all(page);
  put_header(all, params);
  const auto flags = load_le<std::uint8_t>(ConstBytes(page), kLoadFlags).value_or(0);
  (void)store_le<std::uint64_t>(all, kAcpiRsdp, params.rsdp);
  (void)store_le<std::uint8_t>(all, kTypeOfLoader, kOtherLoader);
  (void)store_le<std::uint8_t>(all, kLoadFlags,
                               static_cast<std::uint8_t>(flags | kLoadedHighWithHeap));
  (void)store_le<std::uint32_t>(all, kCode32Start, params.load_address);
  (void)store_le<std::uint32_t>(all, kRamdiskImage,
                                static_cast<std::uint32_t>(params.ramdisk_base));
  (void)store_le<std::uint32_t>(all, kRamdiskSize, static_cast<std::uint32_t>(params.ramdisk_size));
  (void)store_le<std::uint16_t>(all, kHeapEnd, kHeapEndOffset);
  (void)store_le<std::uint32_t>(all, kCommandLinePointer, params.command_line);
  const std::size_t entries = std::min(params.memory.size(), kMostE820Entries);
  (void)store_le<std::uint8_t>(all, kE820Count, static_cast<std::uint8_t>(entries));
  for (std::size_t i = 0; i < entries; ++i) {
    const std::uint64_t at = kE820Table + i * kE820EntrySize;
    (void)store_le<std::uint64_t>(all, at, params.memory[i].base);
    (void)store_le<std::uint64_t>(all, at + 8, params.memory[i].size);
    (void)store_le<std::uint32_t>(all, at + 16, static_cast<std::uint32_t>(params.memory[i].type));
  }
  return page;
}

SetupHeader read_setup_header(std::span<const std::byte> image) {
  const std::uint64_t sectors = load_le<std::uint8_t>(image, kSetupSects).value_or(0);
  return {.setup_size = ((sectors == 0 ? 4 : sectors) + 1) * 512,
          .preferred = load_le<std::uint64_t>(image, kPreferredAddress).value_or(0),
          .init_size = load_le<std::uint32_t>(image, kInitSize).value_or(0),
          .ramdisk_max = load_le<std::uint32_t>(image, kRamdiskMax).value_or(0),
          .command_line_max = load_le<std::uint32_t>(image, kCommandLineSize).value_or(0)};
}

}  // namespace retrap::x86_64
