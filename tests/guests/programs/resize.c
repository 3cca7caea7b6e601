// Uses memory that comes and goes, and is told by a byte on the console: anything, or q for the end.
#include "guest.h"

enum : u64 { kMore = 0xc0300000, kMoreBytes = 0x100000 };

static u64 sum_of_all(u64 base) {
  u64 sum = 0;
  for (u64 at = base; at < base + kMoreBytes; at += 8) write64(at, at);
  for (u64 at = base; at < base + kMoreBytes; at += 8) sum += read64(at) == at;
  return sum;
}

static void look(void) {
  const u64 words = guarded(sum_of_all, kMore);
  if (last_trap.kind != kNoTrap) {
    put("no memory is there\n");
    return;
  }
  put("words of memory that keep what is written: ");
  put_decimal(words);
  put_char('\n');
}

void guest_main(void) {
  interrupts_init();
  console_listen();
  u64 seen = 0;
  do {
    look();
    while (input_count == seen) idle();
    seen = input_count;
  } while (input_byte != 'q');
}
