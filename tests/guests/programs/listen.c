// Sleeps until interrupts come from outside, and says so.
#include "guest.h"

void guest_main(void) {
  interrupts_init();
  put("listening\n");
  for (u64 seen = 0; seen < 3; ++seen) {
    while (ipi_count == seen) idle();
    put("interrupt ");
    put_decimal(seen + 1);
    put_char('\n');
  }
  check("strange interrupts", strange_interrupts, 0);
}
