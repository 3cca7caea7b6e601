// Functions made at run time.
#pragma once

#include "guest.h"

/// Writes a function that returns `value` (< 2^16) to `at`; gives its size in bytes.
static inline u64 make_function(u64 at, u64 value) {
#if defined(__riscv)
  write32(at, (u32)(0x00000537 | (value + 0x800) >> 12 << 12));  // lui a0, high
  write32(at + 4, (u32)(0x0005051b | (value & 0xfff) << 20));    // addiw a0, a0, low
  write32(at + 8, 0x00008067);                                   // ret
  return 12;
#elif defined(__aarch64__)
  write32(at, (u32)(0xd2800000 | value << 5));  // mov x0, value
  write32(at + 4, 0xd65f03c0);                  // ret
  return 8;
#else
  write8(at, 0xb8);  // mov $value, %eax
  write16(at + 1, (u16)value);
  write16(at + 3, 0);
  write8(at + 5, 0xc3);  // ret
  return 6;
#endif
}
