// MMIO with the instructions of riscv64: atomics, compressed, floating point.
#include "programs/mmio.h"

static const u64 kAt = kScratchBase + 0x100;

void mmio_prepare(void) {
  __asm__ volatile("csrs sstatus, %0" : : "r"(1ul << 13));  // FS: initial
}

u64 unaligned_read64(u64 at) {
  u64 value;
  __asm__ volatile("ld %0, 0(%1)" : "=r"(value) : "r"(at) : "memory");
  return value;
}

void unaligned_write64(u64 at, u64 value) {
  __asm__ volatile("sd %0, 0(%1)" : : "r"(value), "r"(at) : "memory");
}

#define ATOMIC(name, operand)                        \
  ({                                                 \
    u64 old_;                                        \
    __asm__ volatile(name " %0, %2, (%1)"            \
                     : "=&r"(old_)                   \
                     : "r"(kAt), "r"((u64)(operand)) \
                     : "memory");                    \
    old_;                                            \
  })

static void atomics(void) {
  write64(kAt, 0x10);
  check("amoadd.d gives the old value", ATOMIC("amoadd.d", 5), 0x10);
  check("amoadd.d", read64(kAt), 0x15);
  check("amoswap.w gives the old value", ATOMIC("amoswap.w", 0x80000001), 0x15);
  check("amoswap.w", read64(kAt), 0x80000001);
  check("amoxor.w extends the sign", ATOMIC("amoxor.w", 1), 0xffffffff80000001);
  check("amoand.d", (ATOMIC("amoand.d", 0xf0000000), read64(kAt)), 0x80000000);
  check("amoor.d", (ATOMIC("amoor.d", 0xff), read64(kAt)), 0x800000ff);
  check("amomin.w", (ATOMIC("amomin.w", 3), read64(kAt)), 0x800000ff);
  check("amominu.w", (ATOMIC("amominu.w", 3), read64(kAt)), 3);
  check("amomax.d", (ATOMIC("amomax.d", -1), read64(kAt)), 3);
  check("amomaxu.d", (ATOMIC("amomaxu.d", -1), read64(kAt)), ~0ul);
}

static void compressed(void) {
  write64(kAt, 0x8765432180000000);
  u64 value;
  register u64 at __asm__("a0") = kAt;
  register u64 loaded __asm__("a1");
  __asm__ volatile("c.lw a1, 0(a0)" : "=r"(loaded) : "r"(at) : "memory");
  value = loaded;
  check("c.lw extends the sign", value, 0xffffffff80000000);
  __asm__ volatile("c.ld a1, 0(a0)" : "=r"(loaded) : "r"(at) : "memory");
  value = loaded;
  check("c.ld", value, 0x8765432180000000);
  loaded = 0x1234;
  __asm__ volatile("c.sd a1, 8(a0)" : : "r"(at), "r"(loaded) : "memory");
  check("c.sd", read64(kAt + 8), 0x1234);
  at = kAt;
  loaded = 0xffffffff;
  __asm__ volatile("c.sw a1, 12(a0)" : : "r"(at), "r"(loaded) : "memory");
  check("c.sw", read64(kAt + 8), 0xffffffff00001234);
  __asm__ volatile("mv t0, sp\n mv sp, %1\n c.ldsp %0, 8(sp)\n mv sp, t0"
                   : "=r"(value)
                   : "r"(kAt)
                   : "t0", "memory");
  check("c.ldsp", value, 0xffffffff00001234);
  __asm__ volatile("mv t0, sp\n mv sp, %0\n c.sdsp zero, 16(sp)\n mv sp, t0"
                   :
                   : "r"(kAt)
                   : "t0", "memory");
  check("c.sdsp", read64(kAt + 16), 0);
  __asm__ volatile("ld zero, 0(%0)" : : "r"(kAt) : "memory");
  __asm__ volatile("lwu %0, 4(%1)" : "=r"(value) : "r"(kAt) : "memory");
  check("lwu", value, 0x87654321);
}

static void floating(void) {
  u64 value;
  write64(kAt, 0x4008000000000000);  // 3.0
  __asm__ volatile(
      ".option push\n .option arch, +d\n fld fa0, 0(%1)\n fadd.d fa0, fa0, fa0\n fsd fa0, 8(%1)\n"
      "fmv.x.d %0, fa0\n .option pop"
      : "=r"(value)
      : "r"(kAt)
      : "memory");
  check("fld", value, 0x4018000000000000);
  check("fsd", read64(kAt + 8), 0x4018000000000000);
  write32(kAt, 0x40400000);  // 3.0f
  __asm__ volatile(
      ".option push\n .option arch, +d\n flw fa0, 0(%1)\n fsw fa0, 16(%1)\n fmv.x.d %0, fa0\n"
      ".option pop"
      : "=r"(value)
      : "r"(kAt)
      : "memory");
  check("flw boxes", value, 0xffffffff40400000);
  check("fsw", read32(kAt + 16), 0x40400000);
}

void mmio_forms(void) {
  atomics();
  compressed();
  floating();
}
