// Stage 2: regions, where their frames come from, and what becomes of a nested fault.
#include "vmm/address_space.h"

#include <algorithm>
#include <cstring>

#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap {
namespace {

constexpr MappingFlags kAccess = MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;

/// [base, base + size) as whole pages that a table of this width can map.
Result<GuestRange> range_of(GuestPhys base, std::uint64_t size, unsigned address_bits) {
  if (!base.is_aligned(kPageSize) || size % kPageSize != 0) {
    return fail(ErrorCode::InvalidInput, "{}+{:#x} is not made of 4 KiB pages", base, size);
  }
  const auto range = GuestRange::make(base, size);
  if (!range) return fail(ErrorCode::InvalidInput, "{}+{:#x} is empty or wraps", base, size);
  if (range->last().raw() > low_bits(address_bits)) {
    return fail(ErrorCode::InvalidInput, "{} does not fit in {} guest-physical address bits",
                *range, address_bits);
  }
  return *range;
}

/// Whether the frames of a region belong to it, one run from `host` on.
bool owns_one_run(const Region& region) {
  return region.type != MapType::Reserved && region.populate == Populate::Eager;
}

bool is_zero(std::span<const std::byte> bytes) {
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

Result<AddressSpace> AddressSpace::make(const PageTableFormat& format, Frames& frames, VmId owner) {
  RETRAP_TRY(PageTable table, PageTable::make(format, frames, owner));
  return AddressSpace(std::move(table), frames, owner);
}

AddressSpace::AddressSpace(PageTable table, Frames& frames, VmId owner)
    : table_(std::move(table)), frames_(&frames), owner_(owner) {}

AddressSpace::~AddressSpace() {
  for (const Region& region : regions_) release(region, region.range);
}

Result<> AddressSpace::map_ram(GuestPhys base, std::uint64_t size, MappingFlags flags, MapType type,
                               Populate populate, std::string name) {
  RETRAP_TRY(const GuestRange range, range_of(base, size, format().address_bits()));
  RETRAP_TRY(check_free(range, name));
  const auto unknown = flags & (MappingFlags::Device | MappingFlags::Uncached);
  if (!allows(flags, MappingFlags::Read) || unknown != MappingFlags::None) {
    return fail(ErrorCode::InvalidInput, "{} cannot be RAM with flags {:#x}", name,
                static_cast<std::uint32_t>(flags));
  }
  if (type == MapType::Reserved) {
    return map_host(base, HostPhys(base.raw()), size, flags, std::move(name), RegionUse::Ram);
  }
  if (type == MapType::Identical) populate = Populate::Eager;

  Region region{.range = range,
                .name = std::move(name),
                .flags = flags,
                .use = RegionUse::Ram,
                .type = type,
                .populate = populate,
                .host = {}};
  if (populate == Populate::Eager) {
    RETRAP_TRY(region.host,
               type == MapType::Identical ? allocate_identical(range) : allocate_run(size));
    if (auto mapped = table_.map(base, region.host, size, flags & kAccess); !mapped) {
      frames_->release(region.host, size);
      return mapped;
    }
  }
  insert(std::move(region));
  return {};
}

Result<> AddressSpace::map_linear(GuestPhys base, HostPhys host, std::uint64_t size,
                                  MappingFlags flags, std::string name) {
  return map_host(base, host, size, flags, std::move(name), RegionUse::Window);
}

Result<> AddressSpace::map_host(GuestPhys base, HostPhys host, std::uint64_t size,
                                MappingFlags flags, std::string name, RegionUse use) {
  RETRAP_TRY(const GuestRange range, range_of(base, size, format().address_bits()));
  RETRAP_TRY(check_free(range, name));
  if (!allows(flags, MappingFlags::Read)) {
    return fail(ErrorCode::InvalidInput, "{} cannot be mapped with flags {:#x}", name,
                static_cast<std::uint32_t>(flags));
  }
  RETRAP_TRY(frames_->hold(host, size, {.vm = owner_, .use = FrameUse::Shared}));
  if (auto mapped = table_.map(base, host, size, flags); !mapped) {
    frames_->release(host, size);
    return mapped;
  }
  insert({.range = range,
          .name = std::move(name),
          .flags = flags,
          .use = use,
          .type = MapType::Reserved,
          .populate = Populate::Eager,
          .host = host});
  return {};
}

Result<> AddressSpace::unmap(GuestPhys base, std::uint64_t size) {
  RETRAP_TRY(const GuestRange range, range_of(base, size, format().address_bits()));
  const bool touched = std::any_of(regions_.begin(), regions_.end(), [&](const Region& region) {
    return region.range.overlaps(range);
  });
  if (!touched) return fail(ErrorCode::NotFound, "nothing is mapped in {}", range);
  // Frames first, while the table still says where they are; the table cannot fail once it is
  // split at both ends, so this does nothing before that.
  RETRAP_TRY(table_.split_around(base, size));
  std::vector<Region> kept;
  kept.reserve(regions_.size() + 1);
  for (Region& region : regions_) {
    if (!region.range.overlaps(range)) {
      kept.push_back(std::move(region));
      continue;
    }
    const GuestPhys first = std::max(region.range.base(), base);
    const GuestPhys last = std::min(region.range.last(), range.last());
    release(region, *GuestRange::make(first, last.offset_from(first) + 1));
    const std::uint64_t before = first.offset_from(region.range.base());
    const std::uint64_t after = region.range.last().offset_from(last);
    if (before != 0) kept.push_back(part_of(region, region.range.base(), before));
    if (after != 0) kept.push_back(part_of(region, last.wrapping_add(1), after));
  }
  regions_ = std::move(kept);
  ++generation_;
  const auto unmapped = table_.unmap(base, size);
  RETRAP_CHECK(unmapped.has_value(), "a table that was split cannot fail");
  return {};
}

const Region* AddressSpace::find(GuestPhys at, std::uint64_t bytes) const {
  const auto after = std::upper_bound(
      regions_.begin(), regions_.end(), at,
      [](GuestPhys left, const Region& right) { return left < right.range.base(); });
  if (after == regions_.begin()) return nullptr;
  const Region& region = *std::prev(after);
  return region.range.contains(at, bytes) ? &region : nullptr;
}

FaultOutcome AddressSpace::handle_fault(GuestPhys at, MappingFlags access) {
  const Region* region = find(at);
  if (region == nullptr) return FaultOutcome::Unmapped;
  if (!allows(region->flags, access & kAccess)) return FaultOutcome::Permission;
  const auto there = table_.translate(at);
  if (there && allows(there->flags, access & kAccess)) return FaultOutcome::Populated;
  const GuestPhys page = at.align_down(kPageSize);
  if (there) {
    // Write protection that the region does not ask for ends with the first write.
    const bool granted = table_.protect(page, kPageSize, region->flags).has_value();
    return granted ? FaultOutcome::Populated : FaultOutcome::NoMemory;
  }
  RETRAP_CHECK(region->populate == Populate::Lazy, "{} is not mapped at {}", region->name, at);
  return populate(*region, page) ? FaultOutcome::Populated : FaultOutcome::NoMemory;
}

std::optional<HostPhys> AddressSpace::translate(GuestPhys at) const {
  const auto there = table_.translate(at);
  if (!there) return std::nullopt;
  return there->address;
}

Result<> AddressSpace::check_mapped(GuestPhys at, std::uint64_t bytes) const {
  while (bytes != 0) {
    const Region* region = find(at);
    if (region == nullptr) return fail(ErrorCode::NotFound, "nothing is mapped at {}", at);
    const std::uint64_t rest = region->range.last().offset_from(at) + 1;
    if (rest >= bytes) return {};
    bytes -= rest;
    const auto next = at.checked_add(rest);
    if (!next) return fail(ErrorCode::NotFound, "an access wraps around the address space");
    at = *next;
  }
  return {};
}

Result<> AddressSpace::read(GuestPhys from, std::span<std::byte> into) {
  RETRAP_TRY(check_mapped(from, into.size()));
  while (!into.empty()) {
    const std::uint64_t in_page = kPageSize - from.raw() % kPageSize;
    const std::size_t count = std::min<std::size_t>(in_page, into.size());
    if (const auto host = translate(from)) {
      const auto bytes = frames_->memory().read(*host, count);
      std::copy(bytes.begin(), bytes.end(), into.begin());
    } else {
      std::fill_n(into.begin(), count, std::byte{0});
    }
    from = from.wrapping_add(count);
    into = into.subspan(count);
  }
  return {};
}

Result<> AddressSpace::write(GuestPhys to, std::span<const std::byte> from) {
  RETRAP_TRY(check_mapped(to, from.size()));
  if (from.empty()) return {};
  const GuestPhys last = to.wrapping_add(from.size() - 1);
  for (GuestPhys page = to.align_down(kPageSize); page <= last;
       page = page.wrapping_add(kPageSize)) {
    if (!translate(page) && !populate(*find(page), page)) {
      return fail(ErrorCode::NoMemory, "the host has no frame left for {}", page);
    }
    if (last.offset_from(page) < kPageSize) break;
  }
  while (!from.empty()) {
    const std::uint64_t in_page = kPageSize - to.raw() % kPageSize;
    const std::size_t count = std::min<std::size_t>(in_page, from.size());
    std::copy_n(from.begin(), count, frames_->memory().write(*translate(to), count).begin());
    to = to.wrapping_add(count);
    from = from.subspan(count);
  }
  return {};
}

void AddressSpace::clear() {
  for (const Region& region : regions_) {
    if (owns_one_run(region)) {
      frames_->memory().zero(region.host, region.range.size());
    } else if (region.populate == Populate::Lazy) {
      for_each_leaf(region.range, [&](GuestPhys, HostPhys host, std::uint64_t size) {
        frames_->memory().zero(host, size);
      });
    }
  }
  ++generation_;
}

template <class Visit>
void AddressSpace::for_each_page(Visit visit) const {
  HostMemory& memory = frames_->memory();
  for (const Region& region : regions_) {
    for_each_leaf(region.range, [&](GuestPhys at, HostPhys host, std::uint64_t size) {
      for (std::uint64_t done = 0; done < size; done += kPageSize) {
        const HostPhys page = host.wrapping_add(done);
        if ((memory.flags(page) & HostMemory::kWritten) == 0) continue;
        const auto bytes = memory.read(page, kPageSize);
        if (!is_zero(bytes)) visit(at.wrapping_add(done), bytes);
      }
    });
  }
}

void AddressSpace::digest(Digest& into) const {
  for_each_page([&](GuestPhys page, std::span<const std::byte> bytes) {
    into.add(page.raw());
    into.add(bytes);
  });
}

std::uint64_t AddressSpace::piece_size(std::uint64_t most) const {
  std::uint64_t size = kPageSize;
  for (; size < std::uint64_t{1} << 62; size <<= 1) {
    std::uint64_t pieces = 0;
    std::uint64_t next = 0;  // the first piece that is not counted yet
    for (const Region& region : regions_) {
      const std::uint64_t first = std::max(next, region.range.base().raw() / size);
      const std::uint64_t end = region.range.last().raw() / size + 1;
      if (first < end) pieces += end - first;
      next = std::max(next, end);
    }
    if (pieces <= std::max<std::uint64_t>(most, regions_.size())) break;
  }
  return size;
}

std::vector<AddressSpace::Piece> AddressSpace::pieces(std::uint64_t most) const {
  const std::uint64_t size = piece_size(most);
  std::vector<Piece> pieces;
  Digest digest;
  for_each_page([&](GuestPhys page, std::span<const std::byte> bytes) {
    const GuestPhys base = page.align_down(size);
    if (pieces.empty() || pieces.back().base != base) {
      pieces.push_back({base, size, 0});
      digest = {};
    }
    digest.add(page.raw());
    digest.add(bytes);
    pieces.back().digest = digest.value();
  });
  return pieces;
}

Result<> AddressSpace::check_free(GuestRange range, std::string_view name) const {
  for (const Region& other : regions_) {
    if (!other.range.overlaps(range)) continue;
    return fail(ErrorCode::AlreadyExists, "{} at {} overlaps {} at {}", name, range, other.name,
                other.range);
  }
  return {};
}

Result<HostPhys> AddressSpace::allocate_run(std::uint64_t size) {
  const FrameOwner owner{.vm = owner_, .use = FrameUse::GuestRam};
  // Alignment only makes bigger leaves possible; where the host is too full for it, any place will
  // do.
  for (const std::uint64_t align : {std::uint64_t{1} << 30, std::uint64_t{1} << 21}) {
    if (size < align) continue;
    if (auto run = frames_->allocate(size, align, owner)) return run;
  }
  return frames_->allocate(size, kPageSize, owner);
}

Result<HostPhys> AddressSpace::allocate_identical(GuestRange range) {
  const HostPhys host(range.base().raw());
  RETRAP_TRY(frames_->allocate_at(host, range.size(), {.vm = owner_, .use = FrameUse::GuestRam}));
  return host;
}

bool AddressSpace::populate(const Region& region, GuestPhys page) {
  const auto frame =
      frames_->allocate(kPageSize, kPageSize, {.vm = owner_, .use = FrameUse::GuestRam});
  if (!frame) return false;
  if (table_.map(page, *frame, kPageSize, region.flags & kAccess)) return true;
  frames_->release(*frame, kPageSize);
  return false;
}

void AddressSpace::release(const Region& region, GuestRange range) {
  if (region.populate == Populate::Eager) {
    frames_->release(region.host.wrapping_add(range.base().offset_from(region.range.base())),
                     range.size());
    return;
  }
  for_each_leaf(
      range, [&](GuestPhys, HostPhys host, std::uint64_t size) { frames_->release(host, size); });
}

Region AddressSpace::part_of(const Region& region, GuestPhys base, std::uint64_t size) {
  Region part = region;
  part.range = *GuestRange::make(base, size);
  if (region.populate == Populate::Eager) {
    part.host = region.host.wrapping_add(base.offset_from(region.range.base()));
  }
  return part;
}

void AddressSpace::insert(Region region) {
  const auto after = std::upper_bound(
      regions_.begin(), regions_.end(), region,
      [](const Region& a, const Region& b) { return a.range.base() < b.range.base(); });
  regions_.insert(after, std::move(region));
}

template <class Visit>
void AddressSpace::for_each_leaf(GuestRange range, Visit visit) const {
  for (GuestPhys next = range.base();;) {
    const auto leaf = table_.next_leaf(next, range.last());
    if (!leaf) return;
    const GuestPhys first = std::max(leaf->base, range.base());
    const GuestPhys last = std::min(leaf->last(), range.last());
    visit(first, leaf->target.address.wrapping_add(first.offset_from(leaf->base)),
          last.offset_from(first) + 1);
    if (last == range.last()) return;
    next = last.wrapping_add(1);
  }
}

}  // namespace retrap
