// What the parsers of the image formats find: shared by vmm/image*.cpp only.
#pragma once

#include "vmm/image.h"

namespace retrap {

/// What a header says. Addresses are guest-physical.
struct ImageFacts {
  ImageKind kind = ImageKind::Raw;
  std::vector<ImageSegment> segments;
  std::optional<GuestPhys> entry;
  std::uint64_t text_offset = 0;
  std::uint64_t memory_size = 0;
};

/// An ELF64 executable for `arch`. The segments point into `bytes`. Messages name the field.
[[nodiscard]] Result<ImageFacts> parse_elf(std::span<const std::byte> bytes, ArchId arch);

/// The architecture in the ELF header, where it is one of ours.
[[nodiscard]] std::optional<ArchId> arch_of_elf(std::span<const std::byte> bytes);

/// The architecture whose kernels start like this.
[[nodiscard]] std::optional<ArchId> arch_of_kernel(std::span<const std::byte> bytes);

/// Everything that is not ELF; Raw where no magic number matches.
[[nodiscard]] Result<ImageFacts> parse_kernel(std::span<const std::byte> bytes, ArchId arch);

}  // namespace retrap
