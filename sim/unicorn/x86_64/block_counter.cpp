#include "sim/unicorn/x86_64/block_counter.h"

#include <algorithm>
#include <utility>

namespace retrap::unicorn::x86_64 {

BlockCounter::BlockCounter() : table_(std::size_t{1} << kBits) {}

Block& BlockCounter::place(std::uint64_t pc, std::uint32_t size) {
  std::size_t at = slot(pc);
  while (table_[at].pc != Block::kNone && (table_[at].pc != pc || table_[at].bytes() != size)) {
    at = (at + 1) & (table_.size() - 1);
  }
  return table_[at];
}

Block* BlockCounter::find(std::uint64_t pc, std::uint32_t size) {
  Block& found = place(pc, size);
  if (found.pc == Block::kNone) return nullptr;
  // To the front of its run, where the fast half looks. What was there moves inside the run, so it
  // stays reachable.
  Block& front = table_[slot(pc)];
  std::swap(found, front);
  return &front;
}

void BlockCounter::learn(std::uint64_t pc, std::uint32_t size, std::uint32_t instructions) {
  Block& known = place(pc, size);
  if (known.pc != Block::kNone) {
    if (known.instructions != instructions) known.instructions = 0;
    known.size |= Block::kHidden;
    return;
  }
  known = Block{pc, size | Block::kHidden, instructions};
  if (++used_ * 2 > table_.size()) grow();
}

void BlockCounter::grow() {
  if (table_.size() >= kMost) return forget_all();
  std::vector<Block> old(table_.size() * 2);
  old.swap(table_);
  --shift_;
  for (const Block& block : old) {
    if (block.pc != Block::kNone) place(block.pc, block.bytes()) = block;
  }
}

void BlockCounter::forget_all() {
  std::ranges::fill(table_, Block{});
  used_ = 0;
}

}  // namespace retrap::unicorn::x86_64
