// Reading whole files, with a limit.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "vmm/image.h"

namespace retrap {

namespace {

struct Closer {
  void operator()(std::FILE* file) const { (void)std::fclose(file); }
};

tl::unexpected<Error> cannot_read(const std::string& path, int error) {
  const ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::NotFound
                         : error == EACCES                   ? ErrorCode::PermissionDenied
                                                             : ErrorCode::Backend;
  const char* const remedy = code == ErrorCode::NotFound           ? "check the path"
                             : code == ErrorCode::PermissionDenied ? "make it readable"
                                                                   : "use another file";
  return fail(code, "{}: cannot read: {}; {}", path, std::generic_category().message(error),
              remedy);
}

}  // namespace

Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t limit) {
  if (path.empty()) return fail(ErrorCode::InvalidInput, "the path is empty; name a file");
  if (path.find('\0') != std::string::npos) {
    return fail(ErrorCode::InvalidInput, "{}: a path holds no NUL; name a file", path.c_str());
  }
  std::error_code status;
  if (std::filesystem::is_directory(path, status)) {
    return fail(ErrorCode::InvalidInput, "{}: is a directory; name a file", path);
  }
  const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "rb"));
  if (!file) return cannot_read(path, errno);

  constexpr std::size_t kChunk = std::size_t{1} << 20;
  std::vector<std::byte> bytes;
  const std::uintmax_t size = std::filesystem::file_size(path, status);
  if (!status && size <= limit) bytes.reserve(static_cast<std::size_t>(size) + kChunk);
  while (true) {
    const std::size_t old = bytes.size();
    bytes.resize(old + kChunk);
    const std::size_t got = std::fread(bytes.data() + old, 1, kChunk, file.get());
    bytes.resize(old + got);
    if (std::ferror(file.get()) != 0) return cannot_read(path, errno);
    if (bytes.size() > limit) {
      return fail(ErrorCode::InvalidInput, "{}: is larger than {} bytes; use a smaller file", path,
                  limit);
    }
    if (got < kChunk) return bytes;
  }
}

}  // namespace retrap
