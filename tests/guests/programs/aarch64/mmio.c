// MMIO with the instructions of aarch64: pairs, writeback, register offsets, SIMD, acquire/release.
#include "programs/mmio.h"

static const u64 kAt = kScratchBase + 0x100;

void mmio_prepare(void) {
  WRITE_SYSTEM_REGISTER("cpacr_el1", 3 << 20);  // SIMD
  __asm__ volatile("isb");
}

u64 unaligned_read64(u64 at) {
  u64 value;
  __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(at) : "memory");
  return value;
}

void unaligned_write64(u64 at, u64 value) {
  __asm__ volatile("str %0, [%1]" : : "r"(value), "r"(at) : "memory");
}

static void pairs(void) {
  u64 first = 0x1111111122222222;
  u64 second = 0x3333333344444444;
  __asm__ volatile("stp %0, %1, [%2]" : : "r"(first), "r"(second), "r"(kAt) : "memory");
  check("stp, first", read64(kAt), first);
  check("stp, second", read64(kAt + 8), second);
  __asm__ volatile("ldp %1, %0, [%2]" : "=&r"(first), "=&r"(second) : "r"(kAt) : "memory");
  check("ldp, first", second, 0x1111111122222222);
  check("ldp, second", first, 0x3333333344444444);
  __asm__ volatile("ldp %w0, %w1, [%2, #8]" : "=&r"(first), "=&r"(second) : "r"(kAt) : "memory");
  check("ldp of words", first << 32 | second, 0x4444444433333333);
  __asm__ volatile("ldpsw %0, %1, [%2, #4]" : "=&r"(first), "=&r"(second) : "r"(kAt) : "memory");
  check("ldpsw", first ^ second, 0x11111111 ^ 0x44444444);
  write32(kAt, 0x80000000);
  __asm__ volatile("ldpsw %0, %1, [%2]" : "=&r"(first), "=&r"(second) : "r"(kAt) : "memory");
  check("ldpsw with a sign", first, 0xffffffff80000000);
  u64 at = kAt;
  __asm__ volatile("stp %1, %1, [%0, #16]!" : "+r"(at) : "r"(second) : "memory");
  check("stp, pre-index: base", at, kAt + 16);
  __asm__ volatile("ldp %1, %2, [%0], #-16" : "+r"(at), "=&r"(first), "=&r"(second) : : "memory");
  check("ldp, post-index: base", at, kAt);
  check("ldp, post-index", first, second);
}

static void writeback(void) {
  u64 at = kAt;
  u64 value;
  __asm__ volatile("str %1, [%0], #8" : "+r"(at) : "r"(0xabcdul) : "memory");
  check("str, post-index: base", at, kAt + 8);
  __asm__ volatile("ldr %1, [%0, #-8]!" : "+r"(at), "=&r"(value) : : "memory");
  check("ldr, pre-index: base", at, kAt);
  check("ldr, pre-index", value, 0xabcd);
  __asm__ volatile("ldrb %w1, [%0, #1]!" : "+r"(at), "=&r"(value) : : "memory");
  check("ldrb, pre-index: base", at, kAt + 1);
  check("ldrb, pre-index", value, 0xab);
  __asm__ volatile("ldrsh %1, [%0], #-1" : "+r"(at), "=&r"(value) : : "memory");
  check("ldrsh, post-index: base", at, kAt);
  __asm__ volatile("strh wzr, [%0], #2" : "+r"(at) : : "memory");
  check("strh of zero", read64(kAt), 0);
}

static void addressing(void) {
  write64(kAt + 24, 0x8899aabbccddeeff);
  u64 value;
  __asm__ volatile("ldr %0, [%1, %2, lsl #3]" : "=r"(value) : "r"(kAt), "r"(3ul) : "memory");
  check("register offset, shifted", value, 0x8899aabbccddeeff);
  __asm__ volatile("ldr %0, [%1, %w2, sxtw]" : "=r"(value) : "r"(kAt + 32), "r"(-8) : "memory");
  check("register offset, extended", value, 0x8899aabbccddeeff);
  __asm__ volatile("ldur %w0, [%1, #-5]" : "=r"(value) : "r"(kAt + 32) : "memory");
  check("ldur", value, 0x99aabbcc);
  __asm__ volatile("ldrsb %w0, [%1, #31]" : "=r"(value) : "r"(kAt) : "memory");
  check("ldrsb to a word register", value, 0xffffff88);
  __asm__ volatile("ldrsb %0, [%1, #31]" : "=r"(value) : "r"(kAt) : "memory");
  check("ldrsb to a double register", value, 0xffffffffffffff88);
  __asm__ volatile("ldrsw %0, [%1, #28]" : "=r"(value) : "r"(kAt) : "memory");
  check("ldrsw", value, 0xffffffff8899aabb);
  __asm__ volatile("ldr xzr, [%0, #24]" : : "r"(kAt) : "memory");
  check("load to xzr", read64(kAt + 24), 0x8899aabbccddeeff);
  __asm__ volatile("ldtr %0, [%1, #24]" : "=r"(value) : "r"(kAt) : "memory");
  check("ldtr", value, 0x8899aabbccddeeff);
  __asm__ volatile("prfm pldl1keep, [%0]" : : "r"(kAt) : "memory");
  __asm__ volatile("stlr %0, [%1]" : : "r"(0x1234567890ul), "r"(kAt) : "memory");
  __asm__ volatile("ldar %0, [%1]" : "=r"(value) : "r"(kAt) : "memory");
  check("stlr and ldar", value, 0x1234567890);
  __asm__ volatile("ldarh %w0, [%1]" : "=r"(value) : "r"(kAt) : "memory");
  check("ldarh", value, 0x7890);
}

static void simd(void) {
  static u64 pair[4] __attribute__((aligned(16))) = {0x0123456789abcdef, 0xfedcba9876543210,
                                                     0x1111111111111111, 0x2222222222222222};
  static u64 back[4] __attribute__((aligned(16)));
  __asm__ volatile(SIMD("ldr q0, [%0]\n str q0, [%1]") : : "r"(pair), "r"(kAt) : "memory");
  check("str q, low", read64(kAt), pair[0]);
  check("str q, high", read64(kAt + 8), pair[1]);
  __asm__ volatile(SIMD("ldr q1, [%0]\n str q1, [%1]") : : "r"(kAt), "r"(back) : "memory");
  check("ldr q", back[0] == pair[0] && back[1] == pair[1], 1);
  __asm__ volatile(SIMD("ldp q2, q3, [%0]\n stp q2, q3, [%1]") : : "r"(pair), "r"(kAt) : "memory");
  check("stp q", read64(kAt + 24), pair[3]);
  __asm__ volatile(
      SIMD("str d0, [%0, #32]\n str s0, [%0, #40]\n str h0, [%0, #44]\n str b0, [%0, #46]")
      :
      : "r"(kAt)
      : "memory");
  check("str d", read64(kAt + 32), pair[0]);
  check("str s, h and b", read64(kAt + 40), 0x00efcdef89abcdef);
  __asm__ volatile(SIMD("ldr d4, [%0, #32]\n str d4, [%1]") : : "r"(kAt), "r"(back) : "memory");
  check("ldr d", back[0], pair[0]);
  u64 at = kAt;
  __asm__ volatile(SIMD("st1 {v2.16b, v3.16b}, [%0], #32") : "+r"(at) : : "memory");
  check("st1, post-index: base", at, kAt + 32);
  check("st1 of two registers", read64(kAt + 16), pair[2]);
  __asm__ volatile(SIMD("ld1 {v5.d}[1], [%0]\n str q5, [%1]") : : "r"(kAt), "r"(back) : "memory");
  check("ld1 of one lane", back[1], pair[0]);
  __asm__ volatile(SIMD("ld1r {v6.4s}, [%0]\n str q6, [%1]") : : "r"(kAt), "r"(back) : "memory");
  check("ld1r", back[1], 0x89abcdef89abcdef);
}

void mmio_forms(void) {
  pairs();
  writeback();
  addressing();
  simd();
}
