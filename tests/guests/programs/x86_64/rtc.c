// MC146818A at ports 0x70 and 0x71, pin 8 of the I/O APIC.
#include "programs/rtc.h"

enum : u16 { kIndex = 0x70, kValue = 0x71 };
enum : u8 {
  kSeconds = 0,
  kSecondsAlarm = 1,
  kMinutes = 2,
  kMinutesAlarm = 3,
  kHours = 4,
  kHoursAlarm = 5,
  kDay = 7,
  kMonth = 8,
  kYear = 9,
  kRegisterB = 11,
  kRegisterC = 12,
  kCentury = 0x32,
};
enum : u64 { kIoApicSelect = 0xfec00000, kIoApicWindow = 0xfec00010, kIpiVector = 0x41 };

static u8 get(u8 index) {
  out8(kIndex, index);
  return in8(kValue);
}
static void set(u8 index, u8 value) {
  out8(kIndex, index);
  out8(kValue, value);
}

static u64 get_decimal(u8 index) {
  const u8 digits = get(index);
  return (u64)(digits >> 4) * 10 + (digits & 15);
}
static void set_decimal(u8 index, u64 value) {
  set(index, (u8)(value / 10 << 4 | value % 10));
}

// Days of the Gregorian calendar, by years that begin in March.
u64 clock_seconds(void) {
  const u64 month = get_decimal(kMonth);
  const u64 year = get_decimal(kCentury) * 100 + get_decimal(kYear) - (month <= 2 ? 1 : 0);
  const u64 day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + get_decimal(kDay) - 1;
  const u64 days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
  return days * 86400 + get_decimal(kHours) * 3600 + get_decimal(kMinutes) * 60 +
         get_decimal(kSeconds);
}

static void ring(void) {
  clock_rings += get(kRegisterC) >> 5 & 1;
}

// The handler of IPIs acknowledges at the local APIC.
void clock_listen(void) {
  ipi_handler = ring;
  write32(kIoApicSelect, 0x21);
  write32(kIoApicWindow, 0);
  write32(kIoApicSelect, 0x20);
  write32(kIoApicWindow, kIpiVector);
}

// By the time of day alone. An edge needs that register C is read before.
void clock_set_alarm(u64 seconds, int loud) {
  set(kRegisterB, 0x02);
  set_decimal(kSecondsAlarm, seconds % 60);
  set_decimal(kMinutesAlarm, seconds / 60 % 60);
  set_decimal(kHoursAlarm, seconds / 3600 % 24);
  get(kRegisterC);
  set(kRegisterB, loud ? 0x22 : 0x02);
}
