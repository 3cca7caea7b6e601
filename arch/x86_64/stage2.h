// Nested page tables as AMD's SVM has them: the long-mode format, walked as user accesses.
//
// AMD64 Architecture Programmer's Manual, volume 2 (24593), 5.3 "Long-Mode Page Translation" and
// 15.25 "Nested Paging".
#pragma once

#include <cstdint>

#include "vmm/base/bits.h"
#include "vmm/page_table.h"

namespace retrap::x86_64 {

/// The bits of an entry, as the simulated MMU reads them.
namespace npt {

inline constexpr unsigned kLevels = 4;        ///< PML4E, PDPE, PDE, PTE
inline constexpr unsigned kAddressBits = 48;  ///< of a guest-physical address

inline constexpr std::uint64_t kPresent = bit(0);
inline constexpr std::uint64_t kWrite = bit(1);
inline constexpr std::uint64_t kUser = bit(2);  ///< a nested walk is a user access: must be set
inline constexpr std::uint64_t kWriteThrough = bit(3);
inline constexpr std::uint64_t kCacheDisable = bit(4);
inline constexpr std::uint64_t kAccessed = bit(5);
inline constexpr std::uint64_t kDirty = bit(6);     ///< leaves only
inline constexpr std::uint64_t kPageSize = bit(7);  ///< PS: a leaf at level 1 or 2
inline constexpr std::uint64_t kNoExecute = bit(63);

/// Bits [51:12]; of a large leaf the low ones are zero or must be ignored.
inline constexpr std::uint64_t kAddressMask = low_bits(52) & ~low_bits(12);

/// The first bit of a guest-physical address that `level` translates: 12, 21, 30, 39.
[[nodiscard]] constexpr unsigned shift_of(unsigned level) {
  return 12 + 9 * level;
}

/// The index of `gpa` into a table of `level`.
[[nodiscard]] constexpr std::uint64_t index_of(std::uint64_t gpa, unsigned level) {
  return (gpa >> shift_of(level)) & 0x1ff;
}

/// Whether an entry of `level` is the end of the walk (of a present entry).
[[nodiscard]] constexpr bool is_leaf(std::uint64_t entry, unsigned level) {
  return level == 0 || (level <= 2 && (entry & kPageSize) != 0);
}

/// Bits that hardware wants to be zero: PS in a PML4E, the low address bits of a large leaf (its
/// PAT bit, 12, aside), addresses beyond 52 bits.
[[nodiscard]] constexpr std::uint64_t reserved_bits(std::uint64_t entry, unsigned level) {
  if (level == 3) return kPageSize;
  if (level == 0 || !is_leaf(entry, level)) return 0;
  return low_bits(shift_of(level)) & ~low_bits(13);
}

/// The page that a leaf of `level` maps.
[[nodiscard]] constexpr std::uint64_t leaf_address(std::uint64_t entry, unsigned level) {
  return entry & kAddressMask & ~low_bits(shift_of(level));
}

}  // namespace npt

/// nPT for the monitor's page-table code. Device is PCD and PWT (UC), Uncached is PCD (UC-).
/// A leaf that may not be read cannot be said in this format: it is encoded as not present.
class NestedPageTableFormat final : public PageTableFormat {
 public:
  [[nodiscard]] unsigned levels() const override { return npt::kLevels; }
  [[nodiscard]] unsigned address_bits() const override { return npt::kAddressBits; }
  [[nodiscard]] std::uint64_t root_size() const override { return 4096; }
  [[nodiscard]] std::uint64_t encode_leaf(HostPhys page, unsigned level,
                                          MappingFlags flags) const override;
  [[nodiscard]] std::uint64_t encode_table(HostPhys table) const override;
  [[nodiscard]] Entry decode(std::uint64_t entry, unsigned level) const override;
};

}  // namespace retrap::x86_64
