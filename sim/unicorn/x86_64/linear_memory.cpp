// Accesses by linear address: both stages for each page that they touch.
#include "sim/unicorn/x86_64/linear_memory.h"

#include <algorithm>

#include "vmm/base/check.h"

namespace retrap::unicorn::x86_64 {

bool LinearMemory::find_page(std::uint64_t linear, std::size_t size, Access access,
                             Privilege privilege, std::span<std::byte>& bytes,
                             std::uint64_t& host) {
  PagingMode mode = PagingMode::of(env_.head());
  // RFLAGS.AC lifts SMAP for what instructions access, not for what the CPU does behind a user.
  if (env_.cpl() == 3 && privilege == Privilege::Supervisor) mode.ac = false;
  const Walk walk = mmu_.walker().walk(mode, linear, access, privilege, Marks::Set);
  fault_ = MemoryFault{};
  fault_.linear = linear;
  fault_.error = walk.error;
  fault_.gpa = walk.gpa;
  fault_.size = static_cast<std::uint8_t>(size);
  switch (walk.kind) {
    case Translation::Kind::Ok:        break;
    case Translation::Kind::PageFault: fault_.kind = MemoryFault::Kind::PageFault; return false;
    case Translation::Kind::NonCanonical:
      fault_.kind = MemoryFault::Kind::NonCanonical;
      return false;
    case Translation::Kind::NestedFault: fault_.kind = MemoryFault::Kind::Nested; return false;
  }
  const std::uint64_t offset = walk.gpa & (kPageSize - 1);
  if (mmu_.nested().allows(walk.gpa, access)) {
    host = mmu_.nested().find(walk.gpa).host + offset;
    bytes = std::span(mmu_.nested().host_bytes(host), size);
    return true;
  }
  if (const std::uint64_t scratch = mmu_.scratch_for(walk.gpa); scratch != 0) {
    host = kScratch;
    bytes = mmu_.monitor().at(scratch + offset, size);
    return true;
  }
  fault_.kind = MemoryFault::Kind::Nested;
  fault_.error = nested_error(mmu_.nested().find(walk.gpa), access, npf::kFinal);
  return false;
}

bool LinearMemory::find(std::uint64_t linear, std::size_t size, Access access, Privilege privilege,
                        Pieces& pieces) {
  const std::size_t first = std::min<std::size_t>(size, kPageSize - (linear & (kPageSize - 1)));
  RETRAP_CHECK(size - first <= kPageSize, "an access of {} bytes", size);
  if (!find_page(linear, first, access, privilege, pieces.bytes[0], pieces.host[0])) return false;
  if (first == size) return true;
  return find_page(linear + first, size - first, access, privilege, pieces.bytes[1],
                   pieces.host[1]);
}

void LinearMemory::copy_out(const Pieces& pieces, std::span<std::byte> into) {
  std::ranges::copy(pieces.bytes[0], into.begin());
  std::ranges::copy(pieces.bytes[1], into.subspan(pieces.bytes[0].size()).begin());
}

bool LinearMemory::read(std::uint64_t linear, std::span<std::byte> into, Privilege privilege) {
  Pieces pieces;
  if (!find(linear, into.size(), Access::Read, privilege, pieces)) return false;
  copy_out(pieces, into);
  return true;
}

bool LinearMemory::read_for_write(std::uint64_t linear, std::span<std::byte> into,
                                  Privilege privilege) {
  Pieces pieces;
  if (!find(linear, into.size(), Access::Write, privilege, pieces)) return false;
  copy_out(pieces, into);
  return true;
}

bool LinearMemory::write(std::uint64_t linear, std::span<const std::byte> from,
                         Privilege privilege) {
  Pieces pieces;
  if (!find(linear, from.size(), Access::Write, privilege, pieces)) return false;
  for (std::size_t i = 0; i < 2; ++i) {
    std::ranges::copy(from.first(pieces.bytes[i].size()), pieces.bytes[i].begin());
    from = from.subspan(pieces.bytes[i].size());
    if (!pieces.bytes[i].empty() && pieces.host[i] != kScratch) {
      mmu_.code().written_by_cpu(mmu_.memory(), pieces.host[i]);
    }
  }
  return true;
}

}  // namespace retrap::unicorn::x86_64
