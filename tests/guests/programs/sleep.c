// Sleeps where nothing can wake it.
#include "guest.h"

void guest_main(void) {
  put("sleeping\n");
  irq_off();
#if defined(__x86_64__)
  __asm__ volatile("hlt");
#else
  __asm__ volatile("wfi");
#endif
  put("FAIL woke up\n");
}
