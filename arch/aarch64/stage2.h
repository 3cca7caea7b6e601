// Stage-2 translation tables in VMSAv8-64 format: 4 KiB granule, 48-bit IPA, four levels.
//
// DDI 0487, D8.3 "Translation table descriptor formats" and D8.4 "Memory access control".
#pragma once

#include <cstdint>

#include "vmm/base/bits.h"
#include "vmm/page_table.h"

namespace retrap::aarch64 {

/// The bits of a stage-2 descriptor, as the simulated MMU reads them. Levels count as in
/// PageTableFormat: 3 is the manual's level 0 (the root), 0 its level 3 (pages).
namespace s2 {

inline constexpr unsigned kLevels = 4;
inline constexpr unsigned kAddressBits = 48;  ///< VTCR_EL2: T0SZ 16, SL0 2, TG0 4 KiB

inline constexpr std::uint64_t kValid = bit(0);
inline constexpr std::uint64_t kTableOrPage = bit(1);  ///< clear at levels 1 and 2: a block
inline constexpr unsigned kMemAttrShift = 2;           ///< MemAttr[3:0]
inline constexpr std::uint64_t kReadable = bit(6);     ///< S2AP[0]
inline constexpr std::uint64_t kWritable = bit(7);     ///< S2AP[1]
inline constexpr std::uint64_t kInnerShareable = 3ull << 8;
inline constexpr std::uint64_t kAccessFlag = bit(10);
inline constexpr std::uint64_t kExecuteNever = bit(54);  ///< XN[1] without FEAT_XNX
inline constexpr std::uint64_t kAddressMask = low_bits(48) & ~low_bits(12);

// MemAttr values (D8.6.5, FWB 0).
inline constexpr std::uint64_t kDeviceNGnRE = 0b0001;
inline constexpr std::uint64_t kNormalNonCacheable = 0b0101;
inline constexpr std::uint64_t kNormalWriteBack = 0b1111;

/// The first bit of an IPA that `level` translates: 12, 21, 30, 39.
[[nodiscard]] constexpr unsigned shift_of(unsigned level) {
  return 12 + 9 * level;
}
[[nodiscard]] constexpr std::uint64_t index_of(std::uint64_t ipa, unsigned level) {
  return (ipa >> shift_of(level)) & 0x1ff;
}
/// Whether a valid descriptor of `level` ends the walk, and means something there.
[[nodiscard]] constexpr bool is_leaf(std::uint64_t descriptor, unsigned level) {
  const bool bit1 = (descriptor & kTableOrPage) != 0;
  return level == 0 ? bit1 : (level <= 2 && !bit1);
}
[[nodiscard]] constexpr bool is_table(std::uint64_t descriptor, unsigned level) {
  return level > 0 && (descriptor & kTableOrPage) != 0;
}
[[nodiscard]] constexpr std::uint64_t leaf_address(std::uint64_t descriptor, unsigned level) {
  return descriptor & kAddressMask & ~low_bits(shift_of(level));
}

}  // namespace s2

/// VMSAv8-64 stage 2 for the monitor's page-table code.
class Stage2Format final : public PageTableFormat {
 public:
  [[nodiscard]] unsigned levels() const override { return s2::kLevels; }
  [[nodiscard]] unsigned address_bits() const override { return s2::kAddressBits; }
  [[nodiscard]] std::uint64_t root_size() const override { return 4096; }
  [[nodiscard]] std::uint64_t encode_leaf(HostPhys page, unsigned level,
                                          MappingFlags flags) const override;
  [[nodiscard]] std::uint64_t encode_table(HostPhys table) const override;
  [[nodiscard]] Entry decode(std::uint64_t entry, unsigned level) const override;
};

}  // namespace retrap::aarch64
