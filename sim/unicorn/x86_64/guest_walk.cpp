// The walk of the guest's own page tables.
#include "sim/unicorn/x86_64/guest_walk.h"

#include "vmm/base/bytes.h"

namespace retrap::unicorn::x86_64 {
namespace {

// Page-table entries (APM volume 2, 5.4).
constexpr std::uint64_t kP = bit(0);
constexpr std::uint64_t kRw = bit(1);
constexpr std::uint64_t kUs = bit(2);
constexpr std::uint64_t kA = bit(5);
constexpr std::uint64_t kD = bit(6);
constexpr std::uint64_t kPs = bit(7);
constexpr std::uint64_t kNx = bit(63);
constexpr std::uint64_t kAddress = low_bits(52) & ~low_bits(12);

// Error code of #PF.
constexpr std::uint64_t kErrorPresent = bit(0);
constexpr std::uint64_t kErrorWrite = bit(1);
constexpr std::uint64_t kErrorUser = bit(2);
constexpr std::uint64_t kErrorReserved = bit(3);
constexpr std::uint64_t kErrorFetch = bit(4);

/// One of the three formats. Walks are compiled for each: most of a TLB fill is a walk.
template <unsigned Levels, bool Wide>  // Wide: 64-bit entries
struct Format {
  static constexpr unsigned kLevels = Levels;
  static constexpr bool kWide = Wide;
  static constexpr std::uint64_t kTable = Wide ? kAddress : 0xffff'f000;

  [[nodiscard]] static constexpr unsigned shift(unsigned level) {
    return 12 + (Wide ? 9 : 10) * level;
  }
  [[nodiscard]] static std::uint64_t entry_at(std::uint64_t base, std::uint64_t linear,
                                              unsigned level) {
    if (!Wide) return base + 4 * ((linear >> shift(level)) & 0x3ff);
    if (is_pae_directory(level)) return base + 8 * ((linear >> 30) & 3);
    return base + 8 * ((linear >> shift(level)) & 0x1ff);
  }
  /// The page-directory-pointer table of PAE has neither permissions nor accessed bits.
  [[nodiscard]] static constexpr bool is_pae_directory(unsigned level) {
    return Levels == 3 && level == 2;
  }
  [[nodiscard]] static bool is_leaf(const PagingMode& mode, std::uint64_t entry, unsigned level) {
    if (level == 0) return true;
    if ((entry & kPs) == 0) return false;
    if (level == 1) return Wide || (mode.cr4 & cr4::kPse) != 0;
    return level == 2 && Levels == 4;
  }
  [[nodiscard]] static std::uint64_t reserved(const PagingMode& mode, unsigned level, bool leaf) {
    if (!Wide) return leaf && level == 1 ? low_bits(22) & ~low_bits(21) : 0;
    std::uint64_t bits = (mode.efer & efer::kNxe) != 0 ? 0 : kNx;
    if (is_pae_directory(level)) return (~std::uint64_t{0} & ~low_bits(52)) | 0x1e6;
    if (level == 3) bits |= kPs;
    if (level > 0 && leaf) bits |= low_bits(shift(level)) & ~low_bits(13);
    return bits;
  }
  [[nodiscard]] static std::uint64_t page(std::uint64_t entry, std::uint64_t linear,
                                          unsigned level) {
    const std::uint64_t offset = low_bits(shift(level));
    if (Wide) return (entry & kAddress & ~offset) | (linear & offset);
    std::uint64_t base = entry & 0xffff'f000 & ~offset;
    if (level == 1) base |= extract(entry, 20, 13) << 32;  // PSE-36
    return base | (linear & offset);
  }
};
using LongMode = Format<4, true>;
using Pae = Format<3, true>;
using Legacy = Format<2, false>;

std::uint64_t fault_error(const PagingMode& mode, Access access, Privilege privilege) {
  std::uint64_t error = 0;
  if (access == Access::Write) error |= kErrorWrite;
  if (privilege == Privilege::User) error |= kErrorUser;
  const bool pae = (mode.cr4 & cr4::kPae) != 0;
  const bool nx = (mode.efer & efer::kNxe) != 0 && pae;
  if (access == Access::Fetch && (nx || (mode.cr4 & cr4::kSmep) != 0)) error |= kErrorFetch;
  return error;
}

/// What the levels of a walk allow together.
struct Rights {
  bool rw = true;
  bool us = true;
  bool nx = false;

  [[nodiscard]] bool can_write(const PagingMode& mode, Privilege privilege) const {
    return rw || (privilege == Privilege::Supervisor && (mode.cr0 & cr0::kWp) == 0);
  }
  [[nodiscard]] bool can_fetch(const PagingMode& mode, Privilege privilege) const {
    return !nx && !(privilege == Privilege::Supervisor && us && (mode.cr4 & cr4::kSmep) != 0);
  }
  [[nodiscard]] bool allow(const PagingMode& mode, Access access, Privilege privilege) const {
    if (privilege == Privilege::User && !us) return false;
    if (access == Access::Fetch) return can_fetch(mode, privilege);
    if (access == Access::Write && !can_write(mode, privilege)) return false;
    const bool smap = (mode.cr4 & cr4::kSmap) != 0 && !mode.ac;
    return !(privilege == Privilege::Supervisor && us && smap);
  }
};

}  // namespace

[[gnu::always_inline]] inline bool GuestWalker::read_entry(std::uint64_t gpa, bool wide,
                                                           Marks marks, Entry& entry, Walk& walk) {
  // The CPU treats its reads of guest tables as writes by a user (APM volume 2, 15.25.6).
  const Access access = marks == Marks::Set ? Access::Write : Access::Read;
  const NestedPage& page = nested_.find_for(gpa, access);
  if (!permits(page, access)) [[unlikely]] {
    walk.kind = Translation::Kind::NestedFault;
    walk.gpa = gpa;
    walk.error = nested_error(page, access, npf::kGuestTable);
    return false;
  }
  const std::uint64_t host = page.host + (gpa & (kPageSize - 1));
  std::byte* bytes = nested_.host_bytes(host);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, wide ? 8 : 4);
  entry = {bytes, gpa, host, little_endian(value), wide};
  return true;
}

inline void GuestWalker::set_bits(Entry& entry, std::uint64_t bits) {
  if ((entry.value & bits) == bits) [[likely]]
    return;
  entry.value |= bits;
  const std::uint64_t value = little_endian(entry.value);
  std::memcpy(entry.bytes, &value, entry.wide ? 8 : 4);
  code_.written_by_cpu(memory_, entry.host);
}

Walk GuestWalker::walk_anew(const PagingMode& mode, std::uint64_t linear, Access access,
                            Privilege privilege, Marks marks) {
  const bool long_mode = (mode.efer & efer::kLma) != 0;
  if (!long_mode) linear &= 0xffff'ffff;
  if ((mode.cr0 & cr0::kPg) == 0) {
    return {.gpa = linear, .readable = true, .writable = true, .executable = true};
  }
  if (long_mode) {
    if (!is_canonical(linear)) return {.kind = Translation::Kind::NonCanonical};
    return walk_tables<LongMode>(mode.cr3 & kAddress, mode, linear, access, privilege, marks);
  }
  if ((mode.cr4 & cr4::kPae) != 0) {
    return walk_tables<Pae>(mode.cr3 & 0xffff'ffe0, mode, linear, access, privilege, marks);
  }
  return walk_tables<Legacy>(mode.cr3 & 0xffff'f000, mode, linear, access, privilege, marks);
}

void GuestWalker::remember(const PagingMode& mode, std::uint64_t linear, Access access,
                           Privilege privilege, const Walk& walk) {
  const bool long_mode = (mode.efer & efer::kLma) != 0 && (mode.cr0 & cr0::kPg) != 0;
  const bool known = device_.linear == linear && device_.holds(mode, access, privilege);
  if (!long_mode || known) return;
  device_ = {linear, mode, access, privilege, walk, trail_};
}

template <class Format>
Walk GuestWalker::walk_tables(std::uint64_t table, const PagingMode& mode, std::uint64_t linear,
                              Access access, Privilege privilege, Marks marks) {
  Walk result;
  Rights rights;
  trail_.count = 0;
  const auto refuse = [&](std::uint64_t error) {
    result.kind = Translation::Kind::PageFault;
    result.error = error | fault_error(mode, access, privilege);
    return result;
  };
  for (unsigned level = Format::kLevels; level-- > 0;) {
    Entry entry;
    const std::uint64_t at = Format::entry_at(table, linear, level);
    if (!read_entry(at, Format::kWide, marks, entry, result)) return result;
    if ((entry.value & kP) == 0) return refuse(0);
    const bool leaf = Format::is_leaf(mode, entry.value, level);
    if ((entry.value & Format::reserved(mode, level, leaf)) != 0) {
      return refuse(kErrorPresent | kErrorReserved);
    }
    if (!Format::is_pae_directory(level)) {
      rights.rw = rights.rw && (entry.value & kRw) != 0;
      rights.us = rights.us && (entry.value & kUs) != 0;
      rights.nx = rights.nx || (Format::kWide && (entry.value & kNx) != 0);
    }
    if (!leaf) {
      if (marks == Marks::Set && !Format::is_pae_directory(level)) set_bits(entry, kA);
      note_step(entry);
      table = entry.value & Format::kTable;
      continue;
    }
    if (marks == Marks::Set) {
      if (!rights.allow(mode, access, privilege)) return refuse(kErrorPresent);
      set_bits(entry, access == Access::Write ? kA | kD : kA);
    }
    note_step(entry);
    result.gpa = Format::page(entry.value, linear, level);
    result.readable = rights.allow(mode, Access::Read, privilege);
    result.writable =
        result.readable && rights.can_write(mode, privilege) && (entry.value & kD) != 0;
    result.executable = rights.can_fetch(mode, privilege);
    break;
  }
  return result;
}

}  // namespace retrap::unicorn::x86_64
