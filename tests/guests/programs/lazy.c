// Touches fresh memory in many orders: stage 2 brings each page in at its first access.
#include "guest.h"

enum : u64 { kPages = 1024 };

FRESH static u8 arena[kPages * kPage];

static u64 at(u64 page) {
  return (u64)arena + page * kPage;
}

void guest_main(void) {
  u64 dirty = 0;
  for (u64 i = 0; i < kPages; i += 3) dirty |= read64(at(i) + 8 * (i % 512));
  check("fresh pages read as zero", dirty, 0);

  for (u64 i = 0; i < kPages; ++i) {
    const u64 page = i * 379 % kPages;
    write64(at(page) + 8 * (page % 512), page + 1);
  }
  u64 wrong = 0;
  for (u64 i = 0; i < kPages; ++i) {
    if (read64(at(i) + 8 * (i % 512)) != i + 1) ++wrong;
  }
  check("what was written is there", wrong, 0);

  for (u64 i = 1; i < kPages; ++i) {
    write32(at(i) - 4, (u32)i);
    write32(at(i), (u32)~i);
  }
  for (u64 i = 1; i < kPages; ++i) {
    if (read32(at(i) - 4) != (u32)i || read32(at(i)) != (u32)~i) ++wrong;
  }
  check("the ends of pages", wrong, 0);

  u64 sum = 0;
  for (u64 i = 0; i < kPages * kPage / 8; ++i) sum = sum * 31 + ((volatile u64*)arena)[i];
  put("sum ");
  put_hex(sum);
  put_char('\n');
}
