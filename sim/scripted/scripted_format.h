// A stage-2 format for tests of the monitor: as plain as an entry can be.
#pragma once

#include "vmm/page_table.h"

namespace retrap::scripted {

/// Bit 0 valid, bit 1 leaf, bits 11:4 MappingFlags, then the page. Three or four levels; the root
/// is one page, or four with two more index bits as RISC-V has it.
class ScriptedFormat final : public PageTableFormat {
 public:
  explicit constexpr ScriptedFormat(unsigned levels = 4, bool wide_root = false)
      : levels_(levels), wide_root_(wide_root) {}

  [[nodiscard]] unsigned levels() const override { return levels_; }
  [[nodiscard]] unsigned address_bits() const override {
    return 12 + 9 * levels_ + (wide_root_ ? 2 : 0);
  }
  [[nodiscard]] std::uint64_t root_size() const override {
    return wide_root_ ? 4 * kPageSize : kPageSize;
  }
  [[nodiscard]] std::uint64_t encode_leaf(HostPhys page, unsigned level,
                                          MappingFlags flags) const override {
    (void)level;
    return page.raw() | static_cast<std::uint64_t>(flags) << 4 | 3;
  }
  [[nodiscard]] std::uint64_t encode_table(HostPhys table) const override {
    return table.raw() | 1;
  }
  [[nodiscard]] Entry decode(std::uint64_t entry, unsigned level) const override {
    (void)level;
    const HostPhys address = HostPhys(entry).align_down(kPageSize);
    if ((entry & 1) == 0) return {.kind = Kind::Invalid, .address = {}, .flags = {}};
    if ((entry & 2) == 0) return {.kind = Kind::Table, .address = address, .flags = {}};
    return {.kind = Kind::Leaf, .address = address, .flags = MappingFlags((entry >> 4) & 0xff)};
  }

 private:
  unsigned levels_;
  bool wide_root_;
};

}  // namespace retrap::scripted
