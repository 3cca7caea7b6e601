// What each machine has of system registers.
#pragma once

#include "guest.h"

void known_registers(void);
void unknown_registers(void);
void from_user_mode(void);
