// General registers in the widths that instructions use them.
#pragma once

#include <cstdint>

#include "arch/x86_64/cpu.h"
#include "vmm/base/bits.h"

namespace retrap::x86_64 {

/// Without REX, byte registers 4 to 7 are AH CH DH BH.
[[nodiscard]] constexpr bool is_high_byte(std::uint8_t number, unsigned bytes, bool has_rex) {
  return bytes == 1 && !has_rex && number >= 4 && number < 8;
}

[[nodiscard]] inline std::uint64_t read_register(const Cpu& cpu, std::uint8_t number,
                                                 unsigned bytes, bool has_rex) {
  if (is_high_byte(number, bytes, has_rex)) {
    return extract(cpu.gpr(Gpr(number & 3)), 15, 8);
  }
  return cpu.gpr(Gpr(number)) & low_bits(8 * bytes);
}

/// What a write of `bytes` makes of a register: 8 and 16 bits leave the rest, 32 bits clear it
/// (APM volume 1, 3.1.2).
[[nodiscard]] constexpr std::uint64_t merge_register(std::uint64_t old, std::uint64_t value,
                                                     unsigned bytes) {
  switch (bytes) {
    case 1:  return insert(old, 7, 0, value);
    case 2:  return insert(old, 15, 0, value);
    case 4:  return value & low_bits(32);
    default: return value;
  }
}

inline void write_register(Cpu& cpu, std::uint8_t number, unsigned bytes, bool has_rex,
                           std::uint64_t value) {
  if (is_high_byte(number, bytes, has_rex)) {
    const auto owner = Gpr(number & 3);
    cpu.set_gpr(owner, insert(cpu.gpr(owner), 15, 8, value));
    return;
  }
  cpu.set_gpr(Gpr(number), merge_register(cpu.gpr(Gpr(number)), value, bytes));
}

/// How wide the stack pointer is: 8 in 64-bit code, else by the B bit of SS.
[[nodiscard]] inline unsigned stack_address_bytes(const Cpu& cpu) {
  if (cpu.code_bytes() == 8) return 8;
  constexpr unsigned kAttributeB = 10;
  return has_bit(cpu.segment(SegmentName::Ss).attributes, kAttributeB) ? 4 : 2;
}

/// The low `bytes` of `value` in the other order.
[[nodiscard]] constexpr std::uint64_t swap_bytes(std::uint64_t value, unsigned bytes) {
  std::uint64_t swapped = 0;
  for (unsigned i = 0; i < bytes; ++i) {
    swapped = swapped << 8 | ((value >> (8 * i)) & 0xff);
  }
  return swapped;
}

}  // namespace retrap::x86_64
