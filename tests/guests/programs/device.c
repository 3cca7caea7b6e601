// Reads a number from a device, and gives it twice that.
#include "guest.h"

void guest_main(void) {
  const u32 number = read32(kScratchBase);
  put("the device gives ");
  put_decimal(number);
  put_char('\n');
  write32(kScratchBase + 4, 2 * number);
}
