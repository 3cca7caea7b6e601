// A "newc" archive of one file behind an initramfs.
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

}  // namespace

bool make_initramfs(const std::filesystem::path& initrd, std::string_view script,
                    const std::filesystem::path& out) {
  constexpr unsigned kExecutableFile = 0100755;
  std::ifstream in(initrd, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  if (!in || bytes.empty()) return false;
  pad(bytes);
  add_entry(bytes, "init", kExecutableFile, script);
  add_entry(bytes, "TRAILER!!!", 0, {});
  std::ofstream file(out, std::ios::binary);
  file << bytes;
  return file.good();
}

}  // namespace retrap::test
