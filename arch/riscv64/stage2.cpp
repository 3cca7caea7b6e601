// Encoding and decoding of G-stage entries.
#include "arch/riscv64/stage2.h"

#include "vmm/base/bits.h"

namespace retrap::riscv64 {

std::uint64_t GStageFormat::encode_leaf(HostPhys page, unsigned /*level*/,
                                        MappingFlags flags) const {
  std::uint64_t rights = 0;
  if (allows(flags, MappingFlags::Read)) rights |= pte::kR;
  // W without R is reserved: memory that may not be read may not be written either.
  if (allows(flags, MappingFlags::Read | MappingFlags::Write)) rights |= pte::kW;
  if (allows(flags, MappingFlags::Execute)) rights |= pte::kX;
  if (rights == 0) return 0;
  return pte::kV | pte::kU | pte::kA | pte::kD | rights | (page.raw() >> 12 << pte::kPpnShift);
}

std::uint64_t GStageFormat::encode_table(HostPhys table) const {
  return pte::kV | (table.raw() >> 12 << pte::kPpnShift);
}

PageTableFormat::Entry GStageFormat::decode(std::uint64_t entry, unsigned level) const {
  const HostPhys address(pte::address(entry));
  const bool reserved =
      (entry & (pte::kR | pte::kW)) == pte::kW || entry >> pte::kReservedShift != 0;
  if ((entry & pte::kV) == 0 || reserved) return {Kind::Invalid, HostPhys(0), MappingFlags::None};
  if ((entry & (pte::kR | pte::kW | pte::kX)) == 0) {
    if (level == 0) return {Kind::Invalid, HostPhys(0), MappingFlags::None};
    return {Kind::Table, address, MappingFlags::None};
  }
  // A walk of this stage is a user access, and a large page is aligned to its size.
  if ((entry & pte::kU) == 0 || !address.is_aligned(bit(12 + kLevelBits * level))) {
    return {Kind::Invalid, HostPhys(0), MappingFlags::None};
  }
  MappingFlags flags = MappingFlags::None;
  if ((entry & pte::kR) != 0) flags = flags | MappingFlags::Read;
  if ((entry & pte::kW) != 0) flags = flags | MappingFlags::Write;
  if ((entry & pte::kX) != 0) flags = flags | MappingFlags::Execute;
  return {Kind::Leaf, address, flags};
}

const GStageFormat& sv39x4() {
  static const GStageFormat format(kSv39x4Levels);
  return format;
}

const GStageFormat& sv48x4() {
  static const GStageFormat format(kSv48x4Levels);
  return format;
}

}  // namespace retrap::riscv64
