// A triple fault: no interrupt table at all.
#include "guest.h"

void break_vectors(void);
void break_vectors(void) {
  const struct {
    u16 limit;
    u64 base;
  } __attribute__((packed)) nothing = {0, 0};
  __asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}
