// The vector lies where nothing is: every trap causes the next one, without end.
#include "guest.h"

void break_vectors(void);
void break_vectors(void) {
  paging_enable();
  WRITE_CSR("stvec", kTestBase);
  __asm__ volatile("unimp");
}
