// The riscv64 board as a guest sees it.
#pragma once

#define TABLE_LEVELS 3

#include "../runtime/machine.h"

// The trap that memory causes where nothing is: trap_kind.
enum : u64 { kLoadOfNothing = 4, kCodeOfNothing = 4 };

#define READ_CSR(name)                                              \
  ({                                                                \
    u64 value_;                                                     \
    __asm__ volatile("csrr %0, " name : "=r"(value_) : : "memory"); \
    value_;                                                         \
  })
#define WRITE_CSR(name, value) \
  __asm__ volatile("csrw " name ", %0" : : "r"((u64)(value)) : "memory")

static inline void memory_barrier(void) {
  __asm__ volatile("fence rw, rw" : : : "memory");
}

struct sbi_result {
  u64 error;
  u64 value;
};

static inline struct sbi_result sbi(u64 extension, u64 function, u64 first, u64 second, u64 third) {
  register u64 a0 __asm__("a0") = first;
  register u64 a1 __asm__("a1") = second;
  register u64 a2 __asm__("a2") = third;
  register u64 a6 __asm__("a6") = function;
  register u64 a7 __asm__("a7") = extension;
  __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
  return (struct sbi_result){a0, a1};
}

/// A system call; only for USER_CODE.
__attribute__((always_inline)) static inline u64 system_call(u64 number, u64 argument) {
  register u64 a7 __asm__("a7") = number;
  register u64 a0 __asm__("a0") = argument;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
  return a0;
}
