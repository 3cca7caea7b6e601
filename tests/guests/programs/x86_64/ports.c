// Port I/O in every width and form, against a device of the scenario.
#include "guest.h"

static void widths(void) {
  out32(kScratchPort, 0x11223344);
  check("in of 4 bytes", in32(kScratchPort), 0x11223344);
  check("in of 2 bytes", in16(kScratchPort + 2), 0x1122);
  check("in of 1 byte", in8(kScratchPort + 1), 0x33);
  out8(kScratchPort, 0xaa);
  out16(kScratchPort + 2, 0xbbcc);
  check("what narrow outs leave", in32(kScratchPort), 0xbbcc33aa);
  u64 value = 0x1234567890abcdef;
  __asm__ volatile("inb %%dx, %%al" : "+a"(value) : "d"(kScratchPort));
  check("in al keeps the rest of rax", value, 0x1234567890abcdaa);
  __asm__ volatile("inw %%dx, %%ax" : "+a"(value) : "d"(kScratchPort));
  check("in ax keeps the rest of rax", value, 0x1234567890ab33aa);
  __asm__ volatile("inl %%dx, %%eax" : "+a"(value) : "d"(kScratchPort));
  check("in eax clears the upper half", value, 0xbbcc33aa);
}

static void strings(void) {
  static u32 words[4] = {1, 2, 0x30000000, 0xdeadbeef};
  static u32 back[4];
  u64 from = (u64)words;
  u64 count = 4;
  __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(kScratchPort) : "memory");
  check("rep outs: count", count, 0);
  check("rep outs: pointer", from, (u64)words + 16);
  check("rep outs: the last one", in32(kScratchPort), 0xdeadbeef);
  u64 to = (u64)back;
  count = 4;
  __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(kScratchPort) : "memory");
  check("rep ins: pointer", to, (u64)back + 16);
  check("rep ins: the last one", back[3], 0xdeadbeef);
  to = (u64)back;
  count = 3;
  __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(kScratchPort + 3) : "memory");
  check("rep insb", back[0], 0xdededede);
  from = (u64)words + 15;
  count = 2;
  __asm__ volatile("std; rep outsb; cld" : "+S"(from), "+c"(count) : "d"(kScratchPort) : "memory");
  check("rep outsb downwards: pointer", from, (u64)words + 13);
  check("rep outsb downwards", in8(kScratchPort), 0xad);
  count = 0;
  __asm__ volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(kScratchPort) : "memory");
  check("rep outs of nothing", from, (u64)words + 13);
  to = (u64)back;
  __asm__ volatile("insw" : "+D"(to) : "d"(kScratchPort) : "memory");
  check("insw", to - (u64)back, 2);
}

static u64 outs_from(u64 at) {
  u64 count = 1;
  __asm__ volatile("rep outsb" : "+S"(at), "+c"(count) : "d"(kScratchPort) : "memory");
  return at;
}
static u64 ins_to(u64 at) {
  u64 count = 8;
  __asm__ volatile("rep insl" : "+D"(at), "+c"(count) : "d"(kScratchPort) : "memory");
  return at;
}

static void faults(void) {
  paging_enable();
  check("outs from nowhere", trap_of(outs_from, kTestBase + 5), kPageFault);
  check_fault("outs: what the fault says", kPageFault, kRead, kTestBase + 5);
  map_page(kTestBase, new_page(), kRead | kWrite);
  check("ins that leaves the page", trap_of(ins_to, kTestBase + kPage - 8), kPageFault);
  check_fault("ins: what the fault says", kPageFault, kWrite, kTestBase + kPage);
}

void guest_main(void) {
  widths();
  strings();
  check("a port that nobody has: in reads ones", in8(0x5555), 0xff);
  check("a port that nobody has: 4 bytes", in32(0x5554), 0xffffffff);
  out32(0x5554, 1);
  faults();
}
