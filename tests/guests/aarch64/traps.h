// The frame that start.S builds.
#pragma once

#include "guest.h"

struct trap_frame {
  u64 x[31];
  u64 sp_el0;
  u64 elr;
  u64 spsr;
  u64 vector;  // 0 to 15, in the order of the vector table
  u64 reserved;
};
