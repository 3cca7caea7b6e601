// The vectors lie where nothing is: every exception causes the next one, without end.
#include "guest.h"

void break_vectors(void);
void break_vectors(void) {
  paging_enable();
  WRITE_SYSTEM_REGISTER("vbar_el1", kTestBase);
  __asm__ volatile("isb\n udf #0");
}
