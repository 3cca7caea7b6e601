// What a trap frame of riscv64 means (privileged specification, 10.1.8 scause).
#include "riscv64/traps.h"

extern u8 trap_vector[];

void traps_init(void) {
  WRITE_CSR("stvec", trap_vector);
}

void describe_trap(const struct trap_frame* frame, struct trap* trap) {
  static const u8 kinds[16] = {kAlignment,  kBusError,  kUndefined, kBreakpoint,
                               kAlignment,  kBusError,  kAlignment, kBusError,
                               kSystemCall, kOtherTrap, kOtherTrap, kOtherTrap,
                               kPageFault,  kPageFault, kOtherTrap, kPageFault};
  static const u8 accesses[16] = {kExecute, kExecute, 0, 0, kRead,    kRead, kWrite, kWrite,
                                  0,        0,        0, 0, kExecute, kRead, 0,      kWrite};
  const u64 cause = READ_CSR("scause");
  trap->kind = cause < 16 ? kinds[cause] : kOtherTrap;
  trap->pc = frame->x[0];
  trap->code = cause;
  if (trap->kind != kPageFault && trap->kind != kBusError) return;
  trap->address = READ_CSR("stval");
  trap->access = accesses[cause];
  if (!(frame->sstatus & 0x100)) trap->access |= kUser;
}

void frame_escape(struct trap_frame* frame, u64 value) {
  frame->x[0] = (u64)guarded_escape;
  frame->x[2] = escape_stack;
  frame->x[10] = value;
  frame->sstatus = (frame->sstatus | 0x100) & ~0x20ul;
}

void frame_system_call(const struct trap_frame* frame, u64* number, u64* argument) {
  *number = frame->x[17];
  *argument = frame->x[10];
}

void frame_return(struct trap_frame* frame, u64 value) {
  frame->x[0] += 4;
  frame->x[10] = value;
}

void take_interrupt(u64 cause);

int handle_interrupt(struct trap_frame* frame) {
  (void)frame;
  const u64 cause = READ_CSR("scause");
  if (!(cause >> 63)) return 0;
  take_interrupt(cause & 0xff);
  return 1;
}
