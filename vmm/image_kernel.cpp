// Linux kernels: arm64 and riscv Image, bzImage; each may also be a PE file for UEFI.
#include <algorithm>

#include "vmm/base/address.h"
#include "vmm/base/bytes.h"
#include "vmm/image_formats.h"

namespace retrap {

namespace {

using literals::operator""_GiB;

// Documentation/arch/arm64/booting.rst, Documentation/arch/riscv/boot-image-header.rst: both
// headers have these fields at the same places.
constexpr std::uint64_t kImageHeaderSize = 64;
constexpr std::uint64_t kTextOffset = 8;
constexpr std::uint64_t kImageSize = 16;
constexpr std::uint64_t kFlags = 24;
constexpr std::uint64_t kMagic = 56;
constexpr std::uint32_t kArm64Magic = 0x644d5241;  // "ARM\x64"
constexpr std::uint32_t kRiscvMagic = 0x05435352;  // "RSC\x05"
constexpr std::uint64_t kBigEndianFlag = 1;

// Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
constexpr std::uint64_t kSetupSects = 0x1f1;
constexpr std::uint64_t kSyssize = 0x1f4;
constexpr std::uint64_t kBootFlag = 0x1fe;
constexpr std::uint64_t kHdrs = 0x202;
constexpr std::uint64_t kVersion = 0x206;
constexpr std::uint64_t kXloadflags = 0x236;
constexpr std::uint64_t kSetupHeaderEnd = 0x264;  // of version 2.12
constexpr std::uint16_t kBootFlagValue = 0xaa55;
constexpr std::uint32_t kHdrsValue = 0x53726448;  // "HdrS"
constexpr std::uint16_t kOldestVersion = 0x020c;
constexpr std::uint16_t kXlfKernel64 = 1;
constexpr std::uint64_t kSectorSize = 512;
constexpr std::uint64_t kEntry64 = 0x200;  ///< distance of the 64-bit entry from the payload

ImageFacts facts_of(ImageKind kind, std::uint64_t memory_size, std::uint64_t text_offset = 0) {
  ImageFacts facts;
  facts.kind = kind;
  facts.memory_size = memory_size;
  facts.text_offset = text_offset;
  return facts;
}

/// The word at `offset`, zero past the end: for comparing with a magic number.
template <class T>
T word(ConstBytes bytes, std::uint64_t offset) {
  return load_le<T>(bytes, offset).value_or(0);
}

std::optional<ImageKind> kind_of(ConstBytes bytes) {
  if (word<std::uint16_t>(bytes, kBootFlag) == kBootFlagValue &&
      word<std::uint32_t>(bytes, kHdrs) == kHdrsValue) {
    return ImageKind::BzImage;
  }
  const auto magic = word<std::uint32_t>(bytes, kMagic);
  if (magic == kArm64Magic) return ImageKind::Arm64Image;
  if (magic == kRiscvMagic) return ImageKind::RiscvImage;
  return std::nullopt;
}

ArchId built_for(ImageKind kernel) {
  return kernel == ImageKind::BzImage      ? ArchId::X86_64
         : kernel == ImageKind::Arm64Image ? ArchId::Aarch64
                                           : ArchId::Riscv64;
}

Result<ImageFacts> parse_image(ConstBytes bytes, ImageKind kind) {
  const auto text_offset = word<std::uint64_t>(bytes, kTextOffset);
  const auto image_size = word<std::uint64_t>(bytes, kImageSize);
  const auto flags = word<std::uint64_t>(bytes, kFlags);
  if (bytes.size() < kImageHeaderSize) {
    return fail(ErrorCode::InvalidInput,
                "{} header: {} bytes, the header alone has {}; the file is cut short",
                to_string(kind), bytes.size(), kImageHeaderSize);
  }
  if ((flags & kBigEndianFlag) != 0) {
    return fail(ErrorCode::InvalidInput,
                "{} flags: {:#x} says big-endian; use a little-endian kernel", to_string(kind),
                flags);
  }
  // Before Linux 3.17 image_size was zero, and text_offset fixed whatever it said.
  if (kind == ImageKind::Arm64Image && image_size == 0) {
    return facts_of(kind, bytes.size(), 0x80000);
  }
  constexpr std::uint64_t kFarthest = 1_GiB;
  if (text_offset >= kFarthest) {
    return fail(ErrorCode::InvalidInput,
                "{} text_offset: {:#x} is {:#x} or more; the file is damaged", to_string(kind),
                text_offset, kFarthest);
  }
  constexpr std::uint64_t kLargest = 1_GiB << 6;
  if (image_size == 0 || image_size > kLargest) {
    return fail(ErrorCode::InvalidInput,
                "{} image_size: {:#x} is not in 1..{:#x}; the file is damaged", to_string(kind),
                image_size, kLargest);
  }
  return facts_of(kind, std::max<std::uint64_t>(image_size, bytes.size()), text_offset);
}

Result<ImageFacts> parse_bzimage(ConstBytes bytes) {
  if (bytes.size() < kSetupHeaderEnd) {
    return fail(ErrorCode::InvalidInput,
                "bzImage setup header: ends at {:#x}, the file at {:#x}; the file is cut short",
                kSetupHeaderEnd, bytes.size());
  }
  const auto version = word<std::uint16_t>(bytes, kVersion);
  if (version < kOldestVersion) {
    return fail(ErrorCode::Unsupported,
                "bzImage version: boot protocol {}.{} is older than 2.12; use Linux 3.8 or newer",
                version >> 8, version & 0xff);
  }
  if ((word<std::uint16_t>(bytes, kXloadflags) & kXlfKernel64) == 0) {
    return fail(ErrorCode::Unsupported,
                "bzImage xloadflags: no 64-bit entry point; use a 64-bit kernel");
  }
  const std::uint64_t setup_sects = word<std::uint8_t>(bytes, kSetupSects);
  // Zero means four, for ancient loaders.
  const std::uint64_t setup = ((setup_sects == 0 ? 4 : setup_sects) + 1) * kSectorSize;
  const std::uint64_t payload = bytes.size() > setup ? bytes.size() - setup : 0;
  const std::uint64_t wanted = std::uint64_t{word<std::uint32_t>(bytes, kSyssize)} * 16;
  if (payload <= kEntry64 || payload < wanted) {
    return fail(ErrorCode::InvalidInput,
                "bzImage syssize: the kernel has {:#x} bytes, the file {:#x} after its setup; the "
                "file is cut short",
                wanted, payload);
  }
  return facts_of(ImageKind::BzImage, bytes.size());
}

/// What people give by mistake instead of a kernel. Null where it is none of that.
const char* why_not_raw(ConstBytes bytes) {
  if (word<std::uint16_t>(bytes, 0) == 0x8b1f) return "is compressed with gzip; gunzip it first";
  if (word<std::uint32_t>(bytes, 0) == 0xfd2fb528)
    return "is compressed with zstd; unzstd it first";
  if (word<std::uint32_t>(bytes, 0) == 0x587a37fd) return "is compressed with xz; unxz it first";
  if (word<std::uint32_t>(bytes, 4) == 0x676d697a && word<std::uint16_t>(bytes, 0) == 0x5a4d) {
    return "is a compressed EFI zboot kernel; use the plain Image (vmlinux.efi holds it packed)";
  }
  return nullptr;
}

}  // namespace

std::optional<ArchId> arch_of_kernel(std::span<const std::byte> bytes) {
  const auto kind = kind_of(bytes);
  return kind ? std::optional(built_for(*kind)) : std::nullopt;
}

Result<ImageFacts> parse_kernel(std::span<const std::byte> bytes, ArchId arch) {
  const auto kind = kind_of(bytes);
  if (!kind) {
    const char* const why = why_not_raw(bytes);
    if (why != nullptr) return fail(ErrorCode::InvalidInput, "{}", why);
    return facts_of(ImageKind::Raw, bytes.size());
  }
  if (built_for(*kind) != arch) {
    return fail(ErrorCode::InvalidInput,
                "is a kernel for {} ({}), the guest is {}; use a kernel for {}",
                to_string(built_for(*kind)), to_string(*kind), to_string(arch), to_string(arch));
  }
  return *kind == ImageKind::BzImage ? parse_bzimage(bytes) : parse_image(bytes, *kind);
}

}  // namespace retrap
