// The forms of MMIO that only one machine has.
#pragma once

#include "guest.h"

void mmio_prepare(void);
void mmio_forms(void);
u64 unaligned_read64(u64 at);
void unaligned_write64(u64 at, u64 value);
