// Stage-1 tables of the guest, and the page faults that they cause.
#include "guest.h"

static u64 load(u64 at) {
  return read64(at);
}
static u64 store(u64 at) {
  write64(at, 0x77);
  return 0;
}
static u64 jump(u64 at) {
  return ((u64(*)(u64))at)(0);
}

void guest_main(void) {
  paging_enable();
  check("the identity map", read64((u64)&last_trap), last_trap.kind);

  const u64 page = new_page();
  const u64 other = new_page();
  const u64 at = kTestBase;
  check("load: nothing mapped", trap_of(load, at + 8), kPageFault);
  check_fault("load: what the fault says", kPageFault, kRead, at + 8);
  check("store: nothing mapped", trap_of(store, at + 16), kPageFault);
  check_fault("store: what the fault says", kPageFault, kWrite, at + 16);
  check("fetch: nothing mapped", trap_of(jump, at + 32), kPageFault);
  check_fault("fetch: what the fault says", kPageFault, kExecute, at + 32);

  map_page(at, page, kRead | kWrite);
  check("store: mapped", guarded(store, at), 0);
  check("store: it is there", read64(page), 0x77);
  check("fetch: not executable", trap_of(jump, at), kPageFault);
  check_fault("fetch: what the fault says", kPageFault, kExecute, at);

  map_page(at, page, kRead);
  check("load: read-only", guarded(load, at), 0x77);
  check("store: read-only", trap_of(store, at), kPageFault);
  check_fault("store: what the fault says", kPageFault, kWrite, at);

  write64(other, 0x88);
  map_page(at, other, kRead | kWrite);
  check("load: another page", guarded(load, at), 0x88);
  unmap_page(at);
  check("load: unmapped again", trap_of(load, at), kPageFault);

  map_page(at, page, kRead | kWrite);
  map_page(at + kPage, other, kRead | kWrite);
  write64(at + kPage - 8, 0x1122334455667788);
  write64(at + kPage, 0x99aabbccddeeff00);
  check("two pages side by side", read64(other), 0x99aabbccddeeff00);
  unmap_page(at + kPage);
  check("the second page is gone", trap_of(load, at + kPage), kPageFault);
  check("the first page is not", guarded(load, at + kPage - 8), 0x1122334455667788);

  u64 faults = 0;
  for (u64 i = 0; i < 64; ++i) {
    const u64 where = at + 0x40000000 + i * 0x200000 + i * 8;
    if (trap_of(store, where) == kPageFault && last_trap.address == where) ++faults;
    map_page(where & ~(kPage - 1), page, kRead | kWrite);
    if (guarded(store, where) == 0) ++faults;
  }
  check("64 pages, each fault then store", faults, 128);
}
