// Code that is written, and data that is executed: no page is both at once.
#include "sim/unicorn/aarch64/core.h"

namespace retrap::unicorn::aarch64 {

// What runs is always what is in memory, with or without IC: a guest that changes its code without
// it would otherwise see one or the other, depending on where slices end.
//
// Invariant: while translated code runs, no entry of the TLB allows writing to a page with kCode,
// and every page that has translations has kCode. Both are cheap to keep as pages seldom change
// sides: the first store to a page with code is refused here and drops its translations; the first
// translation of a page that may be written flushes the TLB.

namespace {

/// The lines of a page from the byte at `first` to that at `last`, as bits: 64 of 64 bytes.
constexpr std::uint64_t lines_of(std::uint64_t first, std::uint64_t last) {
  return low_bits(static_cast<unsigned>(last >> 6) + 1) &
         ~low_bits(static_cast<unsigned>(first >> 6));
}

}  // namespace

// The page that the block is in gets its mark before the block runs.
void Core::mark_code(std::uint64_t at_hpa, std::uint32_t instructions) {
  const HostPhys page = HostPhys(at_hpa).align_down(kPageSize);
  const std::uint64_t index = page.offset_from(memory_.base()) / kPageSize;
  const std::uint64_t first = at_hpa & low_bits(12);
  code_lines_[index] |= lines_of(first, first + std::uint64_t{4} * instructions - 1);
  if ((memory_.page_flags()[index] & HostMemory::kCode) == 0) memory_.mark_code(page);
  if (grants_.may_have(index) && page.raw() != one_store_) {
    flush_wanted_ = true;
    early_ = 0;
  }
}

void Core::unmark_code(std::uint64_t page) {
  translations_.drop(page);
  code_lines_[(page - memory_.base().raw()) >> 12] = 0;
  memory_.tell_code_written(HostPhys(page), this);
  std::uint8_t& flags = memory_.flags(HostPhys(page));
  flags = static_cast<std::uint8_t>(flags & ~HostMemory::kCode);
}

// Whether the refused store writes to what has been translated. Where in doubt: yes.
bool Core::store_hits_code(std::uint64_t page) {
  if (!refusal_.word || !decode(*refusal_.word)) return true;
  const std::uint64_t start =
      retrap::aarch64::effective_address(*decoded_, current_->pc, registers_);
  const std::uint64_t last = start + decoded_->bytes() - 1;
  const std::uint64_t here = extract(refusal_.va, 55, 12);
  const bool zeroes = decoded_->op == retrap::aarch64::MemoryOp::ZeroBlock;
  const std::uint64_t from = extract(start, 55, 12) == here && !zeroes ? start & low_bits(12) : 0;
  const std::uint64_t to = extract(last, 55, 12) == here && !zeroes ? last & low_bits(12) : 0xfff;
  return (code_lines_[(page - memory_.base().raw()) >> 12] & lines_of(from, to)) != 0;
}

// A store was refused because its page has code. It runs again, and is allowed. Where it is in that
// page itself, its own translation is code again: it is stepped, and the page is closed behind it.
Core::Next Core::open_code_page() {
  const std::uint64_t page = refusal_.walk.hpa & ~low_bits(12);
  const std::byte* const code = code_at(current_->pc);
  const std::byte* const bytes = memory_.data() + (page - memory_.base().raw());
  const bool is_own = code == nullptr || (code >= bytes && code < bytes + kPageSize);
  if (!is_own) {
    unmark_code(page);
    return Next::GoOn;
  }
  one_store_ = page;
  store_hits_code_ = store_hits_code(page);
  if (!stepping_) {
    step_until_ = retired_ + 1;
    set_stepping(true);
  }
  return Next::GoOn;
}

// The step is over, however it ended.
void Core::close_code_page() {
  if (store_hits_code_) {
    unmark_code(one_store_);
  } else {
    memory_.tell_code_written(HostPhys(one_store_), this);  // others may have more of it
  }
  one_store_ = kNoPage;
  flush_tlb();
}

void Core::flush_tlb() {
  engine_.flush_tlb();
  grants_.flushed();
  flush_wanted_ = false;
}

}  // namespace retrap::unicorn::aarch64
