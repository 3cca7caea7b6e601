// The D extension.
#include "programs/fpu.h"

enum : u64 { kFs = 3ul << 13 };

void fpu_off(void) {
  __asm__ volatile("csrc sstatus, %0" : : "r"(kFs));
}
void fpu_on(void) {
  __asm__ volatile("csrs sstatus, %0" : : "r"(1ul << 13));
  __asm__ volatile("csrw fcsr, zero");
}

#define FLOAT(text) ".option push\n .option arch, +d\n " text "\n .option pop"

u64 fpu_touch(u64 argument) {
  __asm__ volatile(FLOAT("fmv.d.x ft7, %0") : : "r"(argument));
  return argument;
}

#define BINARY(instruction)                                                                       \
  __asm__ volatile(FLOAT("fmv.d.x ft0, %1\n fmv.d.x ft1, %2\n " instruction "\n fmv.x.d %0, ft0") \
                   : "=r"(a)                                                                      \
                   : "r"(a), "r"(b));                                                             \
  return a

u64 fpu_add(u64 a, u64 b) {
  BINARY("fadd.d ft0, ft0, ft1");
}
u64 fpu_multiply(u64 a, u64 b) {
  BINARY("fmul.d ft0, ft0, ft1");
}
u64 fpu_divide(u64 a, u64 b) {
  BINARY("fdiv.d ft0, ft0, ft1");
}
u64 fpu_square_root(u64 a) {
  const u64 b = a;
  BINARY("fsqrt.d ft0, ft1");
}
void fpu_set(u64 value) {
  __asm__ volatile(FLOAT("fmv.d.x fs3, %0") : : "r"(value));
}
u64 fpu_get(void) {
  u64 value;
  __asm__ volatile(FLOAT("fmv.x.d %0, fs3") : "=r"(value));
  return value;
}

void fpu_more(void) {
  __asm__ volatile("csrw fcsr, zero");
  fpu_divide(0x3ff0000000000000, 0);
  check("fflags: a division by zero", READ_CSR("fflags"), 8);
  check("sstatus: the registers are dirty", READ_CSR("sstatus") >> 13 & 3, 3);
}
