// The walk of the monitor's nested page tables.
#include "sim/unicorn/x86_64/nested.h"

namespace retrap::unicorn::x86_64 {

// APM volume 2, 15.25: a walk in the long-mode format; every access is a user access, so U must be
// set on all levels.
NestedPage NestedWalker::walk(std::uint64_t gpa) const {
  NestedPage page{.writable = true, .executable = true};
  if (gpa >> npt::kAddressBits != 0) return page;
  HostPhys table = space_.root();
  for (unsigned level = npt::kLevels; level-- > 0;) {
    const HostPhys at = table.wrapping_add(8 * npt::index_of(gpa, level));
    if (!memory_.contains(at, 8)) return page;
    const std::uint64_t entry = memory_.load64(at);
    if ((entry & npt::kPresent) == 0 || (entry & npt::kUser) == 0) return page;
    if ((entry & npt::reserved_bits(entry, level)) != 0) {
      page.reserved = true;
      return page;
    }
    page.writable = page.writable && (entry & npt::kWrite) != 0;
    page.executable = page.executable && (entry & npt::kNoExecute) == 0;
    if (npt::is_leaf(entry, level)) {
      const std::uint64_t offset = gpa & low_bits(npt::shift_of(level)) & ~low_bits(12);
      page.host = npt::leaf_address(entry, level) + offset;
      page.present = memory_.contains(HostPhys(page.host), kPageSize);
      return page;
    }
    table = HostPhys(entry & npt::kAddressMask);
  }
  return page;
}

void NestedWalker::forget() {
  for (Slot& slot : slots_) slot.page = kNone;
}

std::uint64_t nested_error(const NestedPage& page, Access access, std::uint64_t where) {
  std::uint64_t error = where | npf::kUser;
  if (page.present) error |= npf::kPresent;
  if (page.reserved) error |= npf::kPresent | npf::kReserved;
  if (access == Access::Write) error |= npf::kWrite;
  if (access == Access::Fetch) error |= npf::kFetch;
  return error;
}

}  // namespace retrap::unicorn::x86_64
