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

// The page that the block `at` is in gets its mark before the block runs.
void Core::mark_code(std::uint64_t at_hpa) {
  const HostPhys page = HostPhys(at_hpa).align_down(kPageSize);
  const std::uint64_t index = page.offset_from(memory_.base()) / kPageSize;
  if ((memory_.page_flags()[index] & HostMemory::kCode) == 0) memory_.mark_code(page);
  if (grants_.may_have(index) && page.raw() != one_store_) {
    flush_wanted_ = true;
    early_ = 0;
  }
}

void Core::unmark_code(std::uint64_t page) {
  translations_.drop(page);
  memory_.tell_code_written(HostPhys(page), this);
  std::uint8_t& flags = memory_.flags(HostPhys(page));
  flags = static_cast<std::uint8_t>(flags & ~HostMemory::kCode);
}

// A store was refused because its page has code. It runs again, and is allowed. Where it is in that
// page itself, its own translation is code again: it is stepped, and the page is closed behind it.
Core::Next Core::open_code_page() {
  const std::uint64_t page = refusal_.walk.hpa & ~low_bits(12);
  const std::byte* const code = code_at(current_->pc);
  const std::byte* const bytes = memory_.data() + (page - memory_.base().raw());
  const bool is_own = code == nullptr || (code >= bytes && code < bytes + kPageSize);
  unmark_code(page);
  if (!is_own) return Next::GoOn;
  one_store_ = page;
  if (!stepping_) {
    step_until_ = retired_ + 1;
    set_stepping(true);
  }
  return Next::GoOn;
}

// The step is over, however it ended.
void Core::close_code_page() {
  unmark_code(one_store_);
  one_store_ = kNoPage;
  flush_tlb();
}

void Core::flush_tlb() {
  engine_.flush_tlb();
  grants_.flushed();
  flush_wanted_ = false;
}

}  // namespace retrap::unicorn::aarch64
