// Stage-2 page tables: walks, blocks, splitting and freeing, whatever the format.
#include "vmm/page_table.h"

#include <algorithm>

#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap {
namespace {

constexpr unsigned kIndexBits = 9;
constexpr unsigned kMaxLeafLevel = 2;  // 1 GiB
constexpr std::uint64_t kEntrySize = sizeof(std::uint64_t);

/// The bytes that one entry of `level` covers.
std::uint64_t span_of(unsigned level) {
  return kPageSize << (kIndexBits * level);
}

HostPhys entry_at(HostPhys table, std::uint64_t index) {
  return table.wrapping_add(index * kEntrySize);
}

}  // namespace

Result<PageTable> PageTable::make(const PageTableFormat& format, Frames& frames, VmId owner) {
  RETRAP_TRY(const HostPhys root,
             frames.allocate(format.root_size(), std::max(format.root_size(), kPageSize),
                             {.vm = owner, .use = FrameUse::PageTable}));
  return PageTable(format, frames, owner, root);
}

PageTable::PageTable(const PageTableFormat& format, Frames& frames, VmId owner, HostPhys root)
    : format_(&format), frames_(&frames), owner_(owner), root_(root) {}

PageTable::PageTable(PageTable&& other) noexcept
    : format_(other.format_), frames_(other.frames_), owner_(other.owner_), root_(other.root_) {
  other.frames_ = nullptr;
}

PageTable::~PageTable() {
  if (frames_ != nullptr) free_table(root_, top_level());
}

Result<> PageTable::check(GuestPhys at, std::uint64_t size, MappingFlags flags) const {
  const auto last = at.checked_add(size - 1);
  if (size == 0 || size % kPageSize != 0 || !at.is_aligned(kPageSize)) {
    return fail(ErrorCode::InvalidInput, "{}+{:#x} is not made of 4 KiB pages", at, size);
  }
  if (!last || last->raw() > low_bits(format_->address_bits())) {
    return fail(ErrorCode::InvalidInput, "{}+{:#x} does not fit in {} address bits", at, size,
                format_->address_bits());
  }
  if (!allows(flags, MappingFlags::Read)) {
    return fail(ErrorCode::InvalidInput, "{}+{:#x} would not be readable", at, size);
  }
  return {};
}

Result<> PageTable::map(GuestPhys at, HostPhys to, std::uint64_t size, MappingFlags flags) {
  RETRAP_TRY(check(at, size, flags));
  if (!to.is_aligned(kPageSize) || !to.checked_add(size - 1)) {
    return fail(ErrorCode::InvalidInput, "{}+{:#x} is not a range of host pages", to, size);
  }
  if (const auto leaf = next_leaf(at, at.wrapping_add(size - 1))) {
    return fail(ErrorCode::AlreadyExists, "{} is mapped already", std::max(at, leaf->base));
  }
  const Job job{.at = at, .size = size, .to = to, .flags = flags};
  if (map_in(root_, top_level(), job)) return {};
  unmap_in(root_, top_level(), at, size);
  return fail(ErrorCode::NoMemory, "no frame is left for the page tables of {}+{:#x}", at, size);
}

Result<> PageTable::unmap(GuestPhys at, std::uint64_t size) {
  RETRAP_TRY(check(at, size, MappingFlags::Read));
  RETRAP_TRY(split_around(at, size));
  unmap_in(root_, top_level(), at, size);
  return {};
}

Result<> PageTable::protect(GuestPhys at, std::uint64_t size, MappingFlags flags) {
  RETRAP_TRY(check(at, size, flags));
  RETRAP_TRY(split_around(at, size));
  const GuestPhys last = at.wrapping_add(size - 1);
  for (GuestPhys next = at;;) {
    const auto leaf = next_leaf(next, last);
    if (!leaf) return {};
    const unsigned level = leaf->target.level;
    memory().store64(leaf->entry, format_->encode_leaf(leaf->target.address, level, flags));
    if (leaf->last() >= last) return {};
    next = leaf->last().wrapping_add(1);
  }
}

std::optional<PageTable::Translation> PageTable::translate(GuestPhys at) const {
  if (at.raw() > low_bits(format_->address_bits())) return std::nullopt;
  HostPhys table = root_;
  for (unsigned level = top_level();; --level) {
    const auto entry = format_->decode(memory().load64(slot(table, level, at)), level);
    if (entry.kind == PageTableFormat::Kind::Invalid) return std::nullopt;
    if (entry.kind == PageTableFormat::Kind::Leaf) {
      const std::uint64_t offset = at.raw() & (span_of(level) - 1);
      return Translation{
          .address = entry.address.wrapping_add(offset), .flags = entry.flags, .level = level};
    }
    RETRAP_CHECK(level != 0, "a table below level 0 at {}", at);
    table = entry.address;
  }
}

std::optional<PageTable::Leaf> PageTable::next_leaf(GuestPhys from, GuestPhys last) const {
  const std::uint64_t end = std::min(last.raw(), low_bits(format_->address_bits()));
  std::uint64_t at = from.raw();
  while (at <= end) {
    HostPhys table = root_;
    unsigned level = top_level();
    for (;; --level) {
      const HostPhys where = slot(table, level, GuestPhys(at));
      const auto entry = format_->decode(memory().load64(where), level);
      if (entry.kind == PageTableFormat::Kind::Leaf) {
        return Leaf{.base = GuestPhys(align_down(at, span_of(level))),
                    .target = {.address = entry.address, .flags = entry.flags, .level = level},
                    .entry = where};
      }
      if (entry.kind == PageTableFormat::Kind::Invalid) break;
      table = entry.address;
    }
    // The next entry, as far up as the walk got: nothing lies between.
    at = align_down(at, span_of(level)) + span_of(level);
    if (at == 0) break;
  }
  return std::nullopt;
}

HostMemory& PageTable::memory() const {
  return frames_->memory();
}

unsigned PageTable::top_level() const {
  return format_->levels() - 1;
}

std::uint64_t PageTable::entries(unsigned level) const {
  return level == top_level() ? format_->root_size() / kEntrySize : std::uint64_t{1} << kIndexBits;
}

HostPhys PageTable::slot(HostPhys table, unsigned level, GuestPhys at) const {
  return entry_at(table, (at.raw() / span_of(level)) & (entries(level) - 1));
}

Result<HostPhys> PageTable::new_table() {
  return frames_->allocate(kPageSize, kPageSize, {.vm = owner_, .use = FrameUse::PageTable});
}

bool PageTable::map_in(HostPhys table, unsigned level, const Job& job) {
  const std::uint64_t span = span_of(level);
  for (std::uint64_t done = 0; done < job.size;) {
    const GuestPhys at = job.at.wrapping_add(done);
    const HostPhys to = job.to.wrapping_add(done);
    const std::uint64_t here = std::min(span - (at.raw() & (span - 1)), job.size - done);
    const HostPhys where = slot(table, level, at);
    if (level <= kMaxLeafLevel && here == span && to.is_aligned(span)) {
      const auto old = format_->decode(memory().load64(where), level);
      // An empty table may be left only where a failed map() is being taken back.
      RETRAP_CHECK(old.kind == PageTableFormat::Kind::Invalid, "{} is in use at level {}", at,
                   level);
      memory().store64(where, format_->encode_leaf(to, level, job.flags));
    } else {
      const auto entry = format_->decode(memory().load64(where), level);
      HostPhys next = entry.address;
      if (entry.kind == PageTableFormat::Kind::Invalid) {
        const auto fresh = new_table();
        if (!fresh) return false;
        next = *fresh;
        memory().store64(where, format_->encode_table(next));
      }
      const Job part{.at = at, .size = here, .to = to, .flags = job.flags};
      if (!map_in(next, level - 1, part)) return false;
    }
    done += here;
  }
  return true;
}

void PageTable::unmap_in(HostPhys table, unsigned level, GuestPhys at, std::uint64_t size) {
  const std::uint64_t span = span_of(level);
  for (std::uint64_t done = 0; done < size;) {
    const GuestPhys here = at.wrapping_add(done);
    const std::uint64_t part = std::min(span - (here.raw() & (span - 1)), size - done);
    const HostPhys where = slot(table, level, here);
    const auto entry = format_->decode(memory().load64(where), level);
    if (entry.kind == PageTableFormat::Kind::Leaf) {
      RETRAP_CHECK(part == span, "a block at {} was not split", here);
      memory().store64(where, 0);
    } else if (entry.kind == PageTableFormat::Kind::Table) {
      unmap_in(entry.address, level - 1, here, part);
      if (part == span || is_empty(entry.address)) {
        memory().store64(where, 0);
        RETRAP_CHECK(frames_->free(entry.address).has_value(), "a table nobody owns");
      }
    }
    done += part;
  }
}

Result<> PageTable::split_around(GuestPhys at, std::uint64_t size) {
  RETRAP_TRY(split_at(at));
  const auto end = at.checked_add(size);
  if (!end || end->raw() > low_bits(format_->address_bits())) return {};
  return split_at(*end);
}

Result<> PageTable::split_at(GuestPhys at) {
  HostPhys table = root_;
  for (unsigned level = top_level(); level > 0; --level) {
    const HostPhys where = slot(table, level, at);
    const auto entry = format_->decode(memory().load64(where), level);
    if (entry.kind == PageTableFormat::Kind::Invalid || at.is_aligned(span_of(level))) return {};
    if (entry.kind == PageTableFormat::Kind::Table) {
      table = entry.address;
      continue;
    }
    RETRAP_TRY(const HostPhys fresh, new_table());
    const std::uint64_t span = span_of(level - 1);
    for (std::uint64_t index = 0; index < entries(level - 1); ++index) {
      const HostPhys part = entry.address.wrapping_add(index * span);
      memory().store64(entry_at(fresh, index), format_->encode_leaf(part, level - 1, entry.flags));
    }
    memory().store64(where, format_->encode_table(fresh));
    table = fresh;
  }
  return {};
}

bool PageTable::is_empty(HostPhys table) const {
  for (std::uint64_t index = 0; index < entries(0); ++index) {
    if (memory().load64(entry_at(table, index)) != 0) return false;
  }
  return true;
}

void PageTable::free_table(HostPhys table, unsigned level) {
  for (std::uint64_t index = 0; level > 0 && index < entries(level); ++index) {
    const auto entry = format_->decode(memory().load64(entry_at(table, index)), level);
    if (entry.kind == PageTableFormat::Kind::Table) free_table(entry.address, level - 1);
  }
  RETRAP_CHECK(frames_->free(table).has_value(), "a table nobody owns");
}

}  // namespace retrap
