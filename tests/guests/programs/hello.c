// The smallest guest: one line on the console.
#include "guest.h"

void guest_main(void) {
  put("hello from " GUEST_ISA "\n");
}
