// The frame that start.S builds.
#pragma once

#include "guest.h"

struct trap_frame {
  u64 x[32];  // x[0] is sepc
  u64 sstatus;
  u64 reserved;
};
