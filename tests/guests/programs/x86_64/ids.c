// APIC ids: the MADT has them, and each CPU its own in a register and in CPUID.
#include "programs/cpu_ids.h"

enum : u64 { kRsdp = 0xf0000, kMadt = 0x43495041, kApicId = 0xfee00020 };

u64 cpu_ids[64];

// ACPI 6.5, 5.2.12: of the XSDT's tables the one called "APIC", and its structures of type 0.
u64 list_cpus(void) {
  const u64 xsdt = read64(kRsdp + 24);
  u64 madt = 0;
  for (u64 at = xsdt + 36; at < xsdt + read32(xsdt + 4); at += 8) {
    if (read32(read64(at)) == kMadt) madt = read64(at);
  }
  u64 count = 0;
  for (u64 at = madt + 44; at < madt + read32(madt + 4); at += read8(at + 1)) {
    if (read8(at) == 0 && count < 64) cpu_ids[count++] = read8(at + 3);
  }
  return count;
}

void cpu_begin(u64 cpu) {
  (void)cpu;
  cpu_init();
}

void tell_others(u64 me) {
  send_ipi_to_others(me);
}

static void cpuid(u32 leaf, u32* registers) {
  __asm__ volatile("cpuid"
                   : "=a"(registers[0]), "=b"(registers[1]), "=c"(registers[2]), "=d"(registers[3])
                   : "a"(leaf), "c"(0));
}

int has_id_of(u64 cpu) {
  u32 features[4];
  u32 topology[4];
  cpuid(1, features);
  cpuid(0xb, topology);
  return read32(kApicId) >> 24 == cpu_ids[cpu] && features[1] >> 24 == cpu_ids[cpu] &&
         topology[3] == cpu_ids[cpu];
}
