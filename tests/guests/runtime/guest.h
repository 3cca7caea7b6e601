// What every built-in guest can use: output, checks, traps, paging, and the machine under it.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long s64;

// Where the scenarios put what is not part of the standard board (tests/scenarios/places.h).
enum : u64 {
  kReadOnlyBase = 0xc0000000,   // RAM that the guest may read and execute, 64 KiB
  kNoExecuteBase = 0xc0100000,  // RAM that the guest may read and write, 64 KiB
  kOtherNameBase = 0xc0200000,  // the page at kNoExecuteBase again, read and execute, 4 KiB
  kScratchBase = 0xd0000000,    // a device that remembers what is written, 8 KiB
  kNothingBase = 0xe0000000,    // nobody answers here
};

// The transcript.
void put_char(char byte);
void put(const char* text);
void put_hex(u64 value);
void put_decimal(u64 value);
/// Prints "ok name", or "FAIL name: got x want y".
void check(const char* name, u64 got, u64 want);
/// The same for a condition whose values mean nothing to the reader.
void check_true(const char* name, int condition);

/// Memory that nobody touches before the program does.
#define FRESH __attribute__((section(".noinit"), aligned(4096)))

/// What a program does; the machine powers off when it returns.
void guest_main(void);

enum trap_kind : u64 {
  kNoTrap,
  kPageFault,
  kUndefined,   // #UD, UNDEF, illegal instruction
  kProtection,  // #GP
  kBusError,    // #MC, external abort, access fault
  kSystemCall,
  kBreakpoint,
  kFpuDisabled,
  kFpuError,
  kAlignment,
  kDivideError,
  kOtherTrap,
};

enum : u64 { kRead = 1, kWrite = 2, kExecute = 4, kUser = 8 };

struct trap {
  u64 kind;
  u64 access;   // kRead, kWrite or kExecute, and kUser: page faults and bus errors
  u64 address;  // page faults and bus errors
  u64 pc;
  u64 code;  // vector, ESR or cause, as the machine gives it
};

/// The latest trap that ended guarded() or in_user_mode().
extern struct trap last_trap;

/// What guarded() gives when its function did not return.
enum : u64 { kTrapped = 0x7472617070656421 };

/// Calls function(argument); a trap on the way ends it and is in last_trap.
u64 guarded(u64 (*function)(u64), u64 argument);
/// guarded(), and then the kind of trap (kNoTrap: none).
u64 trap_of(u64 (*function)(u64), u64 argument);

/// Checks kind, access and address of the latest trap under one name.
void check_fault(const char* name, u64 kind, u64 access, u64 address);

// User mode. What runs there is marked USER_CODE or USER_DATA; paging_enable() gives it the
// addresses from kUserBase on.
#define USER_CODE __attribute__((section(".user.text"), noinline, used))
#define USER_DATA __attribute__((section(".user.data"), used))
enum : u64 { kUserBase = 0x2000000000, kTestBase = 0x1000000000, kPage = 4096 };
enum : u64 { kSysExit = 0, kSysAdd = 1, kSysPut = 2 };

/// Runs a USER_CODE function in user mode until it returns, makes a kSysExit, or traps.
u64 in_user_mode(u64 (*function)(u64), u64 argument);
/// Where user mode finds a USER_CODE or USER_DATA object.
u64 user_address(const void* object);
/// How many system calls were answered.
extern u64 system_calls;

// Stage 1. The first 4 GiB are mapped to themselves, for the kernel only.
void paging_enable(void);
/// For a CPU that was started when paging was on.
void paging_join(void);
/// `access` of kRead, kWrite, kExecute, kUser.
void map_page(u64 va, u64 pa, u64 access);
void unmap_page(u64 va);
/// A zeroed page of RAM that nobody else has.
u64 new_page(void);

// Interrupts: counted, nothing else.
extern volatile u64 timer_ticks;
extern volatile u64 ipi_count;
/// Called for each interrupt that a CPU sends. May be null.
extern void (*ipi_handler)(void);
extern volatile u64 input_count;
extern volatile char input_byte;
extern volatile u64 device_count;
/// Acknowledges the device at kDeviceLine; called for each of its interrupts. May be null.
extern void (*device_handler)(void);
extern volatile u64 strange_interrupts;

#include "platform.h"

static inline void write8(u64 at, u8 value) {
  *(volatile u8*)at = value;
}
static inline void write16(u64 at, u16 value) {
  *(volatile u16*)at = value;
}
static inline void write32(u64 at, u32 value) {
  *(volatile u32*)at = value;
}
static inline void write64(u64 at, u64 value) {
  *(volatile u64*)at = value;
}
static inline u8 read8(u64 at) {
  return *(volatile u8*)at;
}
static inline u16 read16(u64 at) {
  return *(volatile u16*)at;
}
static inline u32 read32(u64 at) {
  return *(volatile u32*)at;
}
static inline u64 read64(u64 at) {
  return *(volatile u64*)at;
}
