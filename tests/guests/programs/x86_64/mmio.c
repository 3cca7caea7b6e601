// MMIO with the instructions of x86_64: read-modify-write, locked, string, stack, SSE.
#include "programs/mmio.h"

static const u64 kAt = kScratchBase + 0x100;

void mmio_prepare(void) {
  u64 cr4;
  u64 cr0;
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | 3 << 9));  // SSE
  __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
  __asm__ volatile("mov %0, %%cr0" : : "r"((cr0 & ~12ul) | 2));
  __asm__ volatile("fninit");
}

u64 unaligned_read64(u64 at) {
  return read64(at);
}
void unaligned_write64(u64 at, u64 value) {
  write64(at, value);
}

static void read_modify_write(void) {
  write64(kAt, 0x10);
  __asm__ volatile("addq $5, (%0)" : : "r"(kAt) : "memory", "cc");
  check("add to memory", read64(kAt), 0x15);
  __asm__ volatile("subl $0x16, (%0)" : : "r"(kAt) : "memory", "cc");
  check("sub from memory", read64(kAt), 0xffffffff);
  __asm__ volatile("andw $0xf0f, (%0)" : : "r"(kAt) : "memory", "cc");
  check("and to memory", read64(kAt), 0xffff0f0f);
  __asm__ volatile("orb $0xf0, (%0)" : : "r"(kAt) : "memory", "cc");
  check("or to memory", read64(kAt), 0xffff0fff);
  __asm__ volatile("xorq %1, (%0)" : : "r"(kAt), "r"(0xffffffff00000000) : "memory", "cc");
  check("xor to memory", read64(kAt), 0xffffffffffff0fff);
  __asm__ volatile("incq (%0)" : : "r"(kAt) : "memory", "cc");
  check("inc memory", read64(kAt), 0xffffffffffff1000);
  __asm__ volatile("decl (%0)" : : "r"(kAt) : "memory", "cc");
  check("dec memory", read64(kAt), 0xffffffffffff0fff);
  __asm__ volatile("notq (%0)" : : "r"(kAt) : "memory");
  check("not memory", read64(kAt), 0xf000);
  __asm__ volatile("negw (%0)" : : "r"(kAt) : "memory", "cc");
  check("neg memory", read64(kAt), 0x1000);
  __asm__ volatile("shlq $4, (%0)" : : "r"(kAt) : "memory", "cc");
  check("shl memory", read64(kAt), 0x10000);
  u8 below;
  __asm__ volatile("cmpq %2, (%1); setb %0" : "=q"(below) : "r"(kAt), "r"(0x10001ul) : "cc");
  check("cmp with memory", below, 1);
  __asm__ volatile("testl $0x10000, (%1); setnz %0" : "=q"(below) : "r"(kAt) : "cc");
  check("test memory", below, 1);
  u64 sum = 1;
  __asm__ volatile("addq (%1), %0" : "+r"(sum) : "r"(kAt) : "cc");
  check("add from memory", sum, 0x10001);
  __asm__ volatile("btsq $3, (%0)" : : "r"(kAt) : "memory", "cc");
  check("bts in memory", read64(kAt), 0x10008);
}

static void locked(void) {
  u64 value = 7;
  write64(kAt, 0x30);
  __asm__ volatile("lock xaddq %0, (%1)" : "+r"(value) : "r"(kAt) : "memory", "cc");
  check("lock xadd gives the old value", value, 0x30);
  check("lock xadd", read64(kAt), 0x37);
  __asm__ volatile("xchgl %k0, (%1)" : "+r"(value) : "r"(kAt) : "memory");
  check("xchg gives the old value", value, 0x37);
  check("xchg", read64(kAt), 0x30);
  u64 expected = 0x30;
  u8 equal;
  __asm__ volatile("lock cmpxchgq %3, (%2); sete %1"
                   : "+a"(expected), "=q"(equal)
                   : "r"(kAt), "r"(0x99ul)
                   : "memory", "cc");
  check("lock cmpxchg that succeeds", read64(kAt) << 8 | equal, 0x9901);
  expected = 0x30;
  __asm__ volatile("lock cmpxchgq %3, (%2); sete %1"
                   : "+a"(expected), "=q"(equal)
                   : "r"(kAt), "r"(0x77ul)
                   : "memory", "cc");
  check("lock cmpxchg that fails", read64(kAt) << 8 | equal, 0x9900);
  check("lock cmpxchg gives the old value", expected, 0x99);
  __asm__ volatile("lock orq $0x100, (%0)" : : "r"(kAt) : "memory", "cc");
  check("lock or", read64(kAt), 0x199);
}

static void strings(void) {
  static u64 source[4] = {0x0101010101010101, 0x0202020202020202, 0x0303030303030303, 4};
  static u64 target[4];
  u64 from = (u64)source;
  u64 to = kAt;
  u64 count = 4;
  __asm__ volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
  check("rep movs to the device: what is left", count, 0);
  check("rep movs to the device", read64(kAt + 16), 0x0303030303030303);
  from = kAt;
  to = (u64)target;
  count = 32;
  __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
  check("rep movs from the device", target[1] ^ target[3], 0x0202020202020206);
  from = kAt + 8;
  to = kAt + 40;
  count = 2;
  __asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
  check("rep movs inside the device", read64(kAt + 40), 0x0202020202020202);
  to = kAt;
  count = 3;
  __asm__ volatile("rep stosw" : "+D"(to), "+c"(count) : "a"(0xbeef) : "memory");
  check("rep stos", read64(kAt), 0x0101beefbeefbeef);
  from = kAt;
  u64 loaded = 0;
  __asm__ volatile("lodsl" : "+S"(from), "=a"(loaded) : : "memory");
  check("lods", loaded, 0xbeefbeef);
  to = kAt;
  count = 8;
  __asm__ volatile("repne scasb" : "+D"(to), "+c"(count) : "a"(0x01) : "memory", "cc");
  check("repne scas: bytes left", count, 1);
  from = (u64)source;
  to = kAt + 6;
  count = 4;
  __asm__ volatile("repe cmpsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory", "cc");
  check("repe cmps: bytes left", count, 1);
}

static void moves(void) {
  write64(kAt, 0xfedcba9876543280);
  u64 value;
  __asm__ volatile("movsbq (%1), %0" : "=r"(value) : "r"(kAt));
  check("movsx byte", value, 0xffffffffffffff80);
  __asm__ volatile("movzwl (%1), %k0" : "=r"(value) : "r"(kAt));
  check("movzx half", value, 0x3280);
  __asm__ volatile("movslq 4(%1), %0" : "=r"(value) : "r"(kAt));
  check("movsxd", value, 0xfffffffffedcba98);
  value = ~0ul;
  __asm__ volatile("movb (%1), %b0" : "+q"(value) : "r"(kAt));
  check("mov to a byte register", value, 0xffffffffffffff80);
  value = ~0ul;
  __asm__ volatile("movb (%1), %%ah" : "+a"(value) : "d"(kAt));
  check("mov to ah", value, 0xffffffffffff80ff);
  __asm__ volatile("pushq (%1); popq %0" : "=r"(value) : "r"(kAt) : "memory");
  check("push from the device", value, 0xfedcba9876543280);
  __asm__ volatile("pushq %1; popq (%0)" : : "r"(kAt), "r"(0x5aul) : "memory");
  check("pop to the device", read64(kAt), 0x5a);
  __asm__ volatile("movl $0x12345678, 4(%0)" : : "r"(kAt) : "memory");
  check("mov of a constant", read64(kAt), 0x123456780000005a);
  __asm__ volatile("cmpb %b1, %b1; setz (%0)" : : "r"(kAt), "q"(0) : "memory", "cc");
  check("setcc to memory", read8(kAt), 1);
  __asm__ volatile("bswapq %0" : "=r"(value) : "0"(read64(kAt)));
  check("bswap of what was read", value, 0x0100000078563412);
}

static void vectors(void) {
  static u64 pair[2] __attribute__((aligned(16))) = {0x1111222233334444, 0x5555666677778888};
  static u64 back[2] __attribute__((aligned(16)));
  __asm__ volatile("movdqa (%0), %%xmm0; movdqa %%xmm0, (%1)" : : "r"(pair), "r"(kAt) : "memory");
  check("16-byte store, low", read64(kAt), pair[0]);
  check("16-byte store, high", read64(kAt + 8), pair[1]);
  __asm__ volatile("movdqu (%0), %%xmm1; movdqa %%xmm1, (%1)" : : "r"(kAt), "r"(back) : "memory");
  check("16-byte load, low", back[0], pair[0]);
  check("16-byte load, high", back[1], pair[1]);
  __asm__ volatile("movq %%xmm0, 16(%0); movd %%xmm0, 24(%0)" : : "r"(kAt) : "memory");
  check("movq to the device", read64(kAt + 16), pair[0]);
  check("movd to the device", read32(kAt + 24), 0x33334444);
  write64(kAt, 0x4008000000000000);  // 3.0
  u64 sum = 0;
  __asm__ volatile("fldl (%0); fld1; faddp; fstpl 8(%0)" : : "r"(kAt) : "memory");
  check("x87 load and store", read64(kAt + 8), 0x4010000000000000);
  __asm__ volatile("movsd (%1), %%xmm0; addsd 8(%1), %%xmm0; movq %%xmm0, %0"
                   : "=r"(sum)
                   : "r"(kAt)
                   : "memory");
  check("addsd from the device", sum, 0x401c000000000000);
}

void mmio_forms(void) {
  read_modify_write();
  locked();
  strings();
  moves();
  vectors();
}
