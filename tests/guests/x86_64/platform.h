// The x86_64 board as a guest sees it.
#pragma once

#define TABLE_LEVELS 4
#define RETURN_ADDRESS_ON_STACK 1

#include "../runtime/machine.h"

// The trap that memory causes where nothing is: trap_kind.
enum : u64 { kLoadOfNothing = 4, kCodeOfNothing = 4 };
enum : u64 { kScratchPort = 0x2000 };  // a device of ours, 16 ports
enum : u64 { kUserCode = 0x2b, kUserData = 0x23 };

static inline void out8(u16 port, u8 value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline void out16(u16 port, u16 value) {
  __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
static inline void out32(u16 port, u32 value) {
  __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
static inline u8 in8(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline u16 in16(u16 port) {
  u16 value;
  __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline u32 in32(u16 port) {
  u32 value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline u64 read_msr(u32 number) {
  u32 low;
  u32 high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return low | (u64)high << 32;
}
static inline void write_msr(u32 number, u64 value) {
  __asm__ volatile("wrmsr" : : "c"(number), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline void memory_barrier(void) {
  __asm__ volatile("mfence" : : : "memory");
}

/// A system call; only for USER_CODE.
__attribute__((always_inline)) static inline u64 system_call(u64 number, u64 argument) {
  u64 result = number;
  __asm__ volatile("syscall" : "+a"(result) : "D"(argument) : "rcx", "r11", "memory");
  return result;
}
