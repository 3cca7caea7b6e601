// Standard output for the guest, standard error for us.
#pragma once

#include <string>
#include <string_view>

#include "vmm/console.h"

namespace retrap::cli {

/// Says what went wrong: a line "retrap: ..." on standard error for each line of `message`, with
/// control characters escaped, wherever they come from.
void complain(std::string_view message);

/// `text` with all control characters escaped but line feeds: traces hold whatever their author
/// likes.
[[nodiscard]] std::string harmless(std::string_view text);

/// Whether standard error is a terminal and standard output is not: then progress disturbs nobody.
[[nodiscard]] bool shows_progress();

/// Replaces the progress line by `text`; an empty one removes it.
void show_progress(std::string_view text);

/// Copies the guest's console to standard output: at once where that is a terminal, in blocks
/// where it is not.
class StandardOutput final : public ConsoleSink {
 public:
  StandardOutput();
  void put(char byte) override;

  /// Writes out what is held back. False where standard output has failed.
  [[nodiscard]] bool flush();

  /// Whether the last byte was no line feed.
  [[nodiscard]] bool inside_line() const { return last_ != '\n'; }

 private:
  bool immediate_;
  char last_ = '\n';
  std::string held_;
};

}  // namespace retrap::cli
