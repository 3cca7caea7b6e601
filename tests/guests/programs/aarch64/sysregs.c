// System registers of aarch64.
#include "programs/sysregs.h"

// S3_3_C15_C12_0 and _1: a device of ours.
#define SCRATCH_0 "s3_3_c15_c12_0"
#define SCRATCH_1 "s3_3_c15_c12_1"

static u64 read_unknown(u64 argument) {
  return argument + READ_SYSTEM_REGISTER("s3_7_c15_c15_7");
}
static u64 write_unknown(u64 argument) {
  WRITE_SYSTEM_REGISTER("s3_7_c15_c15_7", argument);
  return 0;
}
static u64 read_el2(u64 argument) {
  return argument + READ_SYSTEM_REGISTER("hcr_el2");
}
static u64 write_read_only(u64 argument) {
  WRITE_SYSTEM_REGISTER("s3_0_c0_c0_0", argument);  // MIDR_EL1
  return 0;
}
static u64 invalid_opcode(u64 argument) {
  __asm__ volatile("udf #0");
  return argument;
}
static u64 breakpoint(u64 argument) {
  __asm__ volatile("brk #7");
  return argument;
}

void known_registers(void) {
  WRITE_SYSTEM_REGISTER("tpidr_el1", 0x123456789abcdef0);
  check("TPIDR_EL1", READ_SYSTEM_REGISTER("tpidr_el1"), 0x123456789abcdef0);
  WRITE_SYSTEM_REGISTER("contextidr_el1", 0x55);
  check("CONTEXTIDR_EL1", READ_SYSTEM_REGISTER("contextidr_el1"), 0x55);
  check("CurrentEL", READ_SYSTEM_REGISTER("currentel"), 4);
  check("MPIDR_EL1: the first CPU", READ_SYSTEM_REGISTER("mpidr_el1") & 0xff00ffffff, 0);
  check_true("MIDR_EL1 is not zero", READ_SYSTEM_REGISTER("midr_el1") != 0);
  check("ID_AA64PFR0_EL1: a GICv3 interface", READ_SYSTEM_REGISTER("id_aa64pfr0_el1") >> 24 & 15,
        1);
  check_true("ID_AA64MMFR0_EL1: 4 KiB pages",
             (READ_SYSTEM_REGISTER("id_aa64mmfr0_el1") >> 28 & 15) == 0);
  check_true("CNTFRQ_EL0 is set", READ_SYSTEM_REGISTER("cntfrq_el0") != 0);
  const u64 first = READ_SYSTEM_REGISTER("cntvct_el0");
  for (volatile int i = 0; i < 1000; ++i) {
  }
  check_true("CNTVCT_EL0 grows", READ_SYSTEM_REGISTER("cntvct_el0") > first);
  WRITE_SYSTEM_REGISTER(SCRATCH_0, 0xfedcba9876543210);
  check("a register of a device", READ_SYSTEM_REGISTER(SCRATCH_0), 0xfedcba9876543210);
  WRITE_SYSTEM_REGISTER(SCRATCH_1, 0x11);
  check("a register of a device: the next one", READ_SYSTEM_REGISTER(SCRATCH_1), 0x11);
}

void unknown_registers(void) {
  check("read of an unknown register", trap_of(read_unknown, 0), kUndefined);
  check("write of an unknown register", trap_of(write_unknown, 0), kUndefined);
  check("read of an EL2 register", trap_of(read_el2, 0), kUndefined);
  check("write of a read-only register", trap_of(write_read_only, 0), kUndefined);
  check("udf", trap_of(invalid_opcode, 0), kUndefined);
  check("brk", trap_of(breakpoint, 0), kBreakpoint);
  check("brk: its number", last_trap.code & 0xffff, 7);
}

USER_CODE static u64 user_kernel_register(u64 argument) {
  return argument + READ_SYSTEM_REGISTER("sctlr_el1");
}
USER_CODE static u64 user_unknown(u64 argument) {
  return argument + READ_SYSTEM_REGISTER("s3_7_c15_c15_7");
}
USER_CODE static u64 user_scratch(u64 argument) {
  return argument + READ_SYSTEM_REGISTER("icc_iar1_el1");
}
USER_CODE static u64 user_mask(u64 argument) {
  __asm__ volatile("msr daifset, #2");
  return argument;
}
USER_CODE static u64 user_hvc(u64 argument) {
  __asm__ volatile("hvc #0" : "+r"(argument));
  return argument;
}
USER_CODE static u64 user_tpidr(u64 argument) {
  WRITE_SYSTEM_REGISTER("tpidr_el0", argument);
  return READ_SYSTEM_REGISTER("tpidr_el0");
}
USER_CODE static u64 user_brk(u64 argument) {
  __asm__ volatile("brk #9");
  return argument;
}

static void user_trap(const char* name, u64 (*function)(u64), u64 kind) {
  in_user_mode(function, 0);
  check(name, last_trap.kind, kind);
}

void from_user_mode(void) {
  user_trap("user mode: a kernel register", user_kernel_register, kUndefined);
  user_trap("user mode: an unknown register", user_unknown, kUndefined);
  user_trap("user mode: an interrupt register", user_scratch, kUndefined);
  user_trap("user mode: msr daifset", user_mask, kUndefined);
  user_trap("user mode: hvc", user_hvc, kUndefined);
  user_trap("user mode: brk", user_brk, kBreakpoint);
  check("user mode: tpidr_el0", in_user_mode(user_tpidr, 0x77), 0x77);
}
