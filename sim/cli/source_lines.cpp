// Line tables, by libdw.
#include "sim/cli/source_lines.h"

#include <elfutils/libdw.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <tuple>

#include "vmm/image.h"

namespace retrap::cli {
namespace {

constexpr std::uint64_t kLargestProgram = std::uint64_t{2} << 30;

struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};

struct DwarfEnd {
  void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
};

/// Gives each file of a program a number; two where it is written in two ways.
class Files {
 public:
  std::uint32_t number(const char* name) {
    const auto [found, added] =
        numbers_.try_emplace(name, static_cast<std::uint32_t>(names_.size()));
    if (added) names_.push_back(std::filesystem::path(name).lexically_normal().string());
    return found->second;
  }
  [[nodiscard]] std::vector<std::string> take() { return std::move(names_); }

 private:
  std::map<std::string, std::uint32_t> numbers_;
  std::vector<std::string> names_;
};

/// The rows of one compilation unit; what libdw cannot read of it is left out.
void add_unit(Dwarf_Die& unit, Files& files, std::vector<SourceLines::Row>& rows) {
  Dwarf_Lines* lines = nullptr;
  std::size_t count = 0;
  if (dwarf_getsrclines(&unit, &lines, &count) != 0) return;
  for (std::size_t i = 0; i < count; ++i) {
    Dwarf_Line* const line = dwarf_onesrcline(lines, i);
    Dwarf_Addr address = 0;
    int number = 0;
    bool ends = false;
    if (dwarf_lineaddr(line, &address) != 0 || dwarf_lineendsequence(line, &ends) != 0) continue;
    const char* const file = dwarf_linesrc(line, nullptr, nullptr);
    if (ends || file == nullptr || dwarf_lineno(line, &number) != 0 || number < 0) number = 0;
    rows.push_back({.address = address,
                    .line = static_cast<std::uint32_t>(number),
                    .file = number == 0 ? 0 : files.number(file)});
  }
}

}  // namespace

Result<SourceLines> SourceLines::read(const std::string& path) {
  RETRAP_TRY(auto bytes, read_file(path, kLargestProgram));
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, ElfEnd> elf(
      elf_memory(reinterpret_cast<char*>(bytes.data()), bytes.size()));
  const std::unique_ptr<Dwarf, DwarfEnd> dwarf(
      elf ? dwarf_begin_elf(elf.get(), DWARF_C_READ, nullptr) : nullptr);
  SourceLines lines;
  Files files;
  Dwarf_Off offset = 0;
  Dwarf_Off next = 0;
  std::size_t header = 0;
  while (dwarf &&
         dwarf_nextcu(dwarf.get(), offset, &next, &header, nullptr, nullptr, nullptr) == 0) {
    Dwarf_Die unit;
    if (dwarf_offdie(dwarf.get(), offset + header, &unit) != nullptr) {
      add_unit(unit, files, lines.rows_);
    }
    offset = next;
  }
  if (lines.rows_.empty()) {
    return fail(ErrorCode::InvalidInput,
                "{}: no ELF file with line numbers; compile the guest with -g", path);
  }
  // Where one sequence ends another may begin: its row comes behind.
  std::sort(lines.rows_.begin(), lines.rows_.end(), [](const Row& a, const Row& b) {
    return std::tie(a.address, a.line, a.file) < std::tie(b.address, b.line, b.file);
  });
  lines.files_ = files.take();
  return lines;
}

const SourceLines::Row* SourceLines::find(std::uint64_t address) const {
  const auto behind =
      std::upper_bound(rows_.begin(), rows_.end(), address,
                       [](std::uint64_t at, const Row& row) { return at < row.address; });
  if (behind == rows_.begin()) return nullptr;
  const Row& row = *(behind - 1);
  return row.line == 0 ? nullptr : &row;
}

}  // namespace retrap::cli
