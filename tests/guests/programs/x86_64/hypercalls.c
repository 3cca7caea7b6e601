// VMMCALL and VMCALL.
#include "programs/hypercalls.h"

static u64 vmcall(u64 number) {
  u64 result = number;
  __asm__ volatile("vmcall" : "+a"(result) : : "memory");
  return result;
}

USER_CODE static u64 user_vmmcall(u64 number) {
  u64 result = number;
  __asm__ volatile("vmmcall" : "+a"(result) : : "memory");
  return result;
}

void firmware_calls(void) {
  check("vmcall means the same", vmcall(0x1234), kUnknownHypercall);
  paging_enable();
  in_user_mode(user_vmmcall, 0x1234);
  check_true("user mode gets no answer from the monitor",
             last_trap.kind == kUndefined || last_trap.kind == kProtection);
}
