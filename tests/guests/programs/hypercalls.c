// Hypercalls: the monitor's own, and those of the machine's firmware.
#include "hypercalls.h"

void guest_main(void) {
  check("an unknown hypercall", hypercall(0x1234, 1, 2, 3), kUnknownHypercall);
  check("a number of 32 ones", hypercall(0xffffff00, 0, 0, 0), kUnknownHypercall);
  firmware_calls();
}
