// The lines of a guest's sources at which it left to the monitor, in lcov's tracefile format
// (geninfo(1)), for genhtml and editors.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sim/cli/source_lines.h"
#include "traces/walk.h"

namespace retrap::cli {

class Lcov final : public traces::Visitor {
 public:
  void on_event(const traces::Event& event, std::uint64_t exit) override;

  /// Every line that has code, with how many exits it had.
  [[nodiscard]] std::string text(const SourceLines& lines) const;
  [[nodiscard]] std::uint64_t exits() const { return exits_; }
  /// Exits at addresses that no line is known for: of another program, or loaded elsewhere.
  [[nodiscard]] std::uint64_t strangers(const SourceLines& lines) const;

 private:
  std::map<std::uint64_t, std::uint64_t> by_pc_;
  std::uint64_t exits_ = 0;
};

}  // namespace retrap::cli
