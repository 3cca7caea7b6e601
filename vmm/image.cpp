// Guest images: recognising them and loading all of a VM.
#include "vmm/image.h"

#include "vmm/base/bytes.h"
#include "vmm/base/check.h"
#include "vmm/config_check.h"
#include "vmm/fdt.h"
#include "vmm/image_formats.h"

namespace retrap {

namespace {

constexpr std::uint64_t kLargestImage = std::uint64_t{1} << 30;

bool is_elf(ConstBytes bytes) {
  constexpr std::uint32_t kElfMagic = 0x464c457f;  // "\x7f" "ELF"
  return load_le<std::uint32_t>(bytes) == kElfMagic;
}

/// Reads `path` into `into` where there is one; adds what went wrong to `problems`.
void load_optional(std::string_view key, const std::optional<std::string>& path,
                   std::vector<std::byte>& into, std::vector<ConfigProblem>& problems) {
  if (!path || path->empty()) return;
  auto bytes = read_file(*path, kLargestImage);
  if (bytes && bytes->empty()) {
    bytes = fail(ErrorCode::InvalidInput, "{}: is empty; name another file", *path);
  }
  if (bytes) {
    into = *std::move(bytes);
  } else {
    problems.push_back({.key = std::string(key), .text = bytes.error().message});
  }
}

}  // namespace

std::string_view to_string(ImageKind kind) {
  switch (kind) {
    case ImageKind::Elf:        return "ELF";
    case ImageKind::Arm64Image: return "arm64 Image";
    case ImageKind::RiscvImage: return "riscv Image";
    case ImageKind::BzImage:    return "bzImage";
    case ImageKind::Raw:        return "raw";
  }
  RETRAP_CHECK(false, "image kind {}", static_cast<int>(kind));
  return {};
}

std::optional<ArchId> arch_of_image(std::span<const std::byte> bytes) {
  return is_elf(bytes) ? arch_of_elf(bytes) : arch_of_kernel(bytes);
}

Result<Image> Image::parse(std::string path, std::vector<std::byte> bytes, ArchId arch) {
  Image image;
  image.path_ = std::move(path);
  image.bytes_ = std::move(bytes);
  const ConstBytes view = image.bytes_;
  if (view.empty()) {
    return fail(ErrorCode::InvalidInput, "{}: is empty; name another file", image.path_);
  }
  auto facts = is_elf(view) ? parse_elf(view, arch) : parse_kernel(view, arch);
  if (!facts) {
    return tl::unexpected(while_doing("{}", image.path_)(std::move(facts).error()));
  }
  image.kind_ = facts->kind;
  image.segments_ = std::move(facts->segments);
  image.entry_ = facts->entry;
  image.text_offset_ = facts->text_offset;
  image.memory_size_ = facts->memory_size;
  return image;
}

Result<Image> Image::load(const std::string& path, ArchId arch) {
  RETRAP_TRY(auto bytes, read_file(path, kLargestImage));
  return parse(path, std::move(bytes), arch);
}

Images load_images(const VmConfig& config, std::vector<ConfigProblem>& problems) {
  Images images;
  if (!config.kernel_path.empty()) {
    auto kernel = Image::load(config.kernel_path, config.arch);
    if (kernel) {
      images.kernel = *std::move(kernel);
    } else {
      problems.push_back({.key = "kernel.kernel_path", .text = kernel.error().message});
    }
  }
  load_optional("kernel.ramdisk_path", config.ramdisk_path, images.ramdisk, problems);
  load_optional("kernel.bios_path", config.bios_path, images.bios, problems);
  load_optional("kernel.dtb_path", config.dtb_path, images.dtb, problems);
  if (images.dtb.empty()) return images;
  if (const auto checked = check_fdt(images.dtb); !checked) {
    problems.push_back({.key = "kernel.dtb_path",
                        .text = fmt::format("{}: {}; compile it with dtc", *config.dtb_path,
                                            checked.error().message)});
  }
  return images;
}

Result<Images> load_images(const VmConfig& config) {
  if (config.image_location == ImageLocation::Memory) {
    return fail(ErrorCode::Unsupported,
                "image_location \"memory\" means images compiled into the program, and there are "
                "none; use image_location = \"fs\"");
  }
  std::vector<ConfigProblem> problems;
  Images images = load_images(config, problems);
  if (problems.empty()) return images;
  std::vector<std::string> lines;
  lines.reserve(problems.size());
  for (ConfigProblem& problem : problems) lines.push_back(std::move(problem.text));
  return tl::unexpected(Error{ErrorCode::InvalidInput, fmt::format("{}", fmt::join(lines, "\n"))});
}

}  // namespace retrap
