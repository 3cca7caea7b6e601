// Interrupts that are masked wait; unmasked, they are taken at once and once.
#include "guest.h"

void guest_main(void) {
  interrupts_init();

  timer_arm(20);
  while (!timer_pending()) {
  }
  for (volatile int i = 0; i < 1000; ++i) {
  }
  check("masked: nothing is taken", timer_ticks, 0);
  irq_on();
  check("unmasked: taken at once", timer_ticks, 1);
  irq_off();

  send_ipi_to_self();
  check("masked: the message waits", ipi_count, 0);
  irq_on();
  check("unmasked: the message arrives", ipi_count, 1);
  send_ipi_to_self();
  for (volatile int i = 0; i < 100; ++i) {
  }
  check("unmasked: the next one, too", ipi_count, 2);
  irq_off();

  timer_arm(20);
  send_ipi_to_self();
  while (!timer_pending()) {
  }
  irq_on();
  irq_off();
  check("two at once: the timer", timer_ticks, 2);
  check("two at once: the message", ipi_count, 3);

  irq_on();
  for (volatile int i = 0; i < 1000; ++i) {
  }
  irq_off();
  check("nothing is taken twice", timer_ticks + ipi_count, 5);
  check("strange interrupts", strange_interrupts, 0);
}
