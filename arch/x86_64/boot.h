// How images get into guest memory, and the state in which the boot CPU finds them.
//
// Linux Documentation/arch/x86/boot.rst "64-bit Boot Protocol" and zero-page.rst.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "arch/x86_64/cpu.h"
#include "vmm/address_space.h"
#include "vmm/config.h"
#include "vmm/image.h"

namespace retrap::x86_64 {

/// Where the board puts what it builds.
namespace layout {
inline constexpr std::uint64_t kBootParams = 0x1'0000;
inline constexpr std::uint64_t kCommandLine = 0x2'0000;
inline constexpr std::uint64_t kCommandLineRoom = 0x8000;
inline constexpr std::uint64_t kGdt = 0x2'f000;
inline constexpr std::uint64_t kPageTables = 0x3'0000;  ///< PML4, PDPT, four page directories
inline constexpr std::uint64_t kPageTablesSize = std::uint64_t{6} * 4096;
inline constexpr std::uint64_t kStack = 0x8'0000;  ///< grows down
inline constexpr std::uint64_t kLowEnd = 0x9'fc00;
inline constexpr std::uint64_t kHighStart = 0x10'0000;
inline constexpr std::uint64_t kRawLoad = 0x8000;         ///< of a raw image without an address
inline constexpr std::uint64_t kHoleStart = 0xc000'0000;  ///< RAM of a standard board ends here
inline constexpr std::uint64_t kHoleEnd = 0x1'0000'0000;  ///< and goes on here
}  // namespace layout

/// One run: checks the places of everything first, then writes, then says how to start.
///
/// bzImage: 64-bit mode at load address + 0x200. ELF: 64-bit mode at its entry point. Both with the
/// first 4 GiB identity-mapped, a flat GDT, interrupts off, RSI = boot_params (the RSDP's address
/// at offset 0x70). Raw images, and any image together with a BIOS: real mode at the configured
/// entry point (by default the load address), as a SIPI starts a CPU.
class BootLoader {
 public:
  BootLoader(const VmConfig& config, AddressSpace& memory) : config_(config), memory_(memory) {}

  struct Start {
    bool real_mode = false;
    GuestPhys entry;  ///< real mode: see Vcpu::set_entry
    CpuState state;   ///< 64-bit mode
  };

  /// RAM is zero. InvalidInput where an image has no place: the message names both sides.
  [[nodiscard]] Result<Start> load(const Images& images);

 private:
  struct Placed {
    std::string name;
    GuestRange range;
  };

  [[nodiscard]] Result<> reserve(std::string name, std::uint64_t base, std::uint64_t size);
  [[nodiscard]] Result<> load_at(std::string name, std::uint64_t base,
                                 std::span<const std::byte> bytes);
  [[nodiscard]] Result<std::uint64_t> load_kernel(const Image& kernel);
  [[nodiscard]] Result<std::uint64_t> load_elf(const Image& kernel);
  [[nodiscard]] Result<std::uint64_t> load_bzimage(const Image& kernel);
  [[nodiscard]] Result<> load_ramdisk(std::span<const std::byte> bytes);
  [[nodiscard]] Result<> load_firmware(const Images& images);
  [[nodiscard]] Result<> write_acpi();
  [[nodiscard]] Result<> write_boot_params(const Image& kernel, std::uint64_t entry);
  [[nodiscard]] Result<> write_page_tables();
  [[nodiscard]] std::optional<std::uint64_t> place_for_ramdisk(std::uint64_t size) const;
  [[nodiscard]] Start start_in_long_mode(std::uint64_t entry) const;

  const VmConfig& config_;
  AddressSpace& memory_;
  std::vector<Placed> placed_;
  std::uint64_t ramdisk_base_ = 0;
  std::uint64_t ramdisk_size_ = 0;
};

}  // namespace retrap::x86_64
