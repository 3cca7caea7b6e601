// The project's own files as the house rules see them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace retrap::tidy {

struct SourceFile {
  std::string path;  ///< from the project's root: "vmm/exit.h"
  std::vector<std::string> lines;

  [[nodiscard]] bool is_cpp() const;
  [[nodiscard]] bool is_header() const;

  /// "vmm/vm.h:12"; `index` counts from 0.
  [[nodiscard]] std::string where(std::size_t index) const;
};

/// Every text file of the project, sorted by path. Build folders are not looked at.
[[nodiscard]] std::vector<SourceFile> project_files();

/// The line without its // comment. A // inside a string ends it too: good enough for rules.
[[nodiscard]] std::string_view code_of(std::string_view line);

/// What `line` includes: "vmm/exit.h" or "unicorn/unicorn.h"; empty where it includes nothing.
[[nodiscard]] std::string_view included_by(std::string_view line);

/// A rule gives one line for each offence; no lines is good.
using Offences = std::vector<std::string>;

}  // namespace retrap::tidy
