// Never ends.
#include "guest.h"

void guest_main(void) {
  put("spinning\n");
  for (volatile u64 i = 0;; ++i) {
  }
}
