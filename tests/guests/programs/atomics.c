// What CPUs may rely on when they share memory: locks, atomic counters, and the order of accesses.
#include "cpus.h"

enum : u64 { kTotal = 3840, kLitmusRounds = 20 };

static u64 rounds;  // of each CPU

// A word that only one CPU may write at a time; two that must always be equal.
static u64 lock;
static u64 count;
static u64 left;
static u64 right;
static u64 torn;

static void take_lock(void) {
  while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0) {
    while (get(&lock) != 0) relax();
  }
}

static void hold(void) {
  if (left != right) add(&torn, 1);
  left = left + 1;
  count = count + 1;
  right = right + 1;
}

static void spin_lock(u64 me) {
  (void)me;
  for (u64 i = 0; i < rounds; ++i) {
    take_lock();
    hold();
    set(&lock, 0);
  }
}

static u64 next_ticket;
static u64 now_serving;

static void ticket_lock(u64 me) {
  (void)me;
  for (u64 i = 0; i < rounds; ++i) {
    wait_for(&now_serving, __atomic_fetch_add(&next_ticket, 1, __ATOMIC_RELAXED));
    hold();
    set(&now_serving, now_serving + 1);
  }
}

// LL/SC where the architecture has it, else LOCK CMPXCHG.
static inline int try_to_add(u64* at) {
#if defined(__aarch64__)
  u64 value;
  u32 failed;
  __asm__ volatile("ldxr %0, [%2]\n add %0, %0, #1\n stxr %w1, %0, [%2]"
                   : "=&r"(value), "=&r"(failed)
                   : "r"(at)
                   : "memory");
  return !failed;
#elif defined(__riscv)
  u64 value;
  u64 failed;
  __asm__ volatile("lr.d %0, (%2)\n addi %0, %0, 1\n sc.d %1, %0, (%2)"
                   : "=&r"(value), "=&r"(failed)
                   : "r"(at)
                   : "memory");
  return !failed;
#else
  const u64 old = *(volatile u64*)at;
  u64 seen = old;
  __asm__ volatile("lock cmpxchgq %2, %1" : "+a"(seen), "+m"(*at) : "r"(old + 1) : "memory");
  return seen == old;
#endif
}

static u64 exclusive;

static void exclusive_counter(u64 me) {
  (void)me;
  for (u64 i = 0; i < rounds; ++i) {
    while (!try_to_add(&exclusive)) {
    }
  }
}

static u64 swapped;

static void cas_counter(u64 me) {
  (void)me;
  for (u64 i = 0; i < rounds; ++i) {
    u64 old = get(&swapped);
    while (!__atomic_compare_exchange_n(&swapped, &old, old + 1, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
    }
  }
}

static u64 added;
static u32 halves[2];
static u8 bytes[8];

static void fetch_add(u64 me) {
  for (u64 i = 0; i < rounds; ++i) {
    __atomic_fetch_add(&added, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&halves[i & 1], 1, __ATOMIC_RELAXED);
    __atomic_fetch_xor(&bytes[(me + i) & 7], 1, __ATOMIC_RELAXED);
  }
}

static u64 ones_of_bytes(void) {
  u64 parity = 0;
  for (u64 i = 0; i < 8; ++i) parity += bytes[i];
  return parity & 1;
}

// Another CPU's stores between the two halves of LL/SC break the reservation, even where the value
// is what it was before.
static u64 reserved;
static u64 reservation_is_held;
static u64 reservation_is_broken;
static u64 stores_that_missed_it;

/// Whether the store was done, between whose halves CPU `round` + 1 has stored.
static int store_over_others(u64 round) {
#if defined(__aarch64__)
  u32 failed;
  __asm__ volatile(
      "ldxr x9, [%1]\n stlr %4, [%2]\n sev\n"
      "1: ldar x10, [%3]\n cmp x10, %4\n b.ne 1b\n"
      "stxr %w0, x9, [%1]"
      : "=&r"(failed)
      : "r"(&reserved), "r"(&reservation_is_held), "r"(&reservation_is_broken), "r"(round)
      : "x9", "x10", "cc", "memory");
  return !failed;
#elif defined(__riscv)
  u64 failed;
  __asm__ volatile(
      "lr.d t0, (%1)\n fence rw, w\n sd %4, (%2)\n"
      "1: ld t1, (%3)\n bne t1, %4, 1b\n fence r, rw\n"
      "sc.d %0, t0, (%1)"
      : "=&r"(failed)
      : "r"(&reserved), "r"(&reservation_is_held), "r"(&reservation_is_broken), "r"(round)
      : "t0", "t1", "memory");
  return !failed;
#else
  // No reservations here: what can be seen is the other's value.
  set(&reservation_is_held, round);
  wait_for(&reservation_is_broken, round);
  u64 seen = 1;
  __asm__ volatile("lock cmpxchgq %2, %1" : "+a"(seen), "+m"(reserved) : "r"(2ul) : "memory");
  return seen == 1;
#endif
}

static void broken_reservation(u64 me) {
  for (u64 round = 1; round < cpus && round <= 4; ++round) {
    if (me == round - 1 && store_over_others(round)) add(&stores_that_missed_it, 1);
    if (me == round) {
      wait_for(&reservation_is_held, round);
      *(volatile u64*)&reserved = 1;
      *(volatile u64*)&reserved = 0;
      set(&reservation_is_broken, round);
    }
    meet();
  }
}

// Message passing and store buffering, by neighbours: CPU n writes what CPU n + 1 reads.
static u64 data[kMaxCpus];
static u64 flag[kMaxCpus];
static u64 stale;

static void message_passing(u64 me) {
  const u64 from = (me + cpus - 1) % cpus;
  for (u64 i = 1; i <= kLitmusRounds; ++i) {
    __atomic_store_n(&data[me], i, __ATOMIC_RELAXED);
    set(&flag[me], i);
    while (get(&flag[from]) < i) relax();
    if (__atomic_load_n(&data[from], __ATOMIC_RELAXED) < i) add(&stale, 1);
  }
}

static u64 wants[2];
static u64 entered[2][kLitmusRounds];
static u64 both_missed;

static void store_buffering(u64 me) {
  for (u64 i = 0; i < kLitmusRounds; ++i) {
    meet();
    if (me < 2) {
      __atomic_store_n(&wants[me], i + 1, __ATOMIC_SEQ_CST);
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      entered[me][i] = __atomic_load_n(&wants[1 - me], __ATOMIC_SEQ_CST) != i + 1;
    }
    meet();
    if (me == 0 && cpus > 1 && entered[0][i] && entered[1][i]) ++both_missed;
  }
}

static void together(u64 me, void (*part)(u64)) {
  meet();
  part(me);
  meet();
}

static void work(u64 me) {
  together(me, spin_lock);
  together(me, ticket_lock);
  together(me, exclusive_counter);
  together(me, cas_counter);
  together(me, fetch_add);
  together(me, broken_reservation);
  together(me, message_passing);
  together(me, store_buffering);
}

void guest_main(void) {
  paging_enable();
  rounds = kTotal / cpu_count();
  work_together();
  check("two locks: nothing is lost", count, 2 * kTotal);
  check("two locks: nobody comes in between", torn, 0);
  check("both words", left == right ? left : 0, 2 * kTotal);
  check("load-exclusive, store-exclusive", exclusive, kTotal);
  check("compare and swap", swapped, kTotal);
  check("fetch and add", added, kTotal);
  check("fetch and add of 32 bits", halves[0] + halves[1], kTotal);
  check("fetch and xor of bytes", ones_of_bytes(), kTotal & 1);
  check("a store breaks a reservation", stores_that_missed_it, 0);
  check("a message is seen behind its flag", stale, 0);
  check("of two stores one is seen", both_missed, 0);
}
