// Outputs that would overwrite what is read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace retrap::cli {

/// A file of a command line: what it is for ("-o", "the kernel"), and its path. Without one it is
/// passed over.
struct NamedFile {
  std::string_view what;
  std::optional<std::string> path;
};

/// Before anything is opened for writing: InvalidInput, in one line, where an output is also one of
/// the inputs or another output, under whatever name. Pipes and devices may be several things.
[[nodiscard]] Result<> check_distinct(const std::vector<NamedFile>& outputs,
                                      const std::vector<NamedFile>& inputs);

}  // namespace retrap::cli
