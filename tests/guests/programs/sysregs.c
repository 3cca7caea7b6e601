// System registers: known and unknown ones, from kernel and from user mode.
#include "sysregs.h"

void guest_main(void) {
  paging_enable();
  known_registers();
  unknown_registers();
  from_user_mode();
}
