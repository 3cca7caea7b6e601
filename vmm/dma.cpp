// DMA: which memory a device reaches.
#include "vmm/dma.h"

namespace retrap {

// Regions may lie side by side, and an access may go on from one to the next.
bool GuestDma::reaches(DmaAccess access, GuestPhys at, std::uint64_t bytes) const {
  const auto wanted = access == DmaAccess::Read ? MappingFlags::Read : MappingFlags::Write;
  while (bytes != 0) {
    const Region* const region = memory_ == nullptr ? nullptr : memory_->find(at);
    if (region == nullptr || region->use != RegionUse::Ram) return false;
    if (!retrap::allows(region->flags, wanted)) return false;
    const std::uint64_t rest = region->range.last().offset_from(at) + 1;
    if (rest >= bytes) return true;
    bytes -= rest;
    const auto next = at.checked_add(rest);
    if (!next) return false;
    at = *next;
  }
  return true;
}

bool GuestDma::count(DmaAccess access, bool done) {
  if (!done) ++(access == DmaAccess::Read ? counters_.refused_reads : counters_.refused_writes);
  return done;
}

bool GuestDma::allows(DmaAccess access, GuestPhys at, std::uint64_t bytes) {
  return count(access, reaches(access, at, bytes));
}

bool GuestDma::read(GuestPhys from, std::span<std::byte> into) {
  if (!allows(DmaAccess::Read, from, into.size())) return false;
  return into.empty() || count(DmaAccess::Read, memory_->read(from, into).has_value());
}

bool GuestDma::write(GuestPhys to, std::span<const std::byte> from) {
  if (!allows(DmaAccess::Write, to, from.size())) return false;
  return from.empty() || count(DmaAccess::Write, memory_->write(to, from).has_value());
}

}  // namespace retrap
