// Traps, and its vector traps, too.
#include "guest.h"

void break_vectors(void);

void guest_main(void) {
  put("crashing\n");
  break_vectors();
  put("FAIL still here\n");
}
