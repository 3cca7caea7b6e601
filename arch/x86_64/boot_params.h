// The zero page of Linux: struct boot_params.
//
// Linux Documentation/arch/x86/zero-page.rst and boot.rst "The Real-Mode Kernel Header".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/base/bytes.h"
#include "vmm/config.h"

namespace retrap::x86_64 {

/// The types of e820 entries that we use.
enum class E820Type : std::uint32_t { Ram = 1, Reserved = 2 };

struct E820Entry {
  std::uint64_t base;
  std::uint64_t size;
  E820Type type;
  friend bool operator==(const E820Entry&, const E820Entry&) = default;
};

/// The memory map of `config`: RAM without the legacy hole from 0x9fc00 to 1 MiB, and the BIOS area
/// as reserved.
[[nodiscard]] std::vector<E820Entry> make_e820(const VmConfig& config);

struct BootParams {
  /// The setup header of a bzImage (from 0x1f1 on), or empty for other kernels.
  std::span<const std::byte> image;
  std::uint32_t load_address = 0;
  std::uint64_t ramdisk_base = 0;
  std::uint64_t ramdisk_size = 0;
  std::uint32_t command_line = 0;
  std::uint64_t rsdp = 0;
  std::vector<E820Entry> memory;
};

inline constexpr std::size_t kBootParamsSize = 4096;
inline constexpr std::size_t kMostE820Entries = 128;

[[nodiscard]] std::array<std::byte, kBootParamsSize> make_boot_params(const BootParams& params);

/// What the loader has to know of a bzImage's header.
struct SetupHeader {
  std::uint64_t setup_size;        ///< the protected-mode kernel follows at this offset
  std::uint64_t preferred;         ///< pref_address
  std::uint64_t init_size;         ///< bytes it needs from its load address on
  std::uint64_t ramdisk_max;       ///< initrd_addr_max: the last byte an initrd may have
  std::uint64_t command_line_max;  ///< cmdline_size, without the terminator
};

/// Requires a bzImage that Image::parse accepted.
[[nodiscard]] SetupHeader read_setup_header(std::span<const std::byte> image);

}  // namespace retrap::x86_64
