// The x86_64 board: COM1, ACPI power-off, PIC, PIT, local APIC.
#include "guest.h"
#include "x86_64/traps.h"

enum : u16 {
  kCom1 = 0x3f8,
  kPm1Control = 0x604,
  kResetPort = 0xcf9,
  kPicCommand1 = 0x20,
  kPicData1 = 0x21,
  kPicCommand2 = 0xa0,
  kPicData2 = 0xa1,
  kPitChannel0 = 0x40,
  kPitCommand = 0x43,
};
enum : u64 { kLocalApic = 0xfee00000, kApicEoi = 0xb0, kApicSpurious = 0xf0, kApicIcr = 0x300 };
enum : u64 { kPitHz = 1193182, kIpiVector = 0x41, kSpuriousVector = 0xff, kDeviceLine = 5 };

static int console_ready;

static void console_init(void) {
  out8(kCom1 + 1, 0);
  out8(kCom1 + 3, 0x03);
  out8(kCom1 + 2, 0x07);
  console_ready = 1;
}

void console_put(char byte) {
  if (!console_ready) console_init();
  while (!(in8(kCom1 + 5) & 0x20)) {
  }
  out8(kCom1, (u8)byte);
}

void console_listen(void) {
  if (!console_ready) console_init();
  out8(kCom1 + 4, 0x0b);
  out8(kCom1 + 1, 0x01);
}

void power_off(void) {
  out16(kPm1Control, 0x2000);
  for (;;) __asm__ volatile("cli; hlt");
}

void reset(void) {
  out8(kResetPort, 0x06);
}

static void apic_write(u64 at, u32 value) {
  write32(kLocalApic + at, value);
}

static void apic_init(void) {
  apic_write(0x80, 0);
  apic_write(kApicSpurious, 0x100 | kSpuriousVector);
}

void interrupts_init(void) {
  out8(kPicCommand1, 0x11);
  out8(kPicData1, kPicBase);
  out8(kPicData1, 4);
  out8(kPicData1, 1);
  out8(kPicCommand2, 0x11);
  out8(kPicData2, kPicBase + 8);
  out8(kPicData2, 2);
  out8(kPicData2, 1);
  out8(kPicData1, 0xee);  // the PIT and COM1
  out8(kPicData2, 0xff);
  apic_init();
  apic_write(0x350, 0x700);  // LINT0: the PIC
}

void device_listen(void) {
  out8(kPicData1, 0xee & ~(1 << kDeviceLine));
}

void irq_on(void) {
  __asm__ volatile("sti; nop" : : : "memory");
}
void irq_off(void) {
  __asm__ volatile("cli" : : : "memory");
}
void idle(void) {
  __asm__ volatile("sti; hlt; cli" : : : "memory");
}

void timer_arm(u64 microseconds) {
  u64 count = microseconds * kPitHz / 1000000;
  if (count == 0) count = 1;
  if (count > 0xffff) count = 0xffff;
  out8(kPitCommand, 0x30);
  out8(kPitChannel0, (u8)count);
  out8(kPitChannel0, (u8)(count >> 8));
}

int timer_pending(void) {
  out8(kPicCommand1, 0x0a);
  return in8(kPicCommand1) & 1;
}

void send_ipi_to_self(void) {
  apic_write(kApicIcr + 0x10, 0);
  apic_write(kApicIcr, 0x40000 | kIpiVector);
}

extern u8 cpu_entry_end[];

static void send_to(u64 cpu, u32 command) {
  apic_write(kApicIcr + 0x10, (u32)cpu << 24);
  apic_write(kApicIcr, command);
  while (read32(kLocalApic + kApicIcr) & 1 << 12) {
  }
}

void send_ipi(u64 cpu) {
  send_to(cpu, kIpiVector);
}

void send_ipi_to_others(u64 me) {
  (void)me;
  apic_write(kApicIcr, 0xc0000 | kIpiVector);
}

static void cpuid(u32 leaf, u32 level, u32* registers) {
  __asm__ volatile("cpuid"
                   : "=a"(registers[0]), "=b"(registers[1]), "=c"(registers[2]), "=d"(registers[3])
                   : "a"(leaf), "c"(level)
                   : "memory");
}

u64 cpu_count(void) {
  u32 registers[4];
  cpuid(0xb, 1, registers);
  return registers[1];
}

static volatile u8 cpu_is_off[256];

// One after another: they have one place to find their stacks.
u64 start_cpu(u64 cpu, u64 stack) {
  enum : u64 { kTrampoline = 0x8000 };
  const u8* const code = (const u8*)cpu_entry;
  for (u64 i = 0; code + i < cpu_entry_end; ++i) write8(kTrampoline + i, code[i]);
  u64 cr3;
  __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
  write64(kTrampoline + 0xf00, cr3);
  write64(kTrampoline + 0xf08, stack);
  cpu_is_off[cpu] = 0;
  apic_write(kApicSpurious, 0x100 | kSpuriousVector);
  send_to(cpu, 0xc500);  // INIT
  send_to(cpu, 0x8500);
  send_to(cpu, 0x0600 | kTrampoline >> 12);  // start-up
  send_to(cpu, 0x0600 | kTrampoline >> 12);
  while (read64(kTrampoline + 0xf08) != 0) {
  }
  return 0;
}

void cpu_init(void) {
  cpu_traps_init();
  apic_init();
}

void stop_this_cpu(void) {
  u32 registers[4];
  cpuid(1, 0, registers);
  cpu_is_off[registers[1] >> 24] = 1;
  for (;;) __asm__ volatile("cli; hlt");
}
int cpu_is_on(u64 cpu) {
  return cpu_is_off[cpu] == 0;
}

u64 hypercall4(u64 number, u64 first, u64 second, u64 third, u64 fourth) {
  u64 result = number;
  __asm__ volatile("vmmcall"
                   : "+a"(result)
                   : "D"(first), "S"(second), "d"(third), "c"(fourth)
                   : "memory", "r8", "r9", "r10", "r11");
  return result;
}

u64 hypercall(u64 number, u64 first, u64 second, u64 third) {
  return hypercall4(number, first, second, third, 0);
}

void context_sync(void) {
  u32 registers[4];
  cpuid(0, 0, registers);
}

void sync_code(u64 at, u64 bytes) {
  (void)at;
  (void)bytes;
  context_sync();
}

void tell_of_code(void) {}
int can_flush_everywhere(void) {
  return 0;
}
void flush_tlb_page_everywhere(u64 va) {
  flush_tlb_page(va);
}

void flush_tlb_page(u64 va) {
  __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

u64 table_entry(u64 table) {
  return table | 0x7;
}

u64 page_entry(u64 pa, u64 access) {
  return pa | 0x61 | (access & kWrite ? 2 : 0) | (access & kUser ? 4 : 0) |
         (access & kExecute ? 0 : 1ul << 63);
}

u64 block_entry(u64 pa) {
  return pa | 0xe3 | (pa >= 0xc0000000 ? 0x10 : 0);
}
int is_valid_entry(u64 entry) {
  return (int)(entry & 1);
}
u64 address_in_entry(u64 entry) {
  return entry & 0x000ffffffffff000;
}

void use_tables(u64 root) {
  write_msr(0xc0000080, read_msr(0xc0000080) | 1 << 11);  // EFER.NXE
  u64 cr0;
  __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
  __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 | 1 << 16));  // WP
  __asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

int handle_interrupt(struct trap_frame* frame) {
  if (frame->vector < kPicBase || frame->vector >= 0x80) {
    if (frame->vector != kSpuriousVector) return 0;
    ++strange_interrupts;
    return 1;
  }
  if (frame->vector == kPicBase) {
    ++timer_ticks;
    out8(kPicCommand1, 0x20);
  } else if (frame->vector == kPicBase + 4) {
    while (in8(kCom1 + 5) & 1) {
      input_byte = (char)in8(kCom1);
      ++input_count;
    }
    out8(kPicCommand1, 0x20);
  } else if (frame->vector == kPicBase + kDeviceLine) {
    device_interrupt();
    out8(kPicCommand1, 0x20);
  } else if (frame->vector == kIpiVector) {
    ipi_interrupt();
    apic_write(kApicEoi, 0);
  } else {
    ++strange_interrupts;
    out8(kPicCommand1, 0x20);
  }
  return 1;
}
