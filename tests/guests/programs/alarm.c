// Sets a device to an alarm and sleeps until its interrupt.
#include "guest.h"

enum : u64 { kDelay = kScratchBase, kStatus = kScratchBase + 4 };

static u64 rung;

static void acknowledge(void) {
  rung += read32(kStatus);
}

void guest_main(void) {
  interrupts_init();
  device_handler = acknowledge;
  device_listen();
  for (u64 round = 1; round <= 3; ++round) {
    write32(kDelay, (u32)(50 * round));
    while (device_count < round) idle();
    put("alarm ");
    put_decimal(round);
    put_char('\n');
  }
  check("every one was the device's", rung, 3);
  check("strange interrupts", strange_interrupts, 0);
}
