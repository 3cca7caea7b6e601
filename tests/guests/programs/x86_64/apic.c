// The local APIC: its timer and its identity.
#include "guest.h"

enum : u64 { kApic = 0xfee00000 };

void guest_main(void) {
  interrupts_init();
  check("the APIC is where the MSR says", read_msr(0x1b) & 0xfffff000, kApic);
  check("the first CPU", read32(kApic + 0x20) >> 24, 0);
  check_true("at least 4 entries in the LVT", (read32(kApic + 0x30) >> 16 & 0xff) >= 3);

  write32(kApic + 0x3e0, 0xb);   // divide by 1
  write32(kApic + 0x320, 0x41);  // one-shot, the vector of the messages
  write32(kApic + 0x380, 10000);
  check_true("it counts down", read32(kApic + 0x390) <= 10000);
  while (ipi_count < 1) idle();
  check("one-shot: stopped at zero", read32(kApic + 0x390), 0);

  write32(kApic + 0x320, 0x20041);  // periodic
  write32(kApic + 0x380, 20000);
  while (ipi_count < 6) idle();
  write32(kApic + 0x320, 0x10041);  // masked
  const u64 count = ipi_count;
  for (volatile int i = 0; i < 50000; ++i) {
  }
  irq_on();
  irq_off();
  check("masked: it is silent", ipi_count - count <= 1, 1);
  check("strange interrupts", strange_interrupts, 0);
}
