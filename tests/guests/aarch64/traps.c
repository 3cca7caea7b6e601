// What a trap frame of aarch64 means (DDI 0487, D24.2.37 ESR_EL1).
#include "aarch64/traps.h"

extern u8 vectors[];

enum : u64 { kVectorIrq = 1 };

void traps_init(void) {
  WRITE_SYSTEM_REGISTER("vbar_el1", vectors);
  __asm__ volatile("isb");
}

static u64 kind_of_abort(u64 esr) {
  const u64 status = esr & 0x3f;
  if (status >= 0x04 && status <= 0x0f) return kPageFault;
  if (status >= 0x10 && status <= 0x17) return kBusError;
  return status == 0x21 ? kAlignment : kOtherTrap;
}

static u64 kind_of(u64 esr) {
  switch (esr >> 26 & 0x3f) {
    case 0x00:
    case 0x18: return kUndefined;
    case 0x07: return kFpuDisabled;
    case 0x15: return kSystemCall;
    case 0x20:
    case 0x21:
    case 0x24:
    case 0x25: return kind_of_abort(esr);
    case 0x22:
    case 0x26: return kAlignment;
    case 0x2c: return kFpuError;
    case 0x2f: return kBusError;
    case 0x3c: return kBreakpoint;
    default:   return kOtherTrap;
  }
}

void describe_trap(const struct trap_frame* frame, struct trap* trap) {
  const u64 esr = READ_SYSTEM_REGISTER("esr_el1");
  trap->kind = kind_of(esr);
  trap->pc = frame->elr;
  trap->code = esr;
  if (trap->kind != kPageFault && trap->kind != kBusError) return;
  trap->address = READ_SYSTEM_REGISTER("far_el1");
  const u64 group = esr >> 26 & 0x3e;
  trap->access = group == 0x20 ? kExecute : esr & 1 << 6 ? kWrite : kRead;
  if ((esr >> 26 & 1) == 0) trap->access |= kUser;
}

void frame_escape(struct trap_frame* frame, u64 value) {
  frame->elr = (u64)guarded_escape;
  frame->spsr = 0x3c5;
  frame->x[0] = value;
  frame->x[1] = escape_stack;
}

void frame_system_call(const struct trap_frame* frame, u64* number, u64* argument) {
  *number = frame->x[8];
  *argument = frame->x[0];
}

void frame_return(struct trap_frame* frame, u64 value) {
  frame->x[0] = value;
}

void take_interrupt(void);

int handle_interrupt(struct trap_frame* frame) {
  if ((frame->vector & 3) != kVectorIrq) return 0;
  take_interrupt();
  return 1;
}
