// NMIs: whatever the flags say, one at a time until IRET, and one that came meanwhile behind it.
#include "guest.h"
#include "traps.h"

enum : u64 { kApic = 0xfee00000, kIcr = kApic + 0x300, kIcrHigh = kApic + 0x310, kNmi = 0x400 };

static volatile u64 depth, deepest, count, sends, returns_seen;

static void send_nmi_to_self(void) {
  write32(kIcrHigh, read32(kApic + 0x20));
  write32(kIcr, kNmi);
}

__attribute__((used)) void on_nmi(void) {
  ++count;
  if (++depth > deepest) deepest = depth;
  for (; sends != 0; --sends) send_nmi_to_self();
  --depth;
}

// Comes back where it was; what a handler may use is kept.
__asm__(
    ".text\n"
    "nmi_entry:\n"
    "  push %rax; push %rcx; push %rdx; push %rsi; push %rdi\n"
    "  push %r8; push %r9; push %r10; push %r11\n"
    "  call on_nmi\n"
    "  pop %r11; pop %r10; pop %r9; pop %r8\n"
    "  pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax\n"
    "  iretq\n");
extern const char nmi_entry[];

/// An NMI whose handler sends `more`.
static void nmi_with(u64 more) {
  depth = deepest = count = 0;
  sends = more;
  send_nmi_to_self();
}

// An IRET unblocks NMIs, whichever return it is: this one goes to where it stands.
static void return_to_itself(void) {
  u64 scratch;
  __asm__ volatile(
      "mov %%ss, %k0; push %q0; lea 8(%%rsp), %0; push %0; pushfq; mov %%cs, %k0; push %q0\n"
      "lea 1f(%%rip), %0; push %0; iretq; 1:"
      : "=&r"(scratch)
      :
      : "memory", "cc");
  ++returns_seen;
}

void guest_main(void) {
  const u64 entry = (u64)nmi_entry;
  struct gate* const gate = &interrupt_table[2];
  gate->offset_low = (u16)entry;
  gate->offset_middle = (u16)(entry >> 16);
  gate->offset_high = (u32)(entry >> 32);
  irq_off();
  nmi_with(0);
  check("one comes with interrupts off", count, 1);
  nmi_with(1);
  check("one sent by the handler comes too", count, 2);
  check("one of them at a time", deepest, 1);
  nmi_with(3);
  check("those that wait are one", count, 2);
  check("still one at a time", deepest, 1);
  return_to_itself();
  nmi_with(0);
  check("a return elsewhere changes nothing", count, 1);
  check("and comes back", returns_seen, 1);
}
