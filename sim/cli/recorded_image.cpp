// Finds and checks the bytes of recorded images.
#include "sim/cli/recorded_image.h"

#include <filesystem>

#include "sim/cli/report.h"
#include "vmm/base/digest.h"
#include "vmm/image.h"

namespace retrap::cli {
namespace {

constexpr std::uint64_t kLargestImage = std::uint64_t{1} << 30;

std::string_view option_for(std::string_view role) {
  if (role == "kernel") return "; give the recorded one with --kernel FILE";
  if (role == "ramdisk") return "; give the recorded one with --initrd FILE";
  return "; put the recorded one there";
}

Result<std::vector<std::byte>> read_named(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return fail(ErrorCode::InvalidInput, "{}: is no regular file", path);
  }
  return read_file(path, kLargestImage);
}

}  // namespace

Result<std::vector<std::byte>> recorded_image(const traces::Reader& trace, std::size_t number,
                                              const std::optional<std::string>& given) {
  const traces::ImageRecord& image = trace.header().images[number];
  const std::string path = given.value_or(image.path);
  auto bytes = given            ? read_file(path, kLargestImage)
               : image.embedded ? trace.image(number)
                                : read_named(path);
  if (!bytes) {
    if (image.embedded && !given) return bytes;
    const std::string& message = bytes.error().message;
    return fail(bytes.error().code, "{}: its {} is not here: {}{}", trace.name(), image.role,
                message.substr(0, message.find(';')), option_for(image.role));
  }
  Digest digest;
  digest.add(*bytes);
  if (bytes->size() == image.size && digest.value() == image.digest) return bytes;
  return fail(ErrorCode::InvalidInput,
              "{}: {} is not the recorded {}: {} bytes with digest {}, not {} with {}{}",
              trace.name(), path, image.role, bytes->size(), digest_text(digest.value()),
              image.size, digest_text(image.digest), option_for(image.role));
}

}  // namespace retrap::cli
