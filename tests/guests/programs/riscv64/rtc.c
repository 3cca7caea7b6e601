// Goldfish RTC, source 13.
#include "programs/rtc.h"

enum : u64 {
  kTimeLow = 0x101000,
  kTimeHigh = kTimeLow + 0x04,
  kAlarmLow = kTimeLow + 0x08,
  kAlarmHigh = kTimeLow + 0x0c,
  kIrqEnabled = kTimeLow + 0x10,
  kClearInterrupt = kTimeLow + 0x1c,
  kPlic = 0x0c000000,
  kNsPerSecond = 1000000000,
};
enum : u32 { kClockSource = 13 };

static void ring(void) {
  ++clock_rings;
  write32(kClearInterrupt, 1);
}

u64 clock_seconds(void) {
  const u64 low = read32(kTimeLow);
  return ((u64)read32(kTimeHigh) << 32 | low) / kNsPerSecond;
}

void clock_listen(void) {
  device_handler = ring;
  write32(kPlic + 4 * kClockSource, 1);
  write32(kPlic + 0x2000, read32(kPlic + 0x2000) | 1u << kClockSource);
}

void clock_set_alarm(u64 seconds, int loud) {
  const u64 ns = seconds * kNsPerSecond;
  write32(kIrqEnabled, 0);
  write32(kAlarmHigh, (u32)(ns >> 32));
  write32(kAlarmLow, (u32)ns);
  write32(kClearInterrupt, 1);
  write32(kIrqEnabled, loud ? 1 : 0);
}
