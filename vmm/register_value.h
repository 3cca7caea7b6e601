// What an access leaves in a register that is wider than the access.
#pragma once

#include <cstdint>

#include "vmm/base/bits.h"
#include "vmm/exit.h"

namespace retrap {

/// The new value of `read.reg` for `value` from the bus: extended from the width of the access to
/// the width of the register, zero above that.
[[nodiscard]] constexpr std::uint64_t register_value(const exits::MmioRead& read,
                                                     std::uint64_t value) {
  value = truncate(value, read.width);
  if (read.signed_ext) value = sign_extend(value, bits(read.width));
  return truncate(value, read.reg_width);
}

/// RAX after IN: 8- and 16-bit forms keep what is above, the 32-bit form clears it
/// (AMD64 APM 1, 3.1.2).
[[nodiscard]] constexpr std::uint64_t merge_port_value(std::uint64_t rax, Width width,
                                                       std::uint64_t value) {
  value = truncate(value, width);
  if (width == Width::Byte || width == Width::Half) return (rax & ~all_ones(width)) | value;
  return value;
}

}  // namespace retrap
