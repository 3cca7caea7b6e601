// How many instructions a translated block has, looked up at every block that runs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm/base/bits.h"

namespace retrap::unicorn::riscv64 {

/// Instructions that start in the `size` bytes at `code` (a multiple of 2).
[[nodiscard]] std::uint32_t count_instructions(const std::uint8_t* code, std::uint32_t size);

/// The offset of instruction number `index` in `code`.
[[nodiscard]] std::uint32_t offset_of_instruction(const std::uint8_t* code, std::uint32_t index);

/// Jumps and branches, taken or not: they end every block. A 16-bit instruction has zeroes above.
[[nodiscard]] constexpr bool is_branch(std::uint32_t instruction) {
  switch (instruction & 3) {
    case 1:  return extract(instruction, 15, 13) >= 5;
    case 2:  return (instruction & 0xe07f) == 0x8002 && extract(instruction, 11, 7) != 0;
    case 3:  break;
    default: return false;
  }
  const std::uint32_t opcode = instruction & 0x7f;
  return opcode == 0x63 || opcode == 0x67 || opcode == 0x6f;
}

/// Blocks by address, a word each: this is read at every block. The caller drops what is no longer
/// true.
///
///   [63:28] bits 49 to 14 of the address: canonical addresses of Sv48 and guest-physical ones of
///           Sv48x4 have 50 bits that matter, and the index gives the rest
///   [27:16] the size in bytes; kNoSize where the block has been dropped
///   [14]    bit 0 of the address: an odd one is never learned, and never taken for its neighbour
///   [9:0]   the count
class BlockCounts {
 public:
  static constexpr std::uint64_t kMaxCount = 1023;
  static constexpr std::uint32_t kMaxSize = 4094;

  BlockCounts() { slots_.fill(~std::uint64_t{0}); }

  [[nodiscard]] static constexpr std::uint64_t key_of(std::uint64_t pc, std::uint32_t size) {
    return tag_of(pc) | std::uint64_t{size} << kSizeShift;
  }
  [[nodiscard]] static constexpr std::size_t index_of(std::uint64_t pc) {
    return ((pc >> 1) ^ (pc >> kIndexedBits)) & (kSlots - 1);
  }
  /// At most kMaxCount: the count of this block. More: it is not known.
  [[nodiscard]] std::uint64_t find(std::uint64_t pc, std::uint32_t size) const {
    return slots_[index_of(pc)] ^ key_of(pc, size);
  }
  /// The count of the last block at `pc`, dropped or not; nothing where another took its place.
  [[nodiscard]] std::optional<std::uint32_t> last_at(std::uint64_t pc) const {
    const std::uint64_t slot = slots_[index_of(pc)];
    if (((slot ^ tag_of(pc)) & ~low_bits(2 * kIndexedBits)) != 0) return std::nullopt;
    return static_cast<std::uint32_t>(slot & kMaxCount);
  }

  /// Requires count <= kMaxCount and size <= kMaxSize.
  void learn(std::uint64_t pc, std::uint32_t size, std::uint32_t count) {
    slots_[index_of(pc)] = key_of(pc, size) | count;
  }
  /// Forgets the blocks that begin at `pc`.
  void drop(std::uint64_t pc);
  /// Forgets the blocks that begin in the 4 KiB page at `page`.
  void drop_page(std::uint64_t page);

 private:
  static constexpr unsigned kIndexedBits = 14;
  static constexpr std::size_t kSlots = std::size_t{1} << (kIndexedBits - 1);
  static constexpr unsigned kSizeShift = 16;
  static constexpr std::uint64_t kNoSize = 0xfff;

  [[nodiscard]] static constexpr std::uint64_t tag_of(std::uint64_t pc) {
    return (pc << kIndexedBits) & (~low_bits(2 * kIndexedBits) | bit(kIndexedBits));
  }

  std::array<std::uint64_t, kSlots> slots_;
};

}  // namespace retrap::unicorn::riscv64
