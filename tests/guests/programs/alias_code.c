// Code that is written through one name and run through another.
#include "code.h"

static u64 call(u64 at) {
  return ((u64(*)(void))at)();
}

/// Writes and runs a function 200 times; gives how often its answer was right.
static u64 write_and_run(u64 writable, u64 executable) {
  u64 right = 0;
  for (u64 i = 0; i < 200; ++i) {
    const u64 bytes = make_function(writable, i);
    sync_code(executable, bytes);
    if (guarded(call, executable) == i) ++right;
  }
  return right;
}

/// Code that rewrites itself in the page that runs.
static u64 same_page(u64 page) {
  u64 right = 0;
  for (u64 i = 0; i < 50; ++i) {
    sync_code(page + 64 * (i % 8), make_function(page + 64 * (i % 8), i));
    for (u64 k = 0; k <= i && k < 8; ++k) {
      const u64 newest = i - (i - k) % 8;
      if (guarded(call, page + 64 * (newest % 8)) == newest) ++right;
    }
  }
  return right;
}

void guest_main(void) {
  paging_enable();
  const u64 page = new_page();
  check("one name for both", write_and_run(page, page), 200);

  map_page(kTestBase, page, kRead | kWrite);
  map_page(kTestBase + kPage, page, kRead | kExecute);
  check("written through another name of stage 1", write_and_run(kTestBase, kTestBase + kPage),
        200);
  check("a third name", write_and_run(page, kTestBase + kPage), 200);

  map_page(kTestBase + 2 * kPage, kNoExecuteBase, kRead | kWrite);
  map_page(kTestBase + 3 * kPage, kOtherNameBase, kRead | kExecute);
  check("written through another name of stage 2", write_and_run(kNoExecuteBase, kOtherNameBase),
        200);
  check("both stages", write_and_run(kTestBase + 2 * kPage, kTestBase + 3 * kPage), 200);

  const u64 second = new_page();
  map_page(kTestBase, page, kRead | kExecute);
  sync_code(page, make_function(page, 1));
  sync_code(second, make_function(second, 2));
  u64 right = 0;
  for (u64 i = 0; i < 50; ++i) {
    map_page(kTestBase, i & 1 ? second : page, kRead | kExecute);
    if (guarded(call, kTestBase) == 1 + (i & 1)) ++right;
  }
  check("another page under the same name", right, 50);
  check("functions side by side in one page", same_page(page), 372);
}
