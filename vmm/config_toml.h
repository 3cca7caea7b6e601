// Configuration files: axvm's TOML schema, in both of its notations.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.h"
#include "vmm/config_file.h"

namespace retrap {

/// Reads `text`. All that is wrong is in one Error, a line "PATH:LINE:COLUMN: what; what to do" for
/// each, in the order of the file: syntax, unknown keys, types, and what problems_of() finds.
/// Relative paths in the file are taken from the folder of `path`. `arch` is for files that name
/// none (axvm's own do not); where the file names another one, that is an error.
[[nodiscard]] Result<VmConfig> parse_config(std::string_view text, const std::string& path,
                                            std::optional<ArchId> arch = std::nullopt);

/// The same for a file of at most 1 MiB.
[[nodiscard]] Result<VmConfig> load_config(const std::string& path,
                                           std::optional<ArchId> arch = std::nullopt);

/// Reads `text` and does not ask whether it makes sense: the file has the problems of reading it,
/// and takes those that others find. An Error where it is not TOML.
[[nodiscard]] Result<ConfigFile> parse_config_file(std::string_view text, const std::string& path,
                                                   std::optional<ArchId> arch = std::nullopt);

/// The same for a file of at most 1 MiB.
[[nodiscard]] Result<ConfigFile> load_config_file(const std::string& path,
                                                  std::optional<ArchId> arch = std::nullopt);

}  // namespace retrap
