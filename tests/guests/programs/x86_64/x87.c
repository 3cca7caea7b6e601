// Sines, tangents, arctangents, logarithms and powers: the same bits on every host.
#include "guest.h"

static u64 random = 88172645463325252;

/// The bits of a double from -2^magnitude to 2^magnitude.
static u64 next(int magnitude) {
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  const u64 exponent = (random >> 58) % 16;
  return (random & 0x800fffffffffffff) | (1023 + magnitude - 1 - exponent) << 52;
}

static u64 mixed;

/// Takes the top of the x87 stack away, and adds it to `mixed`.
static void mix(void) {
  u64 bits;
  __asm__ volatile("fstpl %0" : "=m"(bits));
  mixed = (mixed ^ bits) * 0x9e3779b97f4a7c15;
  mixed ^= mixed >> 29;
}

#define MANY(name, magnitude, other, code, results)         \
  do {                                                      \
    mixed = 0;                                              \
    for (int i = 0; i < 500; ++i) {                         \
      const u64 y = next(other);                         \
      const u64 x = next(magnitude);                     \
      __asm__ volatile("fldl %0; fldl %1" ::"m"(y), "m"(x)); \
      __asm__ volatile(code);                               \
      for (int n = 0; n < (results); ++n) mix();            \
    }                                                       \
    put(name " ");                                          \
    put_hex(mixed);                                         \
    put_char('\n');                                         \
  } while (0)

void guest_main(void) {
  u64 cr0;
  __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
  __asm__ volatile("mov %0, %%cr0; fninit" : : "r"((cr0 & ~0xcul) | 0x22));  // EM, TS; NE, MP
  MANY("fsin", 16, 0, "fsin", 2);
  MANY("fcos", 16, 0, "fcos", 2);
  MANY("fsincos", 16, 0, "fsincos", 3);
  MANY("fptan", 8, 0, "fptan", 3);
  MANY("fpatan", 4, 4, "fpatan", 1);
  MANY("fyl2x", 8, 4, "fabs; fyl2x", 1);
  MANY("fyl2xp1", -2, 4, "fyl2xp1", 1);
  MANY("f2xm1", 0, 0, "f2xm1", 2);
  MANY("fprem", 60, 2, "fprem", 2);
  MANY("fscale", 4, 3, "fxch; fscale", 2);
}
