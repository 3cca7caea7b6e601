// Advanced SIMD and floating point of aarch64.
#include "programs/fpu.h"

void fpu_off(void) {
  WRITE_SYSTEM_REGISTER("cpacr_el1", 0);
  __asm__ volatile("isb");
}
void fpu_on(void) {
  WRITE_SYSTEM_REGISTER("cpacr_el1", 3 << 20);
  __asm__ volatile("isb");
}
u64 fpu_touch(u64 argument) {
  __asm__ volatile(SIMD("fmov d7, %0") : : "r"(argument));
  return argument;
}

#define BINARY(instruction)                                                          \
  __asm__ volatile(SIMD("fmov d0, %1\n fmov d1, %2\n " instruction "\n fmov %0, d0") \
                   : "=r"(a)                                                         \
                   : "r"(a), "r"(b));                                                \
  return a

u64 fpu_add(u64 a, u64 b) {
  BINARY("fadd d0, d0, d1");
}
u64 fpu_multiply(u64 a, u64 b) {
  BINARY("fmul d0, d0, d1");
}
u64 fpu_divide(u64 a, u64 b) {
  BINARY("fdiv d0, d0, d1");
}
u64 fpu_square_root(u64 a) {
  const u64 b = a;
  BINARY("fsqrt d0, d1");
}
void fpu_set(u64 value) {
  __asm__ volatile(SIMD("fmov d9, %0") : : "r"(value));
}
u64 fpu_get(void) {
  u64 value;
  __asm__ volatile(SIMD("fmov %0, d9") : "=r"(value));
  return value;
}

USER_CODE static u64 user_touch(u64 argument) {
  __asm__ volatile(SIMD("fmov d7, %0") : : "r"(argument));
  return argument;
}

void fpu_more(void) {
  paging_enable();
  WRITE_SYSTEM_REGISTER("cpacr_el1", 1 << 20);
  __asm__ volatile("isb");
  in_user_mode(user_touch, 0);
  check("switched off for user mode only: user mode", last_trap.kind, kFpuDisabled);
  check("switched off for user mode only: the kernel", trap_of(fpu_touch, 0), kNoTrap);
}
