// Two CPUs: the second is started, takes turns with the first, and goes to sleep.
#include "guest.h"

enum : u64 { kRounds = 25 };

static volatile u64 turn;
static volatile u64 count;
static volatile u64 second_is_up;
static u8 second_stack[0x2000] __attribute__((aligned(16)));

static void take_turns(u64 me) {
  for (u64 i = 0; i < kRounds; ++i) {
    while (turn != me) {
    }
    count = count + 1;
    memory_barrier();
    turn = 1 - me;
  }
}

void cpu_main(void) {
  second_is_up = 1;
  take_turns(1);
  stop_this_cpu();
}

void guest_main(void) {
  check("one CPU is up", second_is_up, 0);
  check("the second is started", start_cpu(1, (u64)second_stack + sizeof second_stack), 0);
  take_turns(0);
  while (turn != 0) {
  }
  check("both have had their turns", count, 2 * kRounds);
  while (cpu_is_on(1)) {
  }
  check("the second is up", second_is_up, 1);
}
