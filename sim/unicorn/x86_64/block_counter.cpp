// The table of known blocks: how many instructions each has, found in one probe.
#include "sim/unicorn/x86_64/block_counter.h"

#include <algorithm>

#include "vmm/base/check.h"

namespace retrap::unicorn::x86_64 {

FastTable::FastTable()
    : words_(static_cast<std::uint64_t*>(std::calloc(kSize, sizeof(std::uint64_t)))) {
  RETRAP_CHECK(words_ != nullptr, "{} words of memory", kSize);
}

void FastTable::clear() {
  std::fill_n(words_.get(), kSize, 0);
}

KnownBlock& BlockCounter::place(std::uint64_t pc, std::uint32_t size) {
  std::size_t at = slot(pc);
  while (known_[at].block.pc != Block::kNone &&
         (known_[at].block.pc != pc || known_[at].block.size != size)) {
    at = (at + 1) & (known_.size() - 1);
  }
  return known_[at];
}

KnownBlock* BlockCounter::find(std::uint64_t pc, std::uint32_t size) {
  KnownBlock& found = place(pc, size);
  return found.block.pc == Block::kNone ? nullptr : &found;
}

void BlockCounter::learn(std::uint64_t pc, std::uint32_t size, std::uint32_t instructions) {
  KnownBlock& known = place(pc, size);
  if (known.block.pc != Block::kNone) {
    hide(known.block);
    if (known.block.instructions != instructions) known.block.instructions = 0;
    known.inspected = false;
    return;
  }
  known.block = Block{pc, size, instructions};
  known.slow = instructions > kMostInstructions;
  mark_twins(known);
  if (++used_ * 2 > known_.size()) grow();
}

void BlockCounter::reveal(const KnownBlock& known) {
  if (known.slow || !known.inspected || known.block.instructions == 0) return;
  fast_[fast_slot(known.block.pc)] =
      fast_key(known.block.pc, known.block.size) | known.block.instructions;
}

void BlockCounter::hide(const Block& block) {
  std::uint64_t& word = fast_[fast_slot(block.pc)];
  if ((word ^ fast_key(block.pc, block.size)) <= kMostInstructions) word = 0;
}

// Blocks with one start and with sizes that differ by a multiple of 64 have one word.
void BlockCounter::mark_twins(KnownBlock& known) {
  std::size_t at = slot(known.block.pc);
  while (known_[at].block.pc != Block::kNone) {
    KnownBlock& other = known_[at];
    if (&other != &known && other.block.pc == known.block.pc &&
        other.block.size % 64 == known.block.size % 64) {
      known.slow = other.slow = true;
      hide(other.block);
    }
    at = (at + 1) & (known_.size() - 1);
  }
}

void BlockCounter::grow() {
  if (known_.size() >= kMost) return forget_all();
  std::vector<KnownBlock> old(known_.size() * 2);
  old.swap(known_);
  --shift_;
  for (const KnownBlock& known : old) {
    if (known.block.pc != Block::kNone) place(known.block.pc, known.block.size) = known;
  }
}

void BlockCounter::forget_all() {
  std::ranges::fill(known_, KnownBlock{});
  fast_.clear();
  used_ = 0;
}

}  // namespace retrap::unicorn::x86_64
