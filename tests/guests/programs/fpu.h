// One machine's floating point, on the bits of doubles.
#pragma once

#include "guest.h"

#if defined(__riscv)
enum : u64 { kFpuOffTrap = kUndefined };
#else
enum : u64 { kFpuOffTrap = kFpuDisabled };
#endif

void fpu_off(void);
void fpu_on(void);
u64 fpu_touch(u64 argument);
u64 fpu_add(u64 a, u64 b);
u64 fpu_multiply(u64 a, u64 b);
u64 fpu_divide(u64 a, u64 b);
u64 fpu_square_root(u64 a);
void fpu_set(u64 value);
u64 fpu_get(void);
void fpu_more(void);
