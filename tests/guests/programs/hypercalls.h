// The firmware calls that only one machine has.
#pragma once

#include "guest.h"

#if defined(__riscv)
enum : u64 { kUnknownHypercall = (u64)-2 };
#elif defined(__aarch64__)
enum : u64 { kUnknownHypercall = (u64)-1 };
#else
enum : u64 { kUnknownHypercall = (u64)-38 };
#endif

void firmware_calls(void);
