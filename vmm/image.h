// Guest images: what a file is, and what it asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/arch_id.h"
#include "vmm/base/address.h"
#include "vmm/base/result.h"

namespace retrap {

enum class ImageKind : std::uint8_t {
  Elf,         ///< ELF64 executable (or static PIE linked at its load address)
  Arm64Image,  ///< Linux arm64 Image, PE-wrapped or not (Documentation/arch/arm64/booting)
  RiscvImage,  ///< Linux riscv Image (Documentation/arch/riscv/boot-image-header)
  BzImage,     ///< Linux x86 boot protocol >= 2.12 with a 64-bit entry
  Raw,         ///< anything else: loaded and entered at the configured address
};

[[nodiscard]] std::string_view to_string(ImageKind kind);

/// Part of an ELF file: `bytes` (inside the image) go to `address`, then zeroes up to `size`.
struct ImageSegment {
  GuestPhys address;  ///< the physical address of the program header
  std::span<const std::byte> bytes;
  std::uint64_t size;  ///< >= bytes.size()
};

/// One image in memory, its bytes and what its header says. Every number is checked against the
/// size of the file and for wrapping; a broken header is an Error that names path and field.
///
/// Moves and does not copy: the segments point into the bytes.
class Image {
 public:
  Image(Image&&) noexcept = default;
  Image& operator=(Image&&) noexcept = default;

  /// Recognises `bytes`. `path` is for messages. InvalidInput where a header is damaged, or made
  /// for another architecture than `arch`.
  [[nodiscard]] static Result<Image> parse(std::string path, std::vector<std::byte> bytes,
                                           ArchId arch);
  /// Reads the whole file first (at most 1 GiB; not a directory).
  [[nodiscard]] static Result<Image> load(const std::string& path, ArchId arch);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] ImageKind kind() const { return kind_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  /// Elf: the loadable segments, disjoint, sorted by address. Empty otherwise.
  [[nodiscard]] const std::vector<ImageSegment>& segments() const { return segments_; }
  /// Elf: the entry point.
  [[nodiscard]] std::optional<GuestPhys> entry() const { return entry_; }
  /// Arm64Image, RiscvImage: distance of the load address from a 2 MiB boundary of RAM.
  [[nodiscard]] std::uint64_t text_offset() const { return text_offset_; }
  /// Arm64Image, RiscvImage: bytes of RAM the kernel needs from its load address (with bss).
  /// Otherwise the size of the file or of the segments.
  [[nodiscard]] std::uint64_t memory_size() const { return memory_size_; }

 private:
  Image() = default;
  std::string path_;
  std::vector<std::byte> bytes_;
  ImageKind kind_ = ImageKind::Raw;
  std::vector<ImageSegment> segments_;
  std::optional<GuestPhys> entry_;
  std::uint64_t text_offset_ = 0;
  std::uint64_t memory_size_ = 0;
};

/// The architecture that the magic numbers of `bytes` name; nothing for a raw binary.
[[nodiscard]] std::optional<ArchId> arch_of_image(std::span<const std::byte> bytes);

/// The images of one VM, loaded and recognised, before any guest memory is touched.
struct Images {
  std::optional<Image> kernel;
  std::vector<std::byte> ramdisk;
  std::vector<std::byte> dtb;
  std::vector<std::byte> bios;
};

struct VmConfig;
struct ConfigProblem;

/// Loads every file that `config` names. Adds a problem, with its key, for each that fails; that
/// one is missing.
[[nodiscard]] Images load_images(const VmConfig& config, std::vector<ConfigProblem>& problems);

/// The same; all that fail are in one Error, a line each. Unsupported where the configuration says
/// that the images are not in files.
[[nodiscard]] Result<Images> load_images(const VmConfig& config);

/// The bytes of a file of at most `limit` bytes.
[[nodiscard]] Result<std::vector<std::byte>> read_file(const std::string& path,
                                                       std::uint64_t limit);

}  // namespace retrap
