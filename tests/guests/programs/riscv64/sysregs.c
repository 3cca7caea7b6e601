// CSRs of riscv64.
#include "programs/sysregs.h"

// 0x5c0 and 0x5c1 (custom, supervisor): a device of ours.
#define SCRATCH_0 "0x5c0"
#define SCRATCH_1 "0x5c1"

static u64 read_unknown(u64 argument) {
  return argument + READ_CSR("0x5ff");
}
static u64 write_unknown(u64 argument) {
  WRITE_CSR("0x5ff", argument);
  return 0;
}
static u64 read_machine(u64 argument) {
  return argument + READ_CSR("mhartid");
}
static u64 read_hypervisor(u64 argument) {
  return argument + READ_CSR("0x600");
}
static u64 write_read_only(u64 argument) {
  WRITE_CSR("0xc01", argument);  // time
  return 0;
}
static u64 invalid_opcode(u64 argument) {
  __asm__ volatile("unimp");
  return argument;
}
static u64 breakpoint(u64 argument) {
  __asm__ volatile("ebreak");
  return argument;
}

void known_registers(void) {
  WRITE_CSR("scause", 7);
  check("scause", READ_CSR("scause"), 7);
  WRITE_CSR("sepc", 0x12345678);
  check("sepc", READ_CSR("sepc"), 0x12345678);
  check("satp: Sv39", READ_CSR("satp") >> 60, 8);
  const u64 satp = READ_CSR("satp");
  WRITE_CSR("satp", 3ul << 60);
  check("satp: an unknown mode changes nothing", READ_CSR("satp"), satp);
  const u64 first = READ_CSR("time");
  for (volatile int i = 0; i < 1000; ++i) {
  }
  check_true("time grows", READ_CSR("time") > first);
  const u64 retired = READ_CSR("instret");
  check("instret counts one", READ_CSR("instret") - retired, 1);
  WRITE_CSR(SCRATCH_0, 0xfedcba9876543210);
  check("a CSR of a device", READ_CSR(SCRATCH_0), 0xfedcba9876543210);
  u64 old;
  __asm__ volatile("csrrs %0, " SCRATCH_0 ", %1" : "=r"(old) : "r"(0xful));
  check("csrrs gives the old value", old, 0xfedcba9876543210);
  check("csrrs sets", READ_CSR(SCRATCH_0), 0xfedcba987654321f);
  __asm__ volatile("csrrci %0, " SCRATCH_0 ", 3" : "=r"(old));
  check("csrrci clears", READ_CSR(SCRATCH_0), 0xfedcba987654321c);
  __asm__ volatile("csrrwi zero, " SCRATCH_1 ", 9");
  check("csrrwi writes", READ_CSR(SCRATCH_1), 9);
}

void unknown_registers(void) {
  check("read of an unknown CSR", trap_of(read_unknown, 0), kUndefined);
  check("write of an unknown CSR", trap_of(write_unknown, 0), kUndefined);
  check("read of a machine CSR", trap_of(read_machine, 0), kUndefined);
  check("read of hstatus", trap_of(read_hypervisor, 0), kUndefined);
  check("write of a read-only CSR", trap_of(write_read_only, 0), kUndefined);
  check("unimp", trap_of(invalid_opcode, 0), kUndefined);
  check("ebreak", trap_of(breakpoint, 0), kBreakpoint);
}

USER_CODE static u64 user_sstatus(u64 argument) {
  return argument + READ_CSR("sstatus");
}
USER_CODE static u64 user_unknown(u64 argument) {
  return argument + READ_CSR("0x5ff");
}
USER_CODE static u64 user_satp(u64 argument) {
  WRITE_CSR("satp", argument);
  return argument;
}
USER_CODE static u64 user_sret(u64 argument) {
  __asm__ volatile("sret");
  return argument;
}
USER_CODE static u64 user_fence(u64 argument) {
  __asm__ volatile("sfence.vma");
  return argument;
}
USER_CODE static u64 user_ebreak(u64 argument) {
  __asm__ volatile("ebreak");
  return argument;
}

static void user_trap(const char* name, u64 (*function)(u64), u64 kind) {
  in_user_mode(function, 0);
  check(name, last_trap.kind, kind);
}

void from_user_mode(void) {
  user_trap("user mode: sstatus", user_sstatus, kUndefined);
  user_trap("user mode: an unknown CSR", user_unknown, kUndefined);
  user_trap("user mode: satp", user_satp, kUndefined);
  user_trap("user mode: sret", user_sret, kUndefined);
  user_trap("user mode: sfence.vma", user_fence, kUndefined);
  user_trap("user mode: ebreak", user_ebreak, kBreakpoint);
}
