// How many instructions a translated block has, looked up at every block that runs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/base/bits.h"

namespace retrap::unicorn::riscv64 {

/// Instructions that start in the `size` bytes at `code` (a multiple of 2).
[[nodiscard]] std::uint32_t count_instructions(const std::uint8_t* code, std::uint32_t size);

/// The offset of instruction number `index` in `code`.
[[nodiscard]] std::uint32_t offset_of_instruction(const std::uint8_t* code, std::uint32_t index);

/// A block that runs: where it is, and how many instructions it has.
struct BlockSlot {
  static constexpr std::uint64_t kNoKey = ~std::uint64_t{0};  ///< no block has such a size
  static constexpr unsigned kSizeBits = 14;
  static constexpr unsigned kCountBits = 16;

  std::uint64_t key = kNoKey;
  std::uint64_t data = 0;

  /// Canonical addresses of Sv48 and guest-physical ones of Sv48x4 have 50 bits that matter.
  [[nodiscard]] static constexpr std::uint64_t key_of(std::uint64_t pc, std::uint32_t size) {
    return pc << kSizeBits | size;
  }
  [[nodiscard]] static constexpr std::uint64_t data_of(std::uint64_t host_offset,
                                                       std::uint32_t count) {
    return host_offset << kCountBits | count;
  }
  [[nodiscard]] constexpr std::uint64_t pc() const {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(key) >> kSizeBits);
  }
  [[nodiscard]] constexpr std::uint32_t count() const {
    return static_cast<std::uint32_t>(data & ((1u << kCountBits) - 1));
  }
  /// Of its first byte, from the start of host memory.
  [[nodiscard]] constexpr std::uint64_t host_offset() const { return data >> kCountBits; }
};

/// Blocks by address. The caller drops what is no longer true.
class BlockCounts {
 public:
  [[nodiscard]] static constexpr std::size_t index_of(std::uint64_t pc) {
    return ((pc >> 1) ^ (pc >> 12)) & (kSlots - 1);
  }
  [[nodiscard]] BlockSlot& slot(std::uint64_t pc) { return slots_[index_of(pc)]; }

  /// Forgets the blocks that begin at `pc`.
  void drop(std::uint64_t pc);
  /// Forgets the blocks that begin in the 4 KiB page at `page`.
  void drop_page(std::uint64_t page);

 private:
  static constexpr std::size_t kSlots = 16384;
  std::array<BlockSlot, kSlots> slots_{};
};

}  // namespace retrap::unicorn::riscv64
