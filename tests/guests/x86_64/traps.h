// The frame that start.S builds, and the vectors.
#pragma once

#include "guest.h"

enum : u64 { kPicBase = 0x20, kSystemCallVector = 0x100, kSystemCallGate = 0x80 };

struct trap_frame {
  u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  u64 vector, error, rip, cs, rflags, rsp, ss;
};

struct gate {
  u16 offset_low;
  u16 selector;
  u8 stack;
  u8 type;
  u16 offset_middle;
  u32 offset_high;
  u32 reserved;
};

extern struct gate interrupt_table[256];

/// The tables of the CPU that booted, for another one.
void cpu_traps_init(void);
