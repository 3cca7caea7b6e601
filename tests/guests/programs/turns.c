// What turns are seen by: updates that are lost between two instructions, and time spent waiting.
#include "cpus.h"

enum : u64 { kUpdates = 500, kWork = 200000 };

static volatile u64 count;
static u64 done;

// Wrong on purpose: a turn may end between the load and the store.
static void update_without_lock(void) {
  for (u64 i = 0; i < kUpdates; ++i) {
    u64 now = count;
    __asm__ volatile("" : "+r"(now));  // not one instruction that does both
    count = now + 1;
  }
}

// As Linux waits: a first WFE that does not.
static void begin_to_wait(void) {
#if defined(__aarch64__)
  __asm__ volatile("sevl\n wfe" : : : "memory");
#endif
}

static void let_others_wait(u64 me) {
  if (me != 0) {
    for (u64 i = 0; i < kUpdates; ++i) begin_to_wait();
    wait_for(&done, 1);
    return;
  }
  for (volatile u64 i = 0; i < kWork; i = i + 1) {
  }
  set(&done, 1);
}

static void work(u64 me) {
  meet();
  update_without_lock();
  meet();
  let_others_wait(me);
  meet();
}

void guest_main(void) {
  paging_enable();
  work_together();
  check("the others have waited", done, 1);
  check("no update is lost", count, cpus * kUpdates);
}
