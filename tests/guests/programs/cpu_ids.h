// CPUs that the machine calls by ids of its own: what it says of them.
#pragma once

#include "guest.h"

/// The ids by CPU number; the CPU that boots comes first. By find_cpus().
extern u64 cpu_ids[64];
static inline u64 cpu_id(u64 cpu) {
  return cpu_ids[cpu];
}

// Of each machine.
/// Fills cpu_ids from what the firmware or the interrupt controller says; how many there are.
u64 list_cpus(void);
/// On CPU `cpu`, which was started: as cpu_init().
void cpu_begin(u64 cpu);
/// Interrupts all CPUs but `me`, which sends it.
void tell_others(u64 me);
/// Whether the registers of this CPU, where it has such, give the id of CPU `cpu`.
int has_id_of(u64 cpu);

static inline void check_id(u64 cpu) {
  if (!has_id_of(cpu)) put("FAIL a CPU has another id\n");
}
static inline u64 find_cpus(void) {
  const u64 count = list_cpus();
  check_id(0);
  return count;
}
static inline void cpu_join(u64 cpu) {
  cpu_begin(cpu);
  check_id(cpu);
}
