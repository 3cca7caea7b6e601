// The real-time clock of each machine.
#pragma once

#include "guest.h"

/// Seconds since 1970.
u64 clock_seconds(void);
/// Counts the interrupts of the clock in clock_rings. After interrupts_init().
void clock_listen(void);
/// Sets the alarm, which interrupts where it is `loud`.
void clock_set_alarm(u64 seconds, int loud);

extern volatile u64 clock_rings;
