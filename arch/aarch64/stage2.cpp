// Encoding and decoding of stage-2 descriptors.
#include "arch/aarch64/stage2.h"

namespace retrap::aarch64 {
namespace {

std::uint64_t memory_attributes(MappingFlags flags) {
  if (allows(flags, MappingFlags::Device)) return s2::kDeviceNGnRE;
  if (allows(flags, MappingFlags::Uncached)) return s2::kNormalNonCacheable;
  return s2::kNormalWriteBack;
}

}  // namespace

std::uint64_t Stage2Format::encode_leaf(HostPhys page, unsigned level, MappingFlags flags) const {
  std::uint64_t entry = page.raw() | s2::kValid | s2::kAccessFlag | s2::kInnerShareable |
                        memory_attributes(flags) << s2::kMemAttrShift;
  if (level == 0) entry |= s2::kTableOrPage;
  if (allows(flags, MappingFlags::Read)) entry |= s2::kReadable;
  if (allows(flags, MappingFlags::Write)) entry |= s2::kWritable;
  if (!allows(flags, MappingFlags::Execute)) entry |= s2::kExecuteNever;
  return entry;
}

std::uint64_t Stage2Format::encode_table(HostPhys table) const {
  return table.raw() | s2::kValid | s2::kTableOrPage;
}

PageTableFormat::Entry Stage2Format::decode(std::uint64_t entry, unsigned level) const {
  if ((entry & s2::kValid) == 0) return {Kind::Invalid, HostPhys(), MappingFlags::None};
  if (s2::is_table(entry, level)) {
    return {Kind::Table, HostPhys(entry & s2::kAddressMask), MappingFlags::None};
  }
  if (!s2::is_leaf(entry, level)) return {Kind::Invalid, HostPhys(), MappingFlags::None};
  MappingFlags flags = MappingFlags::None;
  if ((entry & s2::kReadable) != 0) flags = flags | MappingFlags::Read;
  if ((entry & s2::kWritable) != 0) flags = flags | MappingFlags::Write;
  if ((entry & s2::kExecuteNever) == 0) flags = flags | MappingFlags::Execute;
  const std::uint64_t attributes = extract(entry, 5, 2);
  if (attributes <= 0b0011) {
    flags = flags | MappingFlags::Device;
  } else if (attributes != s2::kNormalWriteBack) {
    flags = flags | MappingFlags::Uncached;
  }
  return {Kind::Leaf, HostPhys(s2::leaf_address(entry, level)), flags};
}

}  // namespace retrap::aarch64
