// The lines of a guest's sources at which it left to the monitor, in lcov's tracefile format
// (geninfo(1)), for genhtml and editors.
#pragma once

#include <cstdint>
#include <string>

#include "sim/cli/source_lines.h"
#include "traces/statistics.h"

namespace retrap::cli {

struct Lcov {
  std::string text;  ///< every line that has code, with how many exits it had
  /// Exits at addresses that no line is known for: of another program, or loaded elsewhere.
  std::uint64_t strangers = 0;
};

[[nodiscard]] Lcov lcov_of(const traces::Statistics& statistics, const SourceLines& lines);

}  // namespace retrap::cli
