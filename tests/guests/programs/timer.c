// Sleeps until timer interrupts arrive, and does nothing else.
#include "guest.h"

void guest_main(void) {
  interrupts_init();
  for (u64 tick = 1; tick <= 5; ++tick) {
    timer_arm(100 * tick);
    while (timer_ticks < tick) idle();
    put("tick ");
    put_decimal(tick);
    put_char('\n');
  }
  timer_arm(1);
  irq_on();
  while (timer_ticks < 6) {
  }
  irq_off();
  check("ticks while busy", timer_ticks, 6);
  check("strange interrupts", strange_interrupts, 0);
}
