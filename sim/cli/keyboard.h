// Standard input, byte by byte, for the guest's console.
#pragma once

#include <chrono>
#include <memory>
#include <string>

namespace retrap::cli {

/// Where standard input is a terminal, keys come one by one and unechoed until this goes away.
class Keyboard {
 public:
  Keyboard();
  ~Keyboard();
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;

  /// What has been typed; waits for it at most so long (negative: for ever). Empty at the end of
  /// the input too, and when an Interruption comes.
  [[nodiscard]] std::string read(std::chrono::milliseconds most);

  /// For signal handlers: the terminal's modes as they were before there was a Keyboard.
  static void restore_terminal();

  [[nodiscard]] bool is_over() const { return over_; }
  /// Ctrl-] was typed at a terminal.
  [[nodiscard]] bool wants_out() const { return wants_out_; }

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;  ///< how the terminal was; null where there is none
  bool over_ = false;
  bool wants_out_ = false;
};

}  // namespace retrap::cli
