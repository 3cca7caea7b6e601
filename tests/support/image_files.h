// Small sound images that tests then spoil.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vmm/arch_id.h"
#include "vmm/base/bytes.h"
#include "vmm/base/check.h"

namespace retrap::test {

using ImageBytes = std::vector<std::byte>;

/// Writes `value` at `offset` of `image`, which must have room.
template <class T>
void put(ImageBytes& image, std::uint64_t offset, T value) {
  RETRAP_CHECK(store_le<T>(image, offset, value), "offset {:#x} of {:#x}", offset, image.size());
}

inline constexpr std::uint64_t kElfHeaderBytes = 64;
inline constexpr std::uint64_t kProgramHeaderBytes = 56;

/// Where the program header `index` of sound_elf() starts.
[[nodiscard]] constexpr std::uint64_t program_header(std::uint64_t index) {
  return kElfHeaderBytes + index * kProgramHeaderBytes;
}

/// An ELF64 executable (System V gABI, chapters 4 and 5): code of 0x100 bytes at 0x4008'0000,
/// linked at 0xffff'0000'4008'0000 and entered at its first byte; data of 0x80 bytes, 0x1000 with
/// zeroes, at 0x4009'0000.
[[nodiscard]] inline ImageBytes sound_elf(ArchId arch) {
  constexpr std::uint16_t kMachines[] = {62, 183, 243};
  constexpr std::uint64_t kVirtual = 0xffff'0000'0000'0000;
  ImageBytes elf(0x400);
  put<std::uint32_t>(elf, 0, 0x464c457f);
  put<std::uint32_t>(elf, 4, 0x00010102);  // 64-bit, little-endian, version 1
  put<std::uint16_t>(elf, 16, 2);          // ET_EXEC
  put<std::uint16_t>(elf, 18, kMachines[static_cast<std::size_t>(arch)]);
  put<std::uint32_t>(elf, 20, 1);
  put<std::uint64_t>(elf, 24, kVirtual + 0x4008'0000);  // e_entry
  put<std::uint64_t>(elf, 32, kElfHeaderBytes);         // e_phoff
  put<std::uint16_t>(elf, 52, kElfHeaderBytes);
  put<std::uint16_t>(elf, 54, kProgramHeaderBytes);
  put<std::uint16_t>(elf, 56, 2);   // e_phnum
  put<std::uint16_t>(elf, 58, 64);  // e_shentsize
  struct Part {
    std::uint32_t flags;
    std::uint64_t offset, address, file_bytes, memory_bytes;
  };
  constexpr Part kParts[] = {{5, 0x200, 0x4008'0000, 0x100, 0x100},
                             {6, 0x300, 0x4009'0000, 0x80, 0x1000}};
  std::uint64_t at = program_header(0);
  for (const Part& part : kParts) {
    put<std::uint32_t>(elf, at, 1);  // PT_LOAD
    put<std::uint32_t>(elf, at + 4, part.flags);
    put<std::uint64_t>(elf, at + 8, part.offset);
    put<std::uint64_t>(elf, at + 16, kVirtual + part.address);
    put<std::uint64_t>(elf, at + 24, part.address);
    put<std::uint64_t>(elf, at + 32, part.file_bytes);
    put<std::uint64_t>(elf, at + 40, part.memory_bytes);
    at += kProgramHeaderBytes;
  }
  elf[0x200] = std::byte{0xaa};
  return elf;
}

/// An arm64 or riscv Image of 0x1000 bytes that needs 0x8000 from text_offset 0x20'0000 on; a PE
/// file too, as Debian's are.
[[nodiscard]] inline ImageBytes sound_image(ArchId arch) {
  ImageBytes image(0x1000);
  put<std::uint16_t>(image, 0, 0x5a4d);  // "MZ"
  put<std::uint64_t>(image, 8, 0x20'0000);
  put<std::uint64_t>(image, 16, 0x8000);
  put<std::uint64_t>(image, 24, arch == ArchId::Aarch64 ? 0xa : 0);
  put<std::uint32_t>(image, 56, arch == ArchId::Aarch64 ? 0x644d5241 : 0x05435352);
  put<std::uint32_t>(image, 60, 64);  // where the PE header is
  return image;
}

/// A bzImage of protocol 2.15: one sector, three of setup, 0x1000 bytes of kernel.
[[nodiscard]] inline ImageBytes sound_bzimage() {
  ImageBytes image(0x800 + 0x1000);
  put<std::uint8_t>(image, 0x1f1, 3);
  put<std::uint32_t>(image, 0x1f4, 0x100);
  put<std::uint16_t>(image, 0x1fe, 0xaa55);
  put<std::uint16_t>(image, 0x200, 0x66eb);
  put<std::uint32_t>(image, 0x202, 0x53726448);
  put<std::uint16_t>(image, 0x206, 0x020f);
  put<std::uint16_t>(image, 0x236, 0x2b);
  return image;
}

}  // namespace retrap::test
