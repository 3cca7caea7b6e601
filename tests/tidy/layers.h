// Which file may include which: the architecture as a rule.
#pragma once

#include "tests/tidy/source_file.h"

namespace retrap::tidy {

/// Project includes go downwards only, and no instruction set knows another.
[[nodiscard]] Offences layer_offences(const SourceFile& file);

/// Unicorn is known in sim/unicorn only.
[[nodiscard]] Offences unicorn_offences(const SourceFile& file);

/// Each other library of a kind that should stay behind our own interface is known in one .cpp.
[[nodiscard]] Offences library_offences(const std::vector<SourceFile>& files);

}  // namespace retrap::tidy
