// Interrupts between CPUs: none is lost, each reaches those it is for, and it wakes who sleeps.
#include "cpus.h"

enum : u64 { kRounds = 16, kBroadcasts = 4 };

static u64 requests[kMaxCpus];  // of each CPU, a bit for each that asks
static u64 answered[kMaxCpus];
static u64 broadcasts;
static u64 heard;
static u64 sent;

/// Every bit is one interrupt that was sent: several may have become one.
static void answer(void) {
  const u64 me = this_cpu();
  u64 bits = __atomic_exchange_n(&requests[me], 0, __ATOMIC_ACQ_REL);
  for (; bits != 0; bits &= bits - 1) ++answered[me];
  wake_others();
}

static void ask(u64 me, u64 other) {
  __atomic_fetch_or(&requests[other], 1ul << me, __ATOMIC_ACQ_REL);
  send_ipi(cpu_id(other));
}

/// Everybody asks everybody in turn, itself too, and waits for the answer before it asks again.
static void storm(u64 me) {
  irq_on();
  for (u64 i = 0; i < kRounds; ++i) {
    const u64 other = (me + i) % cpus;
    ask(me, other);
    while (get(&requests[other]) & 1ul << me) relax();
  }
  add(&sent, kRounds);
  meet();  // the others want answers, too
  irq_off();
}

/// Everybody asks one CPU without waiting for each other.
static void crowd(u64 me) {
  irq_on();
  for (u64 i = 0; i < kRounds; ++i) {
    ask(me, i % cpus);
    while (get(&requests[i % cpus]) & 1ul << me) relax();
  }
  add(&sent, kRounds);
  meet();  // the others want answers, too
  irq_off();
}

static void hear(void) {
  add(&heard, 1);
}

/// To all others at once, while they sleep.
static void broadcast(u64 me) {
  for (u64 i = 0; i < kBroadcasts; ++i) {
    meet();
    if (me == i % cpus) {
      tell_others(me);
      wait_for(&heard, cpus - 1);
      set(&heard, 0);
      set(&broadcasts, i + 1);
    } else {
      idle();
    }
    while (get(&broadcasts) <= i) relax();
  }
}

/// Along a chain of sleeping CPUs and back to the first.
static u64 token;
static u64 lost_tokens;

static void pass_on(u64 me) {
  meet();
  if (me == 0) {
    set(&token, 1);
    send_ipi(cpu_id(1 % cpus));
  }
  while (get(&token) != (me == 0 ? cpus : me)) idle();
  if (me != 0) {
    set(&token, me + 1);
    send_ipi(cpu_id((me + 1) % cpus));
  }
  if (get(&token) < me) add(&lost_tokens, 1);
}

static void use(u64 me, void (*handler)(void)) {
  meet();
  if (me == 0) ipi_handler = handler;
  meet();
}

static void work(u64 me) {
  use(me, answer);
  storm(me);
  use(me, answer);
  crowd(me);
  use(me, hear);
  broadcast(me);
  use(me, 0);
  pass_on(me);
  meet();
}

void guest_main(void) {
  paging_enable();
  work_together();
  u64 answers = 0;
  for (u64 cpu = 0; cpu < cpus; ++cpu) answers += answered[cpu];
  check("every interrupt was sent", sent, 2 * kRounds * cpus);
  check("every interrupt was taken", answers, sent);
  check("every CPU heard the broadcasts", broadcasts, kBroadcasts);
  check("the token came round", token, cpus);
  check("nobody was passed over", lost_tokens, 0);
  check("no other interrupts", strange_interrupts, 0);
}
