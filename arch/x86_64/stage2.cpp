// Encoding and decoding of nested page-table entries.
#include "arch/x86_64/stage2.h"

namespace retrap::x86_64 {

std::uint64_t NestedPageTableFormat::encode_leaf(HostPhys page, unsigned level,
                                                 MappingFlags flags) const {
  if (!allows(flags, MappingFlags::Read)) return 0;
  // Accessed and dirty are set from the start: nobody reads them, so no walk has to write.
  std::uint64_t entry = page.raw() | npt::kPresent | npt::kUser | npt::kAccessed | npt::kDirty;
  if (level > 0) entry |= npt::kPageSize;
  if (allows(flags, MappingFlags::Write)) entry |= npt::kWrite;
  if (!allows(flags, MappingFlags::Execute)) entry |= npt::kNoExecute;
  if (allows(flags, MappingFlags::Device)) entry |= npt::kCacheDisable | npt::kWriteThrough;
  if (allows(flags, MappingFlags::Uncached)) entry |= npt::kCacheDisable;
  return entry;
}

std::uint64_t NestedPageTableFormat::encode_table(HostPhys table) const {
  return table.raw() | npt::kPresent | npt::kWrite | npt::kUser | npt::kAccessed;
}

PageTableFormat::Entry NestedPageTableFormat::decode(std::uint64_t entry, unsigned level) const {
  const bool present = (entry & npt::kPresent) != 0;
  if (!present || (entry & npt::reserved_bits(entry, level)) != 0) {
    return {Kind::Invalid, HostPhys(), MappingFlags::None};
  }
  if (!npt::is_leaf(entry, level)) {
    return {Kind::Table, HostPhys(entry & npt::kAddressMask), MappingFlags::None};
  }
  // Without US the walk, which is a user access, always fails: such a leaf allows nothing.
  if ((entry & npt::kUser) == 0) return {Kind::Invalid, HostPhys(), MappingFlags::None};
  MappingFlags flags = MappingFlags::Read;
  if ((entry & npt::kWrite) != 0) flags = flags | MappingFlags::Write;
  if ((entry & npt::kNoExecute) == 0) flags = flags | MappingFlags::Execute;
  if ((entry & npt::kCacheDisable) != 0) {
    const bool device = (entry & npt::kWriteThrough) != 0;
    flags = flags | (device ? MappingFlags::Device : MappingFlags::Uncached);
  }
  return {Kind::Leaf, HostPhys(npt::leaf_address(entry, level)), flags};
}

}  // namespace retrap::x86_64
