// The receive FIFO of a UART.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/base/digest.h"

namespace retrap {

/// At most `kDepth` bytes, first in, first out. A value.
template <std::size_t kDepth>
class ReceiveFifo {
 public:
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::size_t size() const { return count_; }

  /// False, and nothing kept, where `limit` bytes are there already. Requires limit <= kDepth.
  [[nodiscard]] bool push(std::uint8_t byte, std::size_t limit = kDepth) {
    if (count_ >= limit) return false;
    bytes_[(first_ + count_) % kDepth] = byte;
    ++count_;
    return true;
  }

  /// The oldest byte; zero where there is none.
  [[nodiscard]] std::uint8_t pop() {
    if (count_ == 0) return 0;
    const std::uint8_t byte = bytes_[first_];
    first_ = (first_ + 1) % kDepth;
    --count_;
    return byte;
  }

  void clear() { count_ = 0; }

  void digest(Digest& into) const {
    into.add(count_);
    for (std::size_t i = 0; i < count_; ++i) into.add(bytes_[(first_ + i) % kDepth]);
  }

 private:
  std::array<std::uint8_t, kDepth> bytes_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace retrap
