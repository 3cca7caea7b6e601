// Code and mappings that one CPU changes and all others use: barriers and shootdowns, as each
// architecture wants them.
#include "code.h"
#include "cpus.h"

enum : u64 { kRounds = 24, kWords = 4 };

static u64 changed;  // the round whose change is done
static u64 wrong_results;
static u64 stale_words;
static u64 wrong_stores;

static u64 call(u64 at) {
  return ((u64(*)(void))at)();
}

// A page of code with two names: written through the first, run through the second.
enum : u64 { kWritable = kTestBase, kExecutable = kTestBase + kPage, kData = kTestBase + 2 * kPage };

/// Each CPU in turn rewrites the function that all others call.
static void changed_code(u64 me) {
  for (u64 round = 1; round <= kRounds; ++round) {
    const u64 value = 7 * round % 0x8000;
    if (me == round % cpus) {
      const u64 at = round & 1 ? kExecutable : kWritable;  // the first: through its own name
      const u64 bytes = make_function(kWritable, value);
      sync_code(at, bytes);
      sync_code(kExecutable, bytes);
      tell_of_code();
      set(&changed, round);
    }
    while (get(&changed) < round) relax();
    context_sync();
    for (u64 i = 0; i < kWords; ++i) {
      if (call(kExecutable) != value) add(&wrong_results, 1);
    }
    meet();
  }
}

static u64 pages[2];
static u64 flushed_va;
static u64 flushes;

/// Where the architecture does not reach other TLBs by itself.
static void flush_and_answer(void) {
  flush_tlb_page(get(&flushed_va));
  add(&flushes, 1);
}

/// Afterwards no CPU uses what was there before.
static void shoot_down(u64 me, u64 va) {
  flush_tlb_page_everywhere(va);
  if (can_flush_everywhere()) return;
  set(&flushes, 0);
  set(&flushed_va, va);
  send_ipi_to_others(me);
  wait_for(&flushes, cpus - 1);
}

static void check_words(u64 page) {
  for (u64 i = 0; i < kWords; ++i) {
    if (read64(kData + 8 * i) != page + i) add(&stale_words, 1);
  }
}

/// Each CPU in turn puts another page behind the address that all others read.
static void changed_mapping(u64 me) {
  for (u64 round = 1; round <= kRounds; ++round) {
    if (me == round % cpus) {
      map_page(kData, pages[round & 1], kRead | kWrite);
      shoot_down(me, kData);
      set(&changed, kRounds + round);
    }
    while (get(&changed) < kRounds + round) relax();
    check_words(round & 1);
    meet();
  }
}

static u64 store_back(u64 at) {
  write64(at, read64(at));
  return 0;
}

/// One CPU forbids what the others, one after another, then try.
static void changed_permissions(u64 me) {
  for (u64 round = 0; round < 4; ++round) {
    const int writable = round & 1;
    meet();
    if (me == round % cpus) {
      map_page(kData, pages[0], writable ? kRead | kWrite : kRead);
      shoot_down(me, kData);
      set(&changed, 2 * kRounds + round + 1);
    }
    while (get(&changed) < 2 * kRounds + round + 1) relax();
    // guarded() has room for one CPU at a time.
    static u64 turn;
    if (me == 0) set(&turn, 0);
    meet();
    wait_for(&turn, me);
    const u64 want = writable ? kNoTrap : kPageFault;
    if (trap_of(store_back, kData) != want) add(&wrong_stores, 1);
    irq_on();  // a trap leaves them off
    set(&turn, me + 1);
    meet();
  }
}

static void work(u64 me) {
  irq_on();
  meet();
  changed_code(me);
  changed_mapping(me);
  changed_permissions(me);
  irq_off();
}

void guest_main(void) {
  ipi_handler = can_flush_everywhere() ? 0 : flush_and_answer;
  paging_enable();
  const u64 code = new_page();
  map_page(kWritable, code, kRead | kWrite);
  map_page(kExecutable, code, kRead | kExecute);
  for (u64 i = 0; i < 2; ++i) {
    pages[i] = new_page();
    for (u64 word = 0; word < kWords; ++word) write64(pages[i] + 8 * word, i + word);
  }
  map_page(kData, pages[0], kRead | kWrite);
  work_together();
  check("code that another CPU has written", wrong_results, 0);
  check("a page that another CPU has mapped", stale_words, 0);
  check("a permission that another CPU has changed", wrong_stores, 0);
  check("all rounds were made", changed, 2 * kRounds + 4);
}
