// Affinities: each redistributor has that of its CPU, and each CPU its own in MPIDR_EL1.
#include "programs/cpu_ids.h"

enum : u64 {
  kGicr = 0x080a0000,
  kGicrStride = 0x20000,
  kGicrTyper = 8,
  kGicrWaker = 0x14,
  kGicrSgi = 0x10000,
  kAffinity = 0xffffff,
};

u64 cpu_ids[64];

u64 list_cpus(void) {
  for (u64 count = 0; count < 64;) {
    const u64 typer = read64(kGicr + count * kGicrStride + kGicrTyper);
    cpu_ids[count++] = typer >> 32 & kAffinity;
    if (typer & 1 << 4) return count;  // Last
  }
  return 64;
}

// The redistributor of a CPU is not found by its affinity, as cpu_init() does.
void cpu_begin(u64 cpu) {
  const u64 own = kGicr + cpu * kGicrStride;
  traps_init();
  write32(own + kGicrWaker, read32(own + kGicrWaker) & ~2u);
  while (read32(own + kGicrWaker) & 4) {
  }
  write32(own + kGicrSgi + 0x80, ~0u);          // GICR_IGROUPR0: group 1
  write32(own + kGicrSgi + 0x400, 0xa0a0a0a0);  // GICR_IPRIORITYR0
  write32(own + kGicrSgi + 0x100, 0xffff);      // GICR_ISENABLER0: SGIs
  WRITE_SYSTEM_REGISTER("icc_sre_el1", 1);
  __asm__ volatile("isb");
  WRITE_SYSTEM_REGISTER("icc_pmr_el1", 0xff);
  WRITE_SYSTEM_REGISTER("icc_igrpen1_el1", 1);
  __asm__ volatile("isb");
}

void tell_others(u64 me) {
  send_ipi_to_others(me);
}

int has_id_of(u64 cpu) {
  return (READ_SYSTEM_REGISTER("mpidr_el1") & kAffinity) == cpu_ids[cpu];
}
