// Counts retired instructions, block by block.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "sim/unicorn/x86_64/instruction.h"

namespace retrap::unicorn::x86_64 {

/// A block of translated code: straight-line instructions that run from the first on.
struct Block {
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  std::uint64_t pc = kNone;        ///< linear
  std::uint32_t size = 0;          ///< bytes
  std::uint32_t instructions = 0;  ///< 0: to be counted each time

  [[nodiscard]] bool holds(std::uint64_t address) const {
    return address >= pc && address - pc < size;
  }
};

/// What the slow half has found out about a block.
struct KnownBlock {
  Block block;
  bool inspected = false;     ///< the slow half has seen it since it was translated
  Store store = Store::None;  ///< of its last instruction
  bool slow = false;          ///< cannot be told from another one in the fast table
};

/// Words that are zero until they are written: the system gives the pages as they are needed, for
/// most machines run little code.
class FastTable {
 public:
  static constexpr unsigned kBits = 17;
  static constexpr std::size_t kSize = std::size_t{1} << kBits;

  FastTable();
  [[nodiscard]] std::uint64_t& operator[](std::size_t at) { return words_.get()[at]; }
  [[nodiscard]] std::uint64_t operator[](std::size_t at) const { return words_.get()[at]; }
  void clear();

 private:
  struct Free {
    void operator()(std::uint64_t* words) const { std::free(words); }
  };
  std::unique_ptr<std::uint64_t, Free> words_;
};

/// The hot half of the block hook, and what is known about blocks.
///
/// count() includes the whole current block: who leaves in its middle takes the rest back.
///
/// The fast table has one word a block: pc in [63:16], the low bits of the size in [15:10], the
/// number of instructions in [9:0]. Neighbours in memory are neighbours in the table, for each
/// offset in four bytes: a loop of short blocks keeps them all.
class alignas(64) BlockCounter {
 public:
  /// Called before each block. True: counted, go on. False: the slow half decides.
  [[nodiscard]] bool enter(std::uint64_t pc, std::uint32_t size) {
    const std::uint64_t instructions = fast_[fast_slot(pc)] ^ fast_key(pc, size);
    const std::uint64_t count = count_ + instructions;
    if (instructions - 1 >= kMostInstructions || count > limit_) [[unlikely]]
      return false;
    count_ = count;
    current_ = {pc, size, static_cast<std::uint32_t>(instructions)};
    return true;
  }

  // The slow half.
  /// What is known of a block, or null. Valid until learn().
  [[nodiscard]] KnownBlock* find(std::uint64_t pc, std::uint32_t size);
  /// Notes a block that was just translated: not yet inspected, so the fast half does not take it.
  /// Where it had another number of instructions before (in another mode, as another code), it must
  /// be counted each time from now on.
  void learn(std::uint64_t pc, std::uint32_t size, std::uint32_t instructions);
  /// The fast half may take an inspected block, if it is one that can be.
  void reveal(const KnownBlock& known);
  /// The fast half takes no block until it is revealed again.
  void hide_all() { fast_.clear(); }
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
  /// The block runs on that was the current one when count() was `count`.
  void go_on_in(const Block& block, std::uint64_t count) {
    current_ = block;
    count_ = count;
  }
  /// Of the current block only the first `instructions` have retired.
  void take_back(std::uint32_t instructions) {
    count_ -= current_.instructions - instructions;
    leave();
  }

 private:
  static constexpr std::uint64_t kMostInstructions = 1023;
  static constexpr unsigned kBits = 10;  ///< to begin with
  static constexpr std::size_t kMost = std::size_t{1} << 22;

  [[nodiscard]] static std::size_t fast_slot(std::uint64_t pc) {
    return (pc >> 2 ^ pc >> 19 ^ pc << (FastTable::kBits - 2)) & (FastTable::kSize - 1);
  }
  [[nodiscard]] static std::uint64_t fast_key(std::uint64_t pc, std::uint32_t size) {
    return pc << 16 | std::uint64_t{size & 63} << 10;
  }
  [[nodiscard]] std::size_t slot(std::uint64_t pc) const {
    return (pc * 0x9e37'79b9'7f4a'7c15) >> shift_;
  }
  /// Its place, or the free one where it belongs.
  [[nodiscard]] KnownBlock& place(std::uint64_t pc, std::uint32_t size);
  void hide(const Block& block);
  void mark_twins(KnownBlock& known);
  void grow();

  std::uint64_t count_ = 0;
  std::uint64_t limit_ = 0;
  Block current_;
  FastTable fast_;
  unsigned shift_ = 64 - kBits;
  std::vector<KnownBlock> known_ = std::vector<KnownBlock>(
      std::size_t{1} << kBits);  ///< open addressing, nothing is ever removed
  std::size_t used_ = 0;
};

}  // namespace retrap::unicorn::x86_64
