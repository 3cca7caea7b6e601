// Floating point: switched off it traps, switched on it calculates.
#include "fpu.h"

void guest_main(void) {
  fpu_off();
  check("switched off", trap_of(fpu_touch, 0), kFpuOffTrap);
  fpu_on();
  check("switched on", trap_of(fpu_touch, 0), kNoTrap);
  const u64 two = 0x4000000000000000;
  const u64 three = 0x4008000000000000;
  check("2 + 3", fpu_add(two, three), 0x4014000000000000);
  check("2 * 3", fpu_multiply(two, three), 0x4018000000000000);
  check("2 / 3", fpu_divide(two, three), 0x3fe5555555555555);
  check("sqrt 2", fpu_square_root(two), 0x3ff6a09e667f3bcd);
  check("0 / 0", fpu_divide(0, 0) & 0x7ff8000000000000, 0x7ff8000000000000);
  check("3 / 0", fpu_divide(three, 0), 0x7ff0000000000000);
  u64 sum = 0;
  for (u64 i = 0; i < 1000; ++i) sum = fpu_add(sum, three);
  check("3 a thousand times", sum, 0x40a7700000000000);
  interrupts_init();
  fpu_set(0x400921fb54442d18);
  timer_arm(10);
  while (timer_ticks == 0) idle();
  check("a register after an interrupt", fpu_get(), 0x400921fb54442d18);
  fpu_more();
}
