// lcov's tracefile format.
#include "sim/cli/lcov.h"

#include <fmt/format.h>

#include <iterator>

namespace retrap::cli {

void Lcov::on_event(const traces::Event& event, std::uint64_t /*exit*/) {
  const auto* const exit = std::get_if<traces::ExitRecord>(&event);
  if (exit == nullptr) return;
  by_pc_[exit->pc] += 1;
  exits_ += 1;
}

std::uint64_t Lcov::strangers(const SourceLines& lines) const {
  std::uint64_t exits = 0;
  for (const auto& [pc, count] : by_pc_) {
    if (lines.find(pc) == nullptr) exits += count;
  }
  return exits;
}

std::string Lcov::text(const SourceLines& lines) const {
  std::map<std::string, std::map<std::uint32_t, std::uint64_t>> by_line;
  for (const SourceLines::Row& row : lines.rows()) {
    if (row.line != 0) by_line[lines.files()[row.file]].try_emplace(row.line, 0);
  }
  for (const auto& [pc, count] : by_pc_) {
    const SourceLines::Row* const row = lines.find(pc);
    if (row != nullptr) by_line[lines.files()[row->file]][row->line] += count;
  }
  std::string text;
  for (const auto& [file, counts] : by_line) {
    std::uint64_t hit = 0;
    fmt::format_to(std::back_inserter(text), "TN:\nSF:{}\n", file);
    for (const auto& [line, count] : counts) {
      fmt::format_to(std::back_inserter(text), "DA:{},{}\n", line, count);
      if (count != 0) hit += 1;
    }
    fmt::format_to(std::back_inserter(text), "LF:{}\nLH:{}\nend_of_record\n", counts.size(), hit);
  }
  return text;
}

}  // namespace retrap::cli
