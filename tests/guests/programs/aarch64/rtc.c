// PL031 (DDI 0224C), SPI 2.
#include "programs/rtc.h"

enum : u64 {
  kData = 0x09010000,
  kMatch = kData + 0x04,
  kMask = kData + 0x10,
  kMasked = kData + 0x18,
  kClear = kData + 0x1c,
  kGicd = 0x08000000,
};
enum : u32 { kClockIntid = 34 };

static void ring(void) {
  clock_rings += read32(kMasked);
  write32(kClear, 1);
}

u64 clock_seconds(void) {
  return read32(kData);
}

void clock_listen(void) {
  device_handler = ring;
  write8(kGicd + 0x400 + kClockIntid, 0xa0);
  write64(kGicd + 0x6000 + 8 * kClockIntid, 0);
  write32(kGicd + 0x104, 1u << (kClockIntid - 32));
}

void clock_set_alarm(u64 seconds, int loud) {
  write32(kMatch, (u32)seconds);
  write32(kClear, 1);
  write32(kMask, loud ? 1 : 0);
}
