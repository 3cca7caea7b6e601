// lcov's tracefile format.
#include "sim/cli/lcov.h"

#include <fmt/format.h>

#include <iterator>
#include <map>

namespace retrap::cli {

Lcov lcov_of(const traces::Statistics& statistics, const SourceLines& lines) {
  Lcov lcov;
  std::map<std::string, std::map<std::uint32_t, std::uint64_t>> by_line;
  for (const SourceLines::Row& row : lines.rows()) {
    if (row.line != 0) by_line[lines.files()[row.file]].try_emplace(row.line, 0);
  }
  for (const auto& [kind_and_pc, count] : statistics.by_pc()) {
    if (const SourceLines::Row* const row = lines.find(kind_and_pc.second)) {
      by_line[lines.files()[row->file]][row->line] += count.exits;
    } else {
      lcov.strangers += count.exits;
    }
  }
  for (const auto& [file, counts] : by_line) {
    std::uint64_t hit = 0;
    fmt::format_to(std::back_inserter(lcov.text), "TN:\nSF:{}\n", file);
    for (const auto& [line, count] : counts) {
      fmt::format_to(std::back_inserter(lcov.text), "DA:{},{}\n", line, count);
      if (count != 0) hit += 1;
    }
    fmt::format_to(std::back_inserter(lcov.text), "LF:{}\nLH:{}\nend_of_record\n", counts.size(),
                   hit);
  }
  return lcov;
}

}  // namespace retrap::cli
