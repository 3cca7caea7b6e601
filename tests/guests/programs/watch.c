// Watches memory and code that the host changes while the guest runs.
#include "guest.h"

enum : u64 { kWord = kNoExecuteBase + 0x800, kFunction = kReadOnlyBase + 0x100 };

static u64 load(u64 at) {
  return read64(at);
}
static u64 call(u64 argument) {
  return ((u64(*)(u64))kFunction)(argument);
}

void guest_main(void) {
  put("watching\n");
  while (read64(kWord) == 0) {
  }
  put("the word is now ");
  put_hex(read64(kWord));
  put_char('\n');
  while (call(1) == 2) {
  }
  put("the function now gives ");
  put_hex(call(1));
  put_char('\n');
  while (guarded(load, kWord) == 0x55) {
  }
  check("the memory is gone", last_trap.kind, kLoadOfNothing);
}
