// The aarch64 board: PL011, GICv3, virtual timer, PSCI.
#include "guest.h"

enum : u64 {
  kUart = 0x09000000,
  kUartFlags = kUart + 0x18,
  kUartControl = kUart + 0x30,
  kUartMask = kUart + 0x38,
  kUartClear = kUart + 0x44,
  kGicd = 0x08000000,
  kGicr = 0x080a0000,
  kGicrSgi = kGicr + 0x10000,
  kGicrStride = 0x20000,
  kPsciSystemOff = 0x84000008,
  kPsciSystemReset = 0x84000009,
};
enum : u32 {
  kIpiIntid = 1,
  kTimerIntid = 27,
  kUartIntid = 33,
  kClockIntid = 34,
  kDeviceLine = 40,
  kSpuriousIntid = 1023,
};

static int console_ready;

static void console_init(void) {
  write32(kUart + 0x2c, 0x60);
  write32(kUartControl, 0x301);
  console_ready = 1;
}

void console_put(char byte) {
  if (!console_ready) console_init();
  while (read32(kUartFlags) & 0x20) {
  }
  write32(kUart, (u8)byte);
}

void console_listen(void) {
  if (!console_ready) console_init();
  write32(kUartMask, 0x50);
}

void power_off(void) {
  hvc(kPsciSystemOff, 0, 0, 0);
  for (;;) __asm__ volatile("wfi");
}

void reset(void) {
  hvc(kPsciSystemReset, 0, 0, 0);
}

/// Where the redistributor of CPU `cpu` has its SGIs and PPIs.
static u64 private_interrupts(u64 cpu) {
  return kGicrSgi + cpu * kGicrStride;
}

/// The redistributor and the CPU interface of this CPU.
static void interrupts_init_of(u64 cpu) {
  const u64 waker = kGicr + cpu * kGicrStride + 0x14;
  write32(waker, read32(waker) & ~2u);
  while (read32(waker) & 4) {
  }
  write32(private_interrupts(cpu) + 0x80, ~0u);  // GICR_IGROUPR0: group 1
  for (u64 at = 0; at < 32; at += 4) write32(private_interrupts(cpu) + 0x400 + at, 0xa0a0a0a0);
  write32(private_interrupts(cpu) + 0x100, 1u << kTimerIntid | 1u << kIpiIntid);
  WRITE_SYSTEM_REGISTER("icc_sre_el1", 1);
  __asm__ volatile("isb");
  WRITE_SYSTEM_REGISTER("icc_pmr_el1", 0xff);
  WRITE_SYSTEM_REGISTER("icc_igrpen1_el1", 1);
  barrier();
}

void interrupts_init(void) {
  write32(kGicd, 0x12);        // ARE_NS, group 1
  write32(kGicd + 0x84, ~0u);  // GICD_IGROUPR1
  write8(kGicd + 0x400 + kUartIntid, 0xa0);
  write64(kGicd + 0x6000 + 8 * kUartIntid, 0);  // GICD_IROUTER
  write32(kGicd + 0x104, 1u << (kUartIntid - 32));
  interrupts_init_of(0);
}

void device_listen(void) {
  write8(kGicd + 0x400 + kDeviceLine, 0xa0);
  write64(kGicd + 0x6000 + 8 * kDeviceLine, 0);
  write32(kGicd + 0x104, 1u << (kDeviceLine - 32));
}

void irq_on(void) {
  __asm__ volatile("msr daifclr, #2\n isb\n nop" : : : "memory");
}
void irq_off(void) {
  __asm__ volatile("msr daifset, #2\n isb" : : : "memory");
}
void idle(void) {
  __asm__ volatile("wfi\n msr daifclr, #2\n isb\n msr daifset, #2" : : : "memory");
}

void timer_arm(u64 microseconds) {
  u64 ticks = READ_SYSTEM_REGISTER("cntfrq_el0") * microseconds / 1000000;
  if (ticks == 0) ticks = 1;
  WRITE_SYSTEM_REGISTER("cntv_tval_el0", ticks);
  WRITE_SYSTEM_REGISTER("cntv_ctl_el0", 1);
  __asm__ volatile("isb");
}

int timer_pending(void) {
  return (read32(kGicrSgi + 0x200) >> kTimerIntid & 1) != 0 &&
         (READ_SYSTEM_REGISTER("cntv_ctl_el0") & 4) != 0;
}

void send_ipi_to_self(void) {
  WRITE_SYSTEM_REGISTER("icc_sgi1r_el1", (u64)kIpiIntid << 24 | 1);
  barrier();
}

// The target list has 16 CPUs, and the range says which 16.
void send_ipi(u64 cpu) {
  __asm__ volatile("dsb ishst" : : : "memory");
  WRITE_SYSTEM_REGISTER("icc_sgi1r_el1",
                        (u64)kIpiIntid << 24 | (cpu >> 4) << 44 | 1ul << (cpu & 15));
  __asm__ volatile("isb");
}

void send_ipi_to_others(u64 me) {
  (void)me;
  __asm__ volatile("dsb ishst" : : : "memory");
  WRITE_SYSTEM_REGISTER("icc_sgi1r_el1", (u64)kIpiIntid << 24 | 1ul << 40);
  __asm__ volatile("isb");
}

void take_interrupt(void);
void take_interrupt(void) {
  const u64 intid = READ_SYSTEM_REGISTER("icc_iar1_el1") & 0xffffff;
  barrier();
  if (intid == kSpuriousIntid) {
    ++strange_interrupts;
    return;
  }
  if (intid == kTimerIntid) {
    ++timer_ticks;
    WRITE_SYSTEM_REGISTER("cntv_ctl_el0", 0);
    __asm__ volatile("isb");
  } else if (intid == kIpiIntid) {
    ipi_interrupt();
  } else if (intid == kUartIntid) {
    while (!(read32(kUartFlags) & 0x10)) {
      input_byte = (char)read32(kUart);
      ++input_count;
    }
    write32(kUartClear, 0x7ff);
  } else if (intid == kDeviceLine || intid == kClockIntid) {
    device_interrupt();
  } else {
    ++strange_interrupts;
  }
  WRITE_SYSTEM_REGISTER("icc_eoir1_el1", intid);
  barrier();
}

enum : u64 { kPsciCpuOff = 0x84000002, kPsciCpuOn = 0xc4000003, kPsciAffinityInfo = 0xc4000004 };

u64 cpu_count(void) {
  u64 count = 1;
  while (!(read64(kGicr + (count - 1) * kGicrStride + 8) & 1 << 4)) ++count;  // GICR_TYPER.Last
  return count;
}
u64 start_cpu(u64 cpu, u64 stack) {
  return hvc(kPsciCpuOn, cpu, (u64)cpu_entry, stack);
}
void cpu_init(void) {
  traps_init();
  interrupts_init_of(READ_SYSTEM_REGISTER("mpidr_el1") & 0xff);
}
void stop_this_cpu(void) {
  hvc(kPsciCpuOff, 0, 0, 0);
  for (;;) __asm__ volatile("wfi");
}
int cpu_is_on(u64 cpu) {
  return hvc(kPsciAffinityInfo, cpu, 0, 0) == 0;
}

u64 hypercall(u64 number, u64 first, u64 second, u64 third) {
  return hvc(number, first, second, third);
}

u64 hypercall4(u64 number, u64 first, u64 second, u64 third, u64 fourth) {
  register u64 x0 __asm__("x0") = number;
  register u64 x1 __asm__("x1") = first;
  register u64 x2 __asm__("x2") = second;
  register u64 x3 __asm__("x3") = third;
  register u64 x4 __asm__("x4") = fourth;
  __asm__ volatile("hvc #0"
                   : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
                   :
                   : "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                     "x17", "memory");
  return x0;
}

void sync_code(u64 at, u64 bytes) {
  const u64 end = at + bytes;
  for (u64 line = at & ~15ul; line < end; line += 16) {
    __asm__ volatile("dc cvau, %0" : : "r"(line) : "memory");
  }
  __asm__ volatile("dsb ish" : : : "memory");
  for (u64 line = at & ~15ul; line < end; line += 16) {
    __asm__ volatile("ic ivau, %0" : : "r"(line) : "memory");
  }
  __asm__ volatile("dsb ish\n isb" : : : "memory");
}

void flush_tlb_page(u64 va) {
  __asm__ volatile("dsb ishst\n tlbi vaae1is, %0\n dsb ish\n isb" : : "r"(va >> 12) : "memory");
}

void tell_of_code(void) {}
void context_sync(void) {
  __asm__ volatile("isb" : : : "memory");
}
int can_flush_everywhere(void) {
  return 1;
}
void flush_tlb_page_everywhere(u64 va) {
  flush_tlb_page(va);
}

u64 table_entry(u64 table) {
  return table | 3;
}

u64 page_entry(u64 pa, u64 access) {
  u64 entry = pa | 0x703 | 1 << 2;            // AF, inner shareable, normal memory
  if (!(access & kWrite)) entry |= 1ul << 7;  // AP[2]: read-only
  if (access & kUser) {
    entry |= 1ul << 6 | 1ul << 53;                 // AP[1], PXN
    if (!(access & kExecute)) entry |= 1ul << 54;  // UXN
  } else {
    entry |= 1ul << 54;
    if (!(access & kExecute)) entry |= 1ul << 53;
  }
  return entry;
}

u64 block_entry(u64 pa) {
  const int is_device = pa < 0x40000000 || pa >= 0xd0000000;
  return pa | 0x701 | (is_device ? 1ul << 53 : 1ul << 2) | 1ul << 54;
}

int is_valid_entry(u64 entry) {
  return (int)(entry & 1);
}
u64 address_in_entry(u64 entry) {
  return entry & 0x0000fffffffff000;
}

void use_tables(u64 root) {
  WRITE_SYSTEM_REGISTER("mair_el1", 0xff00);  // 0: device nGnRnE, 1: normal write-back
  // T0SZ 25 (39 bits), 4 KiB, write-back, inner shareable, no TTBR1, 40-bit physical addresses.
  WRITE_SYSTEM_REGISTER("tcr_el1", 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2ul << 32);
  WRITE_SYSTEM_REGISTER("ttbr0_el1", root);
  __asm__ volatile("tlbi vmalle1\n dsb nsh\n isb" : : : "memory");
  WRITE_SYSTEM_REGISTER("sctlr_el1", READ_SYSTEM_REGISTER("sctlr_el1") | 0x1005);
  __asm__ volatile("isb" : : : "memory");
}
