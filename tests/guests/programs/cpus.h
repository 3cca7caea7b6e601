// All CPUs of the machine at work on one thing.
#pragma once

#include "guest.h"

enum : u64 { kMaxCpus = 64, kStackBytes = 0x2000 };

#ifdef CPUS_HAVE_IDS
#include "cpu_ids.h"
#else
// The machine calls each CPU by its number.
static inline u64 find_cpus(void) {
  return cpu_count();
}
static inline u64 cpu_id(u64 cpu) {
  return cpu;
}
static inline void tell_others(u64 me) {
  send_ipi_to_others(me);
}
#endif

/// How many there are, once start_cpus() has begun.
static u64 cpus = 1;
static u64 meetings;
static u64 arrived;
FRESH static u8 stacks[kMaxCpus][kStackBytes];

/// This CPU's number, which its stack knows.
static inline u64 this_cpu(void) {
  const u64 place = (u64)__builtin_frame_address(0) - 1 - (u64)stacks;
  return place < sizeof stacks ? place / kStackBytes : 0;
}

/// In a loop that waits for another CPU.
static inline void relax(void) {
#if defined(__x86_64__)
  __asm__ volatile("pause" : : : "memory");
#elif defined(__aarch64__)
  __asm__ volatile("wfe" : : : "memory");
#else
  __asm__ volatile(".insn 0x0100000f" : : : "memory");  // pause
#endif
}

/// After what others wait for in such a loop.
static inline void wake_others(void) {
#if defined(__aarch64__)
  __asm__ volatile("dsb ish\n sev" : : : "memory");
#endif
}

static inline u64 get(const u64* at) {
  return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}
static inline void set(u64* at, u64 value) {
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
  wake_others();
}
static inline u64 add(u64* at, u64 value) {
  const u64 before = __atomic_fetch_add(at, value, __ATOMIC_ACQ_REL);
  wake_others();
  return before;
}
static inline void wait_for(const u64* at, u64 value) {
  while (get(at) != value) relax();
}

/// Waits until all CPUs are here.
static void meet(void) {
  const u64 now = get(&meetings);
  if (add(&arrived, 1) + 1 == cpus) {
    arrived = 0;
    set(&meetings, now + 1);
  }
  while (get(&meetings) == now) relax();
}

/// What each CPU does: of the program.
static void work(u64 me);

void cpu_main(void) {
#ifdef CPUS_HAVE_IDS
  cpu_join(this_cpu());
#else
  cpu_init();
#endif
  paging_join();
  work(this_cpu());
  stop_this_cpu();
}

/// All at work; paging is on.
static void start_cpus(void) {
  interrupts_init();
  cpus = find_cpus();
  u64 started = 1;
  for (u64 cpu = 1; cpu < cpus; ++cpu) {
    if (start_cpu(cpu_id(cpu), (u64)stacks[cpu] + kStackBytes) == 0) ++started;
  }
  check("every CPU is started", started, cpus);
}

/// work() on the CPU that boots, until the others have gone off.
static void work_together(void) {
  start_cpus();
  work(0);
  u64 off = 1;
  for (u64 cpu = 1; cpu < cpus; ++cpu) {
    while (cpu_is_on(cpu_id(cpu))) {
    }
    ++off;
  }
  check("every CPU is off again", off, cpus);
}
