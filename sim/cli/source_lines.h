// Which line of which source file an instruction of a guest comes from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.h"

namespace retrap::cli {

/// The line table of a program (DWARF), read as a whole.
class SourceLines {
 public:
  /// From `address` on, as far as the next row. Line 0: nobody's code.
  struct Row {
    std::uint64_t address = 0;
    std::uint32_t line = 0;
    std::uint32_t file = 0;  ///< of files()
  };

  /// As read_file(); InvalidInput (no ELF file, or one without line numbers).
  [[nodiscard]] static Result<SourceLines> read(const std::string& path);

  /// The row of the instruction at `address`; null where there is no line for it.
  [[nodiscard]] const Row* find(std::uint64_t address) const;
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  [[nodiscard]] const std::vector<std::string>& files() const { return files_; }

 private:
  std::vector<Row> rows_;  ///< sorted by address
  std::vector<std::string> files_;
};

}  // namespace retrap::cli
