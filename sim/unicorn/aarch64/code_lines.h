// Which lines of host memory the engine holds translations of, and which it has to drop.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/host_ram.h"
#include "sim/unicorn/engine.h"

namespace retrap::unicorn::aarch64 {

/// The engine notices a guest's store to code only through an executable mapping, and a store of
/// the host never. So translations are dropped where the architecture lets the guest expect it: at
/// IC, by line, and only where the bytes differ from those that were translated.
///
/// Invariant: a line is `Clean` only if all translations of its bytes are of the copy kept here.
class CodeLines {
 public:
  static constexpr std::uint64_t kLineBytes = 64;
  /// Virtual addresses of our own, above every canonical one: the engine drops translations by
  /// virtual address, and the fill hook maps kWindow | hpa to hpa while it does.
  static constexpr std::uint64_t kWindow = 0x00f0'0000'0000'0000;
  [[nodiscard]] static constexpr bool in_window(std::uint64_t va) {
    return va >> 48 == kWindow >> 48;
  }

  /// NoMemory where the operating system refuses. Only pages with code cost memory.
  [[nodiscard]] static Result<CodeLines> make(HostMemory& memory);

  /// `size` bytes at `hpa` (within one page) have been translated.
  void translated(std::uint64_t hpa, std::uint64_t size);
  [[nodiscard]] bool holds(std::uint64_t hpa) const {
    return state_.bytes()[line_of(hpa)] != kNone;
  }

  /// IC IVAU: queues the line if its bytes have changed.
  void invalidate_line(std::uint64_t hpa);
  /// IC IALLU: the same for every line.
  void invalidate_changed();
  /// The page was, or will be, written behind our back: queues every line of it.
  void invalidate_page(std::uint64_t hpa);
  /// Queues the whole cache.
  void invalidate_everything() { everything_ = true; }

  [[nodiscard]] bool pending() const { return everything_ || !queue_.empty(); }
  /// apply() is at work: fetches from the window are its own.
  [[nodiscard]] bool applying() const { return applying_; }
  /// Drops what is queued. Never inside a hook.
  void apply(Engine& engine);

 private:
  struct Range {
    std::uint64_t begin, end;
  };
  static constexpr std::byte kNone{0};
  static constexpr std::byte kClean{1};
  static constexpr std::byte kMixed{2};  ///< translations of different ages
  static constexpr std::size_t kMaxQueue = 4096;

  CodeLines(HostMemory& memory, HostRam state, HostRam listed, HostRam copy);
  [[nodiscard]] std::byte& state(std::uint64_t line) { return state_.bytes()[line]; }
  [[nodiscard]] std::byte& listed(std::uint64_t line) { return listed_.bytes()[line]; }
  [[nodiscard]] std::uint64_t line_of(std::uint64_t hpa) const {
    return (hpa - memory_.base().raw()) / kLineBytes;
  }
  [[nodiscard]] bool is_unchanged(std::uint64_t line) const;
  void queue(std::uint64_t hpa);

  HostMemory& memory_;
  HostRam state_;
  HostRam listed_;  ///< whether a line is in lines_
  HostRam copy_;
  std::vector<std::uint64_t> lines_;  ///< every line that is not kNone, each once
  std::vector<Range> queue_;
  bool everything_ = false;
  bool applying_ = false;
};

}  // namespace retrap::unicorn::aarch64
