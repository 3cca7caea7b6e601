// Hart ids: the firmware says which there are. Harts have no register for theirs.
#include "programs/cpu_ids.h"

enum : u64 { kHsm = 0x48534d, kStatus = 2, kIpi = 0x735049, kMostIds = 256 };

extern u64 boot_hart;
u64 cpu_ids[64];
static u64 count;

u64 list_cpus(void) {
  cpu_ids[0] = boot_hart;
  count = 1;
  for (u64 id = 0; id < kMostIds && count < 64; ++id) {
    if (id != boot_hart && sbi(kHsm, kStatus, id, 0, 0).error == 0) cpu_ids[count++] = id;
  }
  return count;
}

void cpu_begin(u64 cpu) {
  (void)cpu;
  cpu_init();
}

// By masks of 64 hart ids.
void tell_others(u64 me) {
  for (u64 base = 0; base < kMostIds; base += 64) {
    u64 mask = 0;
    for (u64 cpu = 0; cpu < count; ++cpu) {
      if (cpu != me && cpu_ids[cpu] - base < 64) mask |= 1ul << (cpu_ids[cpu] - base);
    }
    if (mask != 0) sbi(kIpi, 0, mask, base, 0);
  }
}

int has_id_of(u64 cpu) {
  return sbi(kHsm, kStatus, cpu_ids[cpu], 0, 0).value == 0;  // started, as whoever asks
}
