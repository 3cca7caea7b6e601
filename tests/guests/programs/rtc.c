// Reads the real-time clock, compares it with the timer, and sleeps until its alarm.
#include "programs/rtc.h"

volatile u64 clock_rings;

/// A bit more than `seconds`, by a timer that reaches 50 milliseconds.
static void wait(u64 seconds) {
  for (u64 round = 20 * seconds + 1; round != 0; --round) {
    const u64 before = timer_ticks;
    timer_arm(50000);
    while (timer_ticks == before) idle();
  }
}

void guest_main(void) {
  interrupts_init();
  clock_listen();
  const u64 start = clock_seconds();
  check("2026-01-01 00:00:00", start, 1767225600);

  wait(2);
  check("seconds of the timer", clock_seconds() - start, 2);

  clock_set_alarm(start + 5, 1);
  while (clock_rings == 0) idle();
  check("the alarm came in time", clock_seconds() - start, 5);
  check("once", clock_rings, 1);

  clock_set_alarm(start + 6, 0);
  wait(2);
  check("seconds later", clock_seconds() - start, 7);
  check("no interrupt that nobody wants", clock_rings, 1);

  clock_set_alarm(start + 3600, 1);
  while (clock_rings == 1) idle();
  check("an hour after the start", clock_seconds() - start, 3600);
  check("strange interrupts", strange_interrupts, 0);
}
