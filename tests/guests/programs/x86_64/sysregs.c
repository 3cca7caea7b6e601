// MSRs, control registers and CPUID.
#include "programs/sysregs.h"

enum : u32 { kScratchMsr = 0x4b560000 };  // a device of ours, 16 registers

static u64 read_any(u64 number) {
  return read_msr((u32)number);
}
static u64 write_any(u64 number) {
  write_msr((u32)number, 1);
  return 0;
}
static u64 set_in_efer(u64 bits) {
  write_msr(0xc0000080, read_msr(0xc0000080) | bits);
  return 0;
}
static u64 set_in_cr4(u64 bits) {
  u64 cr4;
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | bits));
  return 0;
}
static u64 invalid_opcode(u64 argument) {
  __asm__ volatile("ud2");
  return argument;
}
static u64 software_interrupt(u64 argument) {
  __asm__ volatile("int3");
  return argument;
}
static u64 divide(u64 by) {
  u64 high = 0;
  u64 low = 1;
  __asm__ volatile("divq %2" : "+a"(low), "+d"(high) : "r"(by) : "cc");
  return low;
}
static u64 non_canonical(u64 at) {
  return read64(at);
}

void known_registers(void) {
  write_msr(0xc0000102, 0x123456789abcdef0 >> 17);
  check("KERNEL_GS_BASE keeps 64 bits", read_msr(0xc0000102), 0x123456789abcdef0 >> 17);
  write_msr(0xc0000100, 0x1000);
  check("FS_BASE", read_msr(0xc0000100), 0x1000);
  check("EFER: long mode is active", read_msr(0xc0000080) & 0x500, 0x500);
  write_msr(kScratchMsr, 0xfedcba9876543210);
  check("an MSR of a device: both halves", read_msr(kScratchMsr), 0xfedcba9876543210);
  write_msr(kScratchMsr + 1, 0x0000000180000000);
  check("an MSR of a device: the next one", read_msr(kScratchMsr + 1), 0x0000000180000000);
  u32 a = 0;
  u32 b;
  u32 c;
  u32 d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
  check_true("CPUID: there is a leaf 1", a >= 1);
  a = 1;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
  check("CPUID: a hypervisor is present", c >> 31, 1);
  u64 first;
  u64 second;
  __asm__ volatile("rdtsc; shlq $32, %%rdx; orq %%rdx, %%rax" : "=a"(first) : : "rdx");
  __asm__ volatile("rdtsc; shlq $32, %%rdx; orq %%rdx, %%rax" : "=a"(second) : : "rdx");
  check_true("the time stamp grows", second > first && second - first < 1000000);
}

void unknown_registers(void) {
  check("read of an unknown MSR", trap_of(read_any, 0x12345678), kProtection);
  check("write of an unknown MSR", trap_of(write_any, 0x12345678), kProtection);
  check("write of a reserved bit of EFER", trap_of(set_in_efer, 1ul << 40), kProtection);
  check("write of a reserved bit of CR4", trap_of(set_in_cr4, 1ul << 40), kProtection);
  check("ud2", trap_of(invalid_opcode, 0), kUndefined);
  check("int3", trap_of(software_interrupt, 0), kBreakpoint);
  check("a division by zero", trap_of(divide, 0), kDivideError);
  check("a non-canonical address", trap_of(non_canonical, 0x8000000000000000), kProtection);
}

USER_CODE static u64 user_rdmsr(u64 number) {
  u32 low;
  u32 high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return low;
}
USER_CODE static u64 user_cr3(u64 argument) {
  __asm__ volatile("mov %%cr3, %0" : "=r"(argument));
  return argument;
}
USER_CODE static u64 user_hlt(u64 argument) {
  __asm__ volatile("hlt");
  return argument;
}
USER_CODE static u64 user_in(u64 port) {
  u8 value;
  __asm__ volatile("inb %%dx, %0" : "=a"(value) : "d"(port));
  return value;
}
USER_CODE static u64 user_out(u64 port) {
  __asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(port));
  return 0;
}
USER_CODE static u64 user_cli(u64 argument) {
  __asm__ volatile("cli");
  return argument;
}
USER_CODE static u64 user_ud2(u64 argument) {
  __asm__ volatile("ud2");
  return argument;
}
USER_CODE static u64 user_gate(u64 argument) {
  u64 result = kSysAdd;
  __asm__ volatile("int $0x80" : "+a"(result) : "D"(argument) : "memory");
  return result;
}
USER_CODE static u64 user_closed_gate(u64 argument) {
  __asm__ volatile("int $0x21");
  return argument;
}

static void user_trap(const char* name, u64 (*function)(u64), u64 argument, u64 kind) {
  in_user_mode(function, argument);
  check(name, last_trap.kind, kind);
}

void from_user_mode(void) {
  user_trap("user mode: rdmsr", user_rdmsr, 0xc0000080, kProtection);
  user_trap("user mode: mov from cr3", user_cr3, 0, kProtection);
  user_trap("user mode: hlt", user_hlt, 0, kProtection);
  user_trap("user mode: in", user_in, 0x3fd, kProtection);
  user_trap("user mode: out", user_out, 0x80, kProtection);
  user_trap("user mode: cli", user_cli, 0, kProtection);
  user_trap("user mode: ud2", user_ud2, 0, kUndefined);
  check("user mode: int 0x80", in_user_mode(user_gate, 7), 8);
  user_trap("user mode: a gate that is closed", user_closed_gate, 0, kProtection);
}
