// SSE and x87.
#include "programs/fpu.h"

static u64 control0(void) {
  u64 cr0;
  __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
  return cr0;
}
static void set_control0(u64 cr0) {
  __asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
}

void fpu_off(void) {
  u64 cr4;
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | 3 << 9));
  set_control0((control0() & ~4ul) | 1 << 3 | 1 << 5 | 2);  // TS, NE, MP
}
void fpu_on(void) {
  __asm__ volatile("clts; fninit");
  const u32 control = 0x1f80;
  __asm__ volatile("ldmxcsr %0" : : "m"(control));
}
u64 fpu_touch(u64 argument) {
  __asm__ volatile("movq %0, %%xmm7" : : "r"(argument));
  return argument;
}

#define BINARY(instruction)                                         \
  __asm__ volatile("movq %1, %%xmm0; movq %2, %%xmm1; " instruction \
                   " %%xmm1, %%xmm0; "                              \
                   "movq %%xmm0, %0"                                \
                   : "=r"(a)                                        \
                   : "r"(a), "r"(b));                               \
  return a

u64 fpu_add(u64 a, u64 b) {
  BINARY("addsd");
}
u64 fpu_multiply(u64 a, u64 b) {
  BINARY("mulsd");
}
u64 fpu_divide(u64 a, u64 b) {
  BINARY("divsd");
}
u64 fpu_square_root(u64 a) {
  const u64 b = a;
  BINARY("sqrtsd");
}
void fpu_set(u64 value) {
  __asm__ volatile("movq %0, %%xmm9" : : "r"(value));
}
u64 fpu_get(void) {
  u64 value;
  __asm__ volatile("movq %%xmm9, %0" : "=r"(value));
  return value;
}

static u64 x87_divide_by_zero(u64 argument) {
  const u16 unmasked = 0x37b;
  __asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait; fninit" : : "m"(unmasked));
  return argument;
}

void fpu_more(void) {
  check("x87: an unmasked division by zero", trap_of(x87_divide_by_zero, 0), kFpuError);
  __asm__ volatile("fninit");
  u64 result;
  __asm__ volatile("fldpi; fld1; faddp; fstpl %0" : "=m"(result));
  check("x87: pi + 1", result, 0x401090fdaa22168c);
}
