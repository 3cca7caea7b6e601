// Waits for bytes typed at the console, by interrupt, until it reads 'q'.
#include "guest.h"

void guest_main(void) {
  interrupts_init();
  console_listen();
  put("ready\n");
  u64 seen = 0;
  for (;;) {
    while (input_count == seen) idle();
    seen = input_count;
    const char byte = input_byte;
    put("got ");
    put_char(byte);
    put_char('\n');
    if (byte == 'q') break;
  }
  check("strange interrupts", strange_interrupts, 0);
}
