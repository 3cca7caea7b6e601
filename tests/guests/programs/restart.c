// Asks for a reset.
#include "guest.h"

void guest_main(void) {
  put("resetting\n");
  reset();
  put("FAIL still here\n");
}
