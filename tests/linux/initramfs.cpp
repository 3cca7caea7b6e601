// A "newc" archive of a few files behind an initramfs.
#include "tests/linux/initramfs.h"

#include <fmt/format.h>

#include <array>
#include <fstream>

namespace retrap::test {
namespace {

constexpr std::size_t kAlignment = 4;

void pad(std::string& archive) {
  archive.resize((archive.size() + kAlignment - 1) / kAlignment * kAlignment, '\0');
}

// buffer-format.rst: magic, then 13 fields of eight hexadecimal digits, the name with its zero,
// the contents; name and contents are padded to four bytes.
void add_entry(std::string& archive, std::string_view name, unsigned mode,
               std::string_view contents) {
  enum Field : std::uint8_t { Mode = 1, Links = 4, FileSize = 6, NameSize = 11, Count = 13 };
  std::array<std::size_t, Count> fields{};
  fields[Mode] = mode;
  fields[Links] = 1;
  fields[FileSize] = contents.size();
  fields[NameSize] = name.size() + 1;
  archive += "070701";
  for (const std::size_t field : fields) archive += fmt::format("{:08x}", field);
  archive += name;
  archive += '\0';
  pad(archive);
  archive += contents;
  pad(archive);
}

/// Empty where there is no such file.
std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

bool make_initramfs(const std::filesystem::path& initrd, std::string_view script,
                    const std::filesystem::path& out,
                    const std::vector<std::filesystem::path>& files) {
  constexpr unsigned kExecutableFile = 0100755;
  constexpr unsigned kFile = 0100644;
  std::string bytes = bytes_of(initrd);
  if (bytes.empty()) return false;
  pad(bytes);
  add_entry(bytes, "init", kExecutableFile, script);
  for (const std::filesystem::path& path : files) {
    const std::string contents = bytes_of(path);
    if (contents.empty()) return false;
    add_entry(bytes, path.filename().string(), kFile, contents);
  }
  add_entry(bytes, "TRAILER!!!", 0, {});
  std::ofstream file(out, std::ios::binary);
  file << bytes;
  return file.good();
}

}  // namespace retrap::test
