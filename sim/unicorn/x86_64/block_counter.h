// Counts retired instructions, block by block.
#pragma once

#include <cstdint>
#include <vector>

namespace retrap::unicorn::x86_64 {

/// A block of translated code: straight-line instructions that run from the first on.
struct Block {
  /// In `size`: only the slow half of the block hook may take this block.
  static constexpr std::uint32_t kHidden = std::uint32_t{1} << 31;
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  std::uint64_t pc = kNone;        ///< linear
  std::uint32_t size = 0;          ///< bytes, and kHidden
  std::uint32_t instructions = 0;  ///< 0: to be counted each time

  [[nodiscard]] std::uint32_t bytes() const { return size & ~kHidden; }
  [[nodiscard]] bool holds(std::uint64_t address) const {
    return address >= pc && address - pc < bytes();
  }
};

/// The hot half of the block hook, and what is known about blocks.
///
/// count() includes the whole current block: who leaves in its middle takes the rest back.
class BlockCounter {
 public:
  BlockCounter();

  /// Called before each block. True: counted, go on. False: the slow half decides.
  [[nodiscard]] bool enter(std::uint64_t pc, std::uint32_t size) {
    const Block block = table_[slot(pc)];
    const std::uint64_t count = count_ + block.instructions;
    if (block.pc != pc || block.size != size || count > limit_) [[unlikely]]
      return false;
    count_ = count;
    current_ = block;
    return true;
  }

  // The slow half.
  /// What is known of a block, or null.
  [[nodiscard]] Block* find(std::uint64_t pc, std::uint32_t size);
  /// Notes a block that was just translated, hidden. Where it had another number of instructions
  /// before (in another mode, as another code), it must be counted each time from now on.
  void learn(std::uint64_t pc, std::uint32_t size, std::uint32_t instructions);
  /// Counts a block that the fast half did not take.
  void enter_slow(const Block& block) {
    current_ = block;
    count_ += block.instructions;
  }
  void forget_all();

  [[nodiscard]] std::uint64_t count() const { return count_; }
  void set_count(std::uint64_t count) { count_ = count; }
  /// Blocks that would go beyond this count are left to the slow half; 0: all of them.
  void set_limit(std::uint64_t limit) { limit_ = limit; }

  /// The block that runs, as it was counted; pc is kNone between runs.
  [[nodiscard]] const Block& current() const { return current_; }
  void leave() { current_ = Block{}; }
  /// Of the current block only the first `instructions` have retired.
  void take_back(std::uint32_t instructions) {
    count_ -= current_.instructions - instructions;
    leave();
  }

 private:
  static constexpr unsigned kBits = 17;
  static constexpr std::size_t kMost = std::size_t{1} << 22;
  [[nodiscard]] std::size_t slot(std::uint64_t pc) const {
    return (pc * 0x9e37'79b9'7f4a'7c15) >> shift_;
  }
  /// Its place, or the free one where it belongs.
  [[nodiscard]] Block& place(std::uint64_t pc, std::uint32_t size);
  void grow();

  std::uint64_t count_ = 0;
  std::uint64_t limit_ = 0;
  Block current_;
  unsigned shift_ = 64 - kBits;
  std::vector<Block> table_;  ///< open addressing, nothing is ever removed
  std::size_t used_ = 0;
};

}  // namespace retrap::unicorn::x86_64
