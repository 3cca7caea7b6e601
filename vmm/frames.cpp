// Host frames: first fit over the free runs, and a ledger of the others.
#include "vmm/frames.h"

#include <algorithm>

#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap {

std::string_view to_string(FrameUse use) {
  switch (use) {
    case FrameUse::GuestRam:  return "RAM";
    case FrameUse::PageTable: return "page table";
    case FrameUse::Shared:    return "shared memory";
  }
  return "?";
}

Frames::Frames(HostMemory& memory) : memory_(memory) {
  if (memory.size() != 0) free_.emplace(memory.base(), memory.size());
}

Result<HostPhys> Frames::allocate(std::uint64_t size, std::uint64_t align, FrameOwner owner) {
  const auto rounded = checked_align_up(size, kPageSize);
  if (size == 0 || !rounded) {
    return fail(ErrorCode::InvalidInput, "a run of {:#x} bytes cannot be allocated", size);
  }
  if (!is_power_of_two(align) || align < kPageSize) {
    return fail(ErrorCode::InvalidInput, "frames cannot be aligned to {:#x}", align);
  }
  for (const auto& [base, length] : free_) {
    const auto start = checked_align_up(base.raw(), align);
    if (!start) break;
    const std::uint64_t skipped = *start - base.raw();
    if (skipped >= length || length - skipped < *rounded) continue;
    const HostPhys at(*start);
    take(at, *rounded, owner);
    return at;
  }
  return fail(ErrorCode::NoMemory, "the host has no {:#x} bytes left in one run ({:#x} free)", size,
              bytes_free());
}

Result<> Frames::allocate_at(HostPhys at, std::uint64_t size, FrameOwner owner) {
  RETRAP_TRY(check_range(at, size));
  const auto run = first_above(at);
  if (run != runs_.end() && run->first <= at.wrapping_add(size - 1)) {
    return fail(ErrorCode::AlreadyExists, "{} already belongs to vm {} ({})",
                std::max(at, run->first), index(run->second.owner.vm),
                to_string(run->second.owner.use));
  }
  take(at, size, owner);
  return {};
}

Result<> Frames::share(HostPhys at) {
  const auto run = runs_.find(at);
  if (run == runs_.end()) return fail(ErrorCode::NotFound, "no run of frames starts at {}", at);
  ++run->second.references;
  return {};
}

Result<> Frames::free(HostPhys at) {
  const auto run = runs_.find(at);
  if (run == runs_.end()) return fail(ErrorCode::NotFound, "no run of frames starts at {}", at);
  if (--run->second.references != 0) return {};
  const std::uint64_t size = run->second.size;
  runs_.erase(run);
  give_back(at, size);
  return {};
}

Result<> Frames::hold(HostPhys at, std::uint64_t size, FrameOwner owner) {
  RETRAP_TRY(check_range(at, size));
  const HostPhys end = at.wrapping_add(size);
  for (auto run = first_above(at); run != runs_.end() && run->first < end; ++run) {
    const FrameOwner& other = run->second.owner;
    const bool mine = other.use == FrameUse::GuestRam && other.vm == owner.vm;
    if (mine || other.use == FrameUse::Shared) continue;
    return fail(ErrorCode::PermissionDenied, "{} belongs to vm {} ({})", std::max(at, run->first),
                index(other.vm), to_string(other.use));
  }
  split(at);
  split(end);
  for (HostPhys next = at; next < end;) {
    const auto run = runs_.lower_bound(next);
    const HostPhys gap_end = run == runs_.end() ? end : std::min(run->first, end);
    if (gap_end > next) {
      take(next, gap_end.offset_from(next), owner);
      next = gap_end;
    } else {
      ++run->second.references;
      next = next.wrapping_add(run->second.size);
    }
  }
  return {};
}

void Frames::release(HostPhys at, std::uint64_t size) {
  const HostPhys end = at.wrapping_add(size);
  split(at);
  split(end);
  for (HostPhys next = at; next < end;) {
    const auto run = runs_.find(next);
    RETRAP_CHECK(run != runs_.end(), "{} is released and not allocated", next);
    const std::uint64_t length = run->second.size;
    if (--run->second.references == 0) {
      runs_.erase(run);
      give_back(next, length);
    }
    next = next.wrapping_add(length);
  }
}

bool Frames::owns(VmId vm, HostPhys at, std::uint64_t size) const {
  const auto last = at.checked_add(size == 0 ? 0 : size - 1);
  if (!last) return false;
  HostPhys next = at;
  for (auto run = first_above(at); run != runs_.end(); ++run) {
    if (run->first > next || run->second.owner.vm != vm) return false;
    const HostPhys run_last = run->first.wrapping_add(run->second.size - 1);
    if (run_last >= *last) return true;
    next = run_last.wrapping_add(1);
  }
  return false;
}

std::optional<FrameOwner> Frames::owner_of(HostPhys at) const {
  const auto run = first_above(at);
  if (run == runs_.end() || run->first > at) return std::nullopt;
  return run->second.owner;
}

std::uint64_t Frames::bytes_of(VmId vm) const {
  std::uint64_t bytes = 0;
  for (const auto& [base, run] : runs_) bytes += run.owner.vm == vm ? run.size : 0;
  return bytes;
}

std::uint64_t Frames::bytes_free() const {
  std::uint64_t bytes = 0;
  for (const auto& [base, size] : free_) bytes += size;
  return bytes;
}

Result<> Frames::check_range(HostPhys at, std::uint64_t size) const {
  if (size == 0 || size % kPageSize != 0 || !at.is_aligned(kPageSize)) {
    return fail(ErrorCode::InvalidInput, "{}+{:#x} is not made of 4 KiB pages", at, size);
  }
  if (!memory_.contains(at, size)) {
    return fail(ErrorCode::NoMemory, "{}+{:#x} is outside the host's memory {}+{:#x}", at, size,
                memory_.base(), memory_.size());
  }
  return {};
}

Frames::Runs::const_iterator Frames::first_above(HostPhys at) const {
  auto run = runs_.upper_bound(at);
  if (run == runs_.begin()) return run;
  const auto before = std::prev(run);
  return at.offset_from(before->first) < before->second.size ? before : run;
}

void Frames::take(HostPhys at, std::uint64_t size, FrameOwner owner) {
  const auto run = std::prev(free_.upper_bound(at));
  const HostPhys base = run->first;
  const std::uint64_t before = at.offset_from(base);
  const std::uint64_t after = run->second - before - size;
  if (before == 0) {
    free_.erase(run);
  } else {
    run->second = before;
  }
  if (after != 0) free_.emplace(at.wrapping_add(size), after);
  runs_.emplace(at, Run{.size = size, .owner = owner, .references = 1});
  memory_.zero(at, size);
}

void Frames::give_back(HostPhys at, std::uint64_t size) {
  auto next = free_.lower_bound(at);
  if (next != free_.end() && next->first == at.wrapping_add(size)) {
    size += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first.wrapping_add(before->second) == at) {
      before->second += size;
      return;
    }
  }
  free_.emplace_hint(next, at, size);
}

void Frames::split(HostPhys at) {
  auto run = runs_.upper_bound(at);
  if (run == runs_.begin()) return;
  --run;
  const std::uint64_t first = at.offset_from(run->first);
  if (first == 0 || first >= run->second.size) return;
  Run second = run->second;
  second.size -= first;
  run->second.size = first;
  runs_.emplace(at, second);
}

}  // namespace retrap
