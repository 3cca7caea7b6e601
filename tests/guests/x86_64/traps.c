// GDT, IDT, TSS, and what a trap frame of x86_64 means.
#include "x86_64/traps.h"

struct table_register {
  u16 limit;
  u64 base;
} __attribute__((packed));

struct task_state {
  u32 reserved0;
  u64 stacks[3];
  u64 reserved1;
  u64 interrupt_stacks[7];
  u64 reserved2;
  u16 reserved3;
  u16 io_map;
} __attribute__((packed));

struct gate interrupt_table[256];
extern u8 vector_stubs[];
extern u8 syscall_entry[];
extern u8 kernel_stack[];

static u64 descriptors[8] = {
    0,
    0,
    0x00af9b000000ffff,  // 0x10 kernel code
    0x00cf93000000ffff,  // 0x18 kernel data
    0x00cff3000000ffff,  // 0x20 user data
    0x00affb000000ffff,  // 0x28 user code
};
static struct task_state task;
static u8 trap_stack[0x4000] __attribute__((aligned(16)));

static void load_descriptors(void) {
  const struct table_register table = {sizeof descriptors - 1, (u64)descriptors};
  __asm__ volatile(
      "lgdt %0\n"
      "pushq $0x10\n"
      "leaq 1f(%%rip), %%rax\n"
      "pushq %%rax\n"
      "lretq\n"
      "1: movl $0x18, %%eax\n"
      "movl %%eax, %%ds\n"
      "movl %%eax, %%es\n"
      "movl %%eax, %%ss\n"
      :
      : "m"(table)
      : "rax", "memory");
}

/// Handlers run on the stack of what they interrupt: only the CPU that has a user mode needs a TSS.
static void load_task(void) {
  const u64 base = (u64)&task;
  descriptors[6] =
      (sizeof task - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
  descriptors[7] = base >> 32;
  task.stacks[0] = (u64)trap_stack + sizeof trap_stack;
  task.io_map = sizeof task;
  __asm__ volatile("ltr %0" : : "r"((u16)0x30) : "memory");
}

static void load_vectors(void) {
  const struct table_register table = {sizeof interrupt_table - 1, (u64)interrupt_table};
  __asm__ volatile("lidt %0" : : "m"(table));
  u64 cr4;
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | 1 << 6));  // machine checks
}

void cpu_traps_init(void) {
  load_descriptors();
  load_vectors();
}

void traps_init(void) {
  load_descriptors();
  load_task();
  for (u64 vector = 0; vector < 256; ++vector) {
    const u64 stub = (u64)vector_stubs + 16 * vector;
    const u8 type = vector == 3 || vector == kSystemCallGate ? 0xee : 0x8e;
    interrupt_table[vector] =
        (struct gate){(u16)stub, 0x10, 0, type, (u16)(stub >> 16), (u32)(stub >> 32), 0};
  }
  load_vectors();
  write_msr(0xc0000080, read_msr(0xc0000080) | 1);          // EFER.SCE
  write_msr(0xc0000081, 0x10ul << 32 | 0x1bul << 48);       // STAR
  write_msr(0xc0000082, (u64)syscall_entry);                // LSTAR
  write_msr(0xc0000084, 0x700);                             // FMASK
}

static u64 kind_of(u64 vector) {
  switch (vector) {
    case 0:                 return kDivideError;
    case 3:                 return kBreakpoint;
    case 6:                 return kUndefined;
    case 7:                 return kFpuDisabled;
    case 13:                return kProtection;
    case 14:                return kPageFault;
    case 16:
    case 19:                return kFpuError;
    case 17:                return kAlignment;
    case 18:                return kBusError;
    case kSystemCallGate:
    case kSystemCallVector: return kSystemCall;
    default:                return kOtherTrap;
  }
}

void describe_trap(const struct trap_frame* frame, struct trap* trap) {
  trap->kind = kind_of(frame->vector);
  trap->pc = frame->rip;
  trap->code = frame->vector << 32 | frame->error;
  if (trap->kind != kPageFault) return;
  __asm__ volatile("mov %%cr2, %0" : "=r"(trap->address));
  trap->access = frame->error & 16 ? kExecute : frame->error & 2 ? kWrite : kRead;
  if (frame->error & 4) trap->access |= kUser;
}

void frame_escape(struct trap_frame* frame, u64 value) {
  frame->rip = (u64)guarded_escape;
  frame->cs = 0x10;
  frame->ss = 0x18;
  frame->rflags = 2;
  frame->rsp = escape_stack;
  frame->rax = value;
}

void frame_system_call(const struct trap_frame* frame, u64* number, u64* argument) {
  *number = frame->rax;
  *argument = frame->rdi;
}

void frame_return(struct trap_frame* frame, u64 value) {
  frame->rax = value;
}
