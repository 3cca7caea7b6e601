// Stage-1 tables: three formats differ in levels and bits, not in shape.
#include "guest.h"

enum : u64 {
  kEntries = 512,
  kPool = 160,
  kStackPages = 2,
  kBlock = 0x200000,
  kIdentity = 1ul << 32,
  kUserStack = kUserBase + 0x1000000,
};

FRESH static u64 pool[kPool][kEntries];
static u64 pool_used;
static u64 root;
static u8 user_stack[kStackPages * kPage] __attribute__((aligned(4096)));
extern u8 user_start[];
extern u8 user_end[];

u64 new_page(void) {
  u64* const page = pool[pool_used++];
  for (u64 i = 0; i < kEntries; ++i) page[i] = 0;
  return (u64)page;
}

/// The entry for `va` at `level` (0: pages, 1: 2 MiB blocks), with the tables above it.
static u64* entry_of(u64 va, unsigned level) {
  u64 table = root;
  for (unsigned at = kTableLevels - 1; at > level; --at) {
    u64* entry = &((u64*)table)[(va >> (12 + 9 * at)) % kEntries];
    if (!is_valid_entry(*entry)) *entry = table_entry(new_page());
    table = address_in_entry(*entry);
  }
  return &((u64*)table)[(va >> (12 + 9 * level)) % kEntries];
}

void map_page(u64 va, u64 pa, u64 access) {
  *entry_of(va, 0) = page_entry(pa, access);
  flush_tlb_page(va);
}

void unmap_page(u64 va) {
  *entry_of(va, 0) = 0;
  flush_tlb_page(va);
}

u64 user_address(const void* object) {
  return kUserBase + ((u64)object - (u64)user_start);
}

void paging_enable(void) {
  root = new_page();
  for (u64 at = 0; at < kIdentity; at += kBlock) *entry_of(at, 1) = block_entry(at);
  for (u64 at = (u64)user_start; at < (u64)user_end; at += kPage) {
    *entry_of(user_address((void*)at), 0) = page_entry(at, kRead | kWrite | kExecute | kUser);
  }
  for (u64 page = 0; page < kStackPages; ++page) {
    *entry_of(kUserStack + page * kPage, 0) =
        page_entry((u64)user_stack + page * kPage, kRead | kWrite | kUser);
  }
  use_tables(root);
}

void paging_join(void) {
  use_tables(root);
}

u64 in_user_mode(u64 (*function)(u64), u64 argument) {
  last_trap.kind = kNoTrap;
  const u64 stack = kUserStack + kStackPages * kPage - 16;
  const u64 back = user_address((const void*)user_return);
#ifdef RETURN_ADDRESS_ON_STACK
  *(u64*)&user_stack[kStackPages * kPage - 24] = back;
  const u64 result = user_call(user_address((const void*)function), argument, stack - 8, back);
#else
  const u64 result = user_call(user_address((const void*)function), argument, stack, back);
#endif
  escape_stack = 0;
  return result;
}
