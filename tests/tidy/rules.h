// The other rules of the house that no compiler checks.
#pragma once

#include "tests/tidy/source_file.h"

namespace retrap::tidy {

/// What would make two runs differ, or what we do not write.
[[nodiscard]] Offences banned_offences(const SourceFile& file);

/// Lines of at most 100 columns (120 in a fenced table), files of at most 500 lines (tables
/// excepted), a first line that says what the file is for, `#pragma once` in headers.
[[nodiscard]] Offences shape_offences(const SourceFile& file);

/// Reminders to come back later belong in the issue tracker; paths and hosts of one machine
/// belong nowhere.
[[nodiscard]] Offences leftover_offences(const SourceFile& file);

}  // namespace retrap::tidy
