// Accesses to a device in every width and form: the common ones here, the machine's own in
// mmio_forms().
#include "mmio.h"

static void plain_widths(void) {
  write64(kScratchBase, 0x1122334455667788);
  check("read 8 bytes", read64(kScratchBase), 0x1122334455667788);
  check("read 4 bytes", read32(kScratchBase + 4), 0x11223344);
  check("read 2 bytes", read16(kScratchBase + 2), 0x5566);
  check("read 1 byte", read8(kScratchBase + 7), 0x11);
  write8(kScratchBase + 7, 0xa1);
  write16(kScratchBase + 4, 0xb2b3);
  write32(kScratchBase, 0xc4c5c6c7);
  check("what narrow writes leave", read64(kScratchBase), 0xa122b2b3c4c5c6c7);
}

static void signs(void) {
  write64(kScratchBase, 0x80f0e0d0fff08180);
  check("signed byte", (u64) * (volatile s8*)kScratchBase, 0xffffffffffffff80);
  check("signed half", (u64) * (volatile s16*)kScratchBase, 0xffffffffffff8180);
  check("signed word", (u64) * (volatile s32*)kScratchBase, 0xfffffffffff08180);
  check("unsigned byte", *(volatile u8*)kScratchBase, 0x80);
  check("unsigned half", *(volatile u16*)kScratchBase, 0x8180);
  check("unsigned word", *(volatile u32*)kScratchBase, 0xfff08180);
}

static void page_crossing(void) {
  for (u64 offset = 0xff9; offset < 0x1000; ++offset) {
    const u64 at = kScratchBase + offset;
    const u64 value = 0x0102030405060708 * (offset & 7);
    unaligned_write64(at, value);
    u64 seen = 0;
    for (u64 i = 0; i < 8; ++i) seen |= (u64)read8(at + i) << (8 * i);
    check("write across a page", seen, value);
    check("read across a page", unaligned_read64(at), value);
  }
}

void guest_main(void) {
  mmio_prepare();
  plain_widths();
  signs();
  page_crossing();
  mmio_forms();
}
