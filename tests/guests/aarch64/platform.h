// The aarch64 board as a guest sees it.
#pragma once

#define TABLE_LEVELS 3

#include "../runtime/machine.h"

// The trap that memory causes where nothing is: trap_kind.
enum : u64 { kLoadOfNothing = 4, kCodeOfNothing = 4 };

#define READ_SYSTEM_REGISTER(name)                                 \
  ({                                                               \
    u64 value_;                                                    \
    __asm__ volatile("mrs %0, " name : "=r"(value_) : : "memory"); \
    value_;                                                        \
  })
#define WRITE_SYSTEM_REGISTER(name, value) \
  __asm__ volatile("msr " name ", %0" : : "r"((u64)(value)) : "memory")

/// Assembly that uses the vector registers, which the compiler may not.
#define SIMD(text) ".arch_extension simd\n" text

static inline void barrier(void) {
  __asm__ volatile("dsb sy\n isb" : : : "memory");
}

static inline void memory_barrier(void) {
  __asm__ volatile("dmb ish" : : : "memory");
}

/// HVC with the SMC calling convention: x0 to x3, result in x0.
static inline u64 hvc(u64 function, u64 first, u64 second, u64 third) {
  register u64 x0 __asm__("x0") = function;
  register u64 x1 __asm__("x1") = first;
  register u64 x2 __asm__("x2") = second;
  register u64 x3 __asm__("x3") = third;
  __asm__ volatile("hvc #0"
                   : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                   :
                   : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                     "x16", "x17", "memory");
  return x0;
}

static inline u64 smc(u64 function, u64 first, u64 second, u64 third) {
  register u64 x0 __asm__("x0") = function;
  register u64 x1 __asm__("x1") = first;
  register u64 x2 __asm__("x2") = second;
  register u64 x3 __asm__("x3") = third;
  __asm__ volatile("smc #0"
                   : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                   :
                   : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                     "x16", "x17", "memory");
  return x0;
}

/// A system call; only for USER_CODE.
__attribute__((always_inline)) static inline u64 system_call(u64 number, u64 argument) {
  register u64 x8 __asm__("x8") = number;
  register u64 x0 __asm__("x0") = argument;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8) : "memory");
  return x0;
}
