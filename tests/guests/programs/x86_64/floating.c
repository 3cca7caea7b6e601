// Without machine checks the bus floats: reads give ones, writes vanish, only fetches trap.
#include "guest.h"

static u64 load(u64 at) {
  return read64(at);
}
static u64 store(u64 at) {
  write64(at, 0x1234);
  return 0;
}
static u64 jump(u64 at) {
  return ((u64(*)(u64))at)(41);
}

void guest_main(void) {
  u64 cr4;
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 & ~(1ul << 6)));
  check("nothing: a load gives ones", guarded(load, kNothingBase), ~0ul);
  check("nothing: a byte of ones", read8(kNothingBase + 3), 0xff);
  check("nothing: a store vanishes", guarded(store, kNothingBase), 0);
  check("nothing: fetch", trap_of(jump, kNothingBase), kUndefined);
  const u64 before = read64(kReadOnlyBase);
  check("read-only: a store vanishes", guarded(store, kReadOnlyBase), 0);
  check("read-only: nothing changed", read64(kReadOnlyBase), before);
  check("no-execute: fetch", trap_of(jump, kNoExecuteBase), kUndefined);
}
