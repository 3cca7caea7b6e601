// Output, checks and traps: the same for all machines.
#include "guest.h"

struct trap last_trap;
u64 system_calls;
u64 escape_stack;
volatile u64 timer_ticks;
volatile u64 ipi_count;
void (*ipi_handler)(void);
volatile u64 input_count;
volatile char input_byte;
volatile u64 device_count;
void (*device_handler)(void);
volatile u64 strange_interrupts;

void* memset(void* to, int byte, u64 bytes);
void* memcpy(void* to, const void* from, u64 bytes);

void* memset(void* to, int byte, u64 bytes) {
  volatile u8* at = to;
  for (u64 i = 0; i < bytes; ++i) at[i] = (u8)byte;
  return to;
}

void* memcpy(void* to, const void* from, u64 bytes) {
  volatile u8* at = to;
  const u8* source = from;
  for (u64 i = 0; i < bytes; ++i) at[i] = source[i];
  return to;
}

void put_char(char byte) {
  console_put(byte);
}

void put(const char* text) {
  while (*text) put_char(*text++);
}

void put_hex(u64 value) {
  int shift = 60;
  while (shift > 0 && (value >> shift) == 0) shift -= 4;
  put("0x");
  for (; shift >= 0; shift -= 4) {
    const u64 digit = (value >> shift) & 15;
    put_char((char)(digit < 10 ? '0' + digit : 'a' + digit - 10));
  }
}

void put_decimal(u64 value) {
  if (value >= 10) put_decimal(value / 10);
  put_char((char)('0' + value % 10));
}

void check(const char* name, u64 got, u64 want) {
  put(got == want ? "ok " : "FAIL ");
  put(name);
  if (got != want) {
    put(": got ");
    put_hex(got);
    put(" want ");
    put_hex(want);
  }
  put_char('\n');
}

void check_true(const char* name, int condition) {
  check(name, condition != 0, 1);
}

void check_fault(const char* name, u64 kind, u64 access, u64 address) {
  if (last_trap.kind == kind && last_trap.access == access && last_trap.address == address) {
    put("ok ");
    put(name);
    put_char('\n');
    return;
  }
  put("FAIL ");
  put(name);
  put(": got kind ");
  put_decimal(last_trap.kind);
  put(" access ");
  put_decimal(last_trap.access);
  put(" address ");
  put_hex(last_trap.address);
  put(" code ");
  put_hex(last_trap.code);
  put(" pc ");
  put_hex(last_trap.pc);
  put(" want kind ");
  put_decimal(kind);
  put(" access ");
  put_decimal(access);
  put(" address ");
  put_hex(address);
  put_char('\n');
}

u64 guarded(u64 (*function)(u64), u64 argument) {
  last_trap.kind = kNoTrap;
  const u64 result = guarded_call(function, argument);
  escape_stack = 0;
  return result;
}

u64 trap_of(u64 (*function)(u64), u64 argument) {
  guarded(function, argument);
  return last_trap.kind;
}

static void answer_system_call(struct trap_frame* frame) {
  u64 number = 0;
  u64 argument = 0;
  frame_system_call(frame, &number, &argument);
  ++system_calls;
  switch (number) {
    case kSysExit: frame_escape(frame, argument); break;
    case kSysAdd:  frame_return(frame, argument + 1); break;
    case kSysPut:
      put_char((char)argument);
      frame_return(frame, 0);
      break;
    default: frame_return(frame, (u64)-38); break;
  }
}

/// Called by start.S for everything that reaches a vector.
void on_trap(struct trap_frame* frame) {
  if (handle_interrupt(frame)) return;
  struct trap trap = {0};
  describe_trap(frame, &trap);
  if (trap.kind == kSystemCall) {
    answer_system_call(frame);
    return;
  }
  if (escape_stack) {
    last_trap = trap;
    frame_escape(frame, kTrapped);
    return;
  }
  put("FAIL unexpected trap: kind ");
  put_decimal(trap.kind);
  put(" code ");
  put_hex(trap.code);
  put(" address ");
  put_hex(trap.address);
  put(" pc ");
  put_hex(trap.pc);
  put_char('\n');
  power_off();
}

void device_interrupt(void) {
  ++device_count;
  if (device_handler) device_handler();
}

void ipi_interrupt(void) {
  __atomic_fetch_add(&ipi_count, 1, __ATOMIC_RELAXED);
  if (ipi_handler) ipi_handler();
}

/// For programs that have one CPU.
__attribute__((weak)) void cpu_main(void) {
  stop_this_cpu();
}

[[noreturn]] void start_guest(void) {
  traps_init();
  guest_main();
  power_off();
}
