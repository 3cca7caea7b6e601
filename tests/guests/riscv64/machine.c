// The riscv64 board: 16550, PLIC, SBI.
#include "guest.h"

enum : u64 {
  kUart = 0x10000000,
  kPlic = 0x0c000000,
  kPlicEnable = kPlic + 0x2000,
  kPlicContext = kPlic + 0x200000,
  kUartSource = 10,
  kDeviceLine = 11,
  kClockSource = 13,
  kSbiTime = 0x54494d45,
  kSbiIpi = 0x735049,
  kSbiHsm = 0x48534d,
  kSbiRemoteFence = 0x52464e43,
  kSbiReset = 0x53525354,
  kHypercallExtension = 0x485643,
};
enum : u64 { kSoftware = 1, kTimer = 5, kExternal = 9 };

extern u64 boot_hart;
static int console_ready;

// One context for each hart: there is no machine mode below us.
static u64 context(void) {
  return boot_hart;
}

static void console_init(void) {
  write8(kUart + 1, 0);
  write8(kUart + 3, 0x03);
  write8(kUart + 2, 0x07);
  console_ready = 1;
}

void console_put(char byte) {
  if (!console_ready) console_init();
  while (!(read8(kUart + 5) & 0x20)) {
  }
  write8(kUart, (u8)byte);
}

void console_listen(void) {
  if (!console_ready) console_init();
  write8(kUart + 4, 0x0b);
  write8(kUart + 1, 0x01);
}

void power_off(void) {
  sbi(kSbiReset, 0, 0, 0, 0);
  for (;;) __asm__ volatile("wfi");
}

void reset(void) {
  sbi(kSbiReset, 0, 1, 0, 0);
}

void interrupts_init(void) {
  write32(kPlic + 4 * kUartSource, 1);
  write32(kPlicEnable + 0x80 * context(), 1u << kUartSource);
  write32(kPlicContext + 0x1000 * context(), 0);
  sbi(kSbiTime, 0, ~0ul, 0, 0);
  WRITE_CSR("sie", 1 << kSoftware | 1 << kTimer | 1 << kExternal);
}

void device_listen(void) {
  write32(kPlic + 4 * kDeviceLine, 1);
  write32(kPlicEnable + 0x80 * context(), 1u << kUartSource | 1u << kDeviceLine);
}

void irq_on(void) {
  __asm__ volatile("csrsi sstatus, 2\n nop" : : : "memory");
}
void irq_off(void) {
  __asm__ volatile("csrci sstatus, 2" : : : "memory");
}
void idle(void) {
  __asm__ volatile("wfi\n csrsi sstatus, 2\n nop\n csrci sstatus, 2" : : : "memory");
}

// Ten ticks a microsecond, as the device tree of the board says.
void timer_arm(u64 microseconds) {
  sbi(kSbiTime, 0, READ_CSR("time") + 10 * microseconds, 0, 0);
}

int timer_pending(void) {
  return (READ_CSR("sip") >> kTimer & 1) != 0;
}

void send_ipi_to_self(void) {
  sbi(kSbiIpi, 0, 1, boot_hart, 0);
}

void send_ipi(u64 cpu) {
  sbi(kSbiIpi, 0, 1, cpu, 0);
}

void send_ipi_to_others(u64 me) {
  const u64 all = ~0ul >> (64 - cpu_count());
  sbi(kSbiIpi, 0, all & ~(1ul << me), 0, 0);
}

void take_interrupt(u64 cause);
void take_interrupt(u64 cause) {
  if (cause == kTimer) {
    ++timer_ticks;
    sbi(kSbiTime, 0, ~0ul, 0, 0);
  } else if (cause == kSoftware) {
    __asm__ volatile("csrci sip, 2" : : : "memory");
    ipi_interrupt();
  } else if (cause == kExternal) {
    const u32 source = read32(kPlicContext + 0x1000 * context() + 4);
    if (source == kUartSource) {
      while (read8(kUart + 5) & 1) {
        input_byte = (char)read8(kUart);
        ++input_count;
      }
    } else if (source == kDeviceLine || source == kClockSource) {
      device_interrupt();
    } else {
      ++strange_interrupts;
    }
    write32(kPlicContext + 0x1000 * context() + 4, source);
  } else {
    ++strange_interrupts;
  }
}

u64 cpu_count(void) {
  u64 count = 1;
  while (sbi(kSbiHsm, 2, count, 0, 0).error == 0) ++count;
  return count;
}
u64 start_cpu(u64 cpu, u64 stack) {
  return sbi(kSbiHsm, 0, cpu, (u64)cpu_entry, stack).error;
}
void cpu_init(void) {
  traps_init();
  sbi(kSbiTime, 0, ~0ul, 0, 0);
  WRITE_CSR("sie", 1 << kSoftware | 1 << kTimer | 1 << kExternal);
}
void stop_this_cpu(void) {
  sbi(kSbiHsm, 1, 0, 0, 0);
  for (;;) __asm__ volatile("wfi");
}
int cpu_is_on(u64 cpu) {
  return sbi(kSbiHsm, 2, cpu, 0, 0).value != 1;
}

u64 hypercall(u64 number, u64 first, u64 second, u64 third) {
  return sbi(kHypercallExtension, number, first, second, third).error;
}

u64 hypercall4(u64 number, u64 first, u64 second, u64 third, u64 fourth) {
  register u64 a0 __asm__("a0") = first;
  register u64 a1 __asm__("a1") = second;
  register u64 a2 __asm__("a2") = third;
  register u64 a3 __asm__("a3") = fourth;
  register u64 a6 __asm__("a6") = number;
  register u64 a7 __asm__("a7") = kHypercallExtension;
  __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a6), "r"(a7) : "memory");
  return a0;
}

void sync_code(u64 at, u64 bytes) {
  (void)at;
  (void)bytes;
  __asm__ volatile("fence rw, rw\n fence.i" : : : "memory");
}

void flush_tlb_page(u64 va) {
  __asm__ volatile("sfence.vma %0, zero" : : "r"(va) : "memory");
}

// Every hart: a mask base of all ones.
void tell_of_code(void) {
  __asm__ volatile("fence rw, rw" : : : "memory");
  sbi(kSbiRemoteFence, 0, 0, ~0ul, 0);
}
void context_sync(void) {}
int can_flush_everywhere(void) {
  return 1;
}
void flush_tlb_page_everywhere(u64 va) {
  register u64 a0 __asm__("a0") = 0;
  register u64 a1 __asm__("a1") = ~0ul;
  register u64 a2 __asm__("a2") = va;
  register u64 a3 __asm__("a3") = kPage;
  register u64 a6 __asm__("a6") = 1;
  register u64 a7 __asm__("a7") = kSbiRemoteFence;
  __asm__ volatile("fence rw, rw\n ecall"
                   : "+r"(a0), "+r"(a1)
                   : "r"(a2), "r"(a3), "r"(a6), "r"(a7)
                   : "memory");
}

u64 table_entry(u64 table) {
  return table >> 2 | 1;
}

u64 page_entry(u64 pa, u64 access) {
  return pa >> 2 | 0xc1 | (access & kRead ? 2 : 0) | (access & kWrite ? 6 : 0) |
         (access & kExecute ? 8 : 0) | (access & kUser ? 16 : 0);
}

u64 block_entry(u64 pa) {
  return pa >> 2 | 0xef;
}  // D A G X W R V
int is_valid_entry(u64 entry) {
  return (int)(entry & 1);
}
u64 address_in_entry(u64 entry) {
  return (entry >> 10 & 0xfffffffffff) << 12;
}

void use_tables(u64 root) {
  WRITE_CSR("satp", 8ul << 60 | root >> 12);
  __asm__ volatile("sfence.vma" : : : "memory");
}
