// G-stage page tables: Sv39x4 and Sv48x4.
#pragma once

#include "vmm/page_table.h"

namespace retrap::riscv64 {

/// Bits of a page-table entry (Privileged Architecture, "Sv39"), the same in both stages.
namespace pte {
inline constexpr std::uint64_t kV = 1u << 0;
inline constexpr std::uint64_t kR = 1u << 1;
inline constexpr std::uint64_t kW = 1u << 2;
inline constexpr std::uint64_t kX = 1u << 3;
inline constexpr std::uint64_t kU = 1u << 4;
inline constexpr std::uint64_t kG = 1u << 5;
inline constexpr std::uint64_t kA = 1u << 6;
inline constexpr std::uint64_t kD = 1u << 7;
inline constexpr unsigned kPpnShift = 10;
inline constexpr unsigned kPpnBits = 44;
inline constexpr unsigned kReservedShift = 54;  ///< N, PBMT and reserved bits: zero without Sv*bmt

/// The address in an entry: of a table or of a page.
[[nodiscard]] constexpr std::uint64_t address(std::uint64_t entry) {
  return ((entry >> kPpnShift) & ((std::uint64_t{1} << kPpnBits) - 1)) << 12;
}
}  // namespace pte

/// Bits of the index at each level but the root's, which has two more (the "x4").
inline constexpr unsigned kLevelBits = 9;
inline constexpr std::uint64_t kGStageRootSize = 16384;
inline constexpr unsigned kSv39x4Levels = 3;
inline constexpr unsigned kSv48x4Levels = 4;

/// Width of a guest-physical address under a G-stage of `levels`: 41 or 50 bits.
[[nodiscard]] constexpr unsigned g_stage_address_bits(unsigned levels) {
  return 12 + kLevelBits * levels + 2;
}

/// The index into the table at `level` (0 holds 4 KiB leaves).
[[nodiscard]] constexpr std::uint64_t g_stage_index(std::uint64_t gpa, unsigned level,
                                                    unsigned levels) {
  const std::uint64_t index = gpa >> (12 + kLevelBits * level);
  return level + 1 == levels ? index & 0x7ff : index & 0x1ff;
}

/// Every G-stage leaf is a user leaf (accesses from VS and VU both count as U) with A and D set,
/// so that hardware of either A/D policy uses it. There is no Svpbmt: Device and Uncached are not
/// encoded.
class GStageFormat final : public PageTableFormat {
 public:
  explicit GStageFormat(unsigned levels) : levels_(levels) {}

  [[nodiscard]] unsigned levels() const override { return levels_; }
  [[nodiscard]] unsigned address_bits() const override { return g_stage_address_bits(levels_); }
  [[nodiscard]] std::uint64_t root_size() const override { return kGStageRootSize; }
  [[nodiscard]] std::uint64_t encode_leaf(HostPhys page, unsigned level,
                                          MappingFlags flags) const override;
  [[nodiscard]] std::uint64_t encode_table(HostPhys table) const override;
  [[nodiscard]] Entry decode(std::uint64_t entry, unsigned level) const override;

 private:
  unsigned levels_;
};

[[nodiscard]] const GStageFormat& sv39x4();
[[nodiscard]] const GStageFormat& sv48x4();

/// The value of hgatp for a table (Privileged Architecture, "hgatp"); VMID 0.
[[nodiscard]] constexpr std::uint64_t hgatp(const PageTableFormat& format, HostPhys root) {
  const std::uint64_t mode = format.levels() == kSv48x4Levels ? 9 : 8;
  return (mode << 60) | (root.raw() >> 12);
}

}  // namespace retrap::riscv64
