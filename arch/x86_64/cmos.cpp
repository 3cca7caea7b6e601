// The behaviour of the MC146818A.
#include "arch/x86_64/cmos.h"

#include <algorithm>

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint64_t kUpdateNs = 244'000;  ///< UIP is seen this long before the update

/// The address map of the data sheet, figure 7; the century is where PCs have it.
constexpr std::uint8_t kSeconds = 0;
constexpr std::uint8_t kSecondsAlarm = 1;
constexpr std::uint8_t kMinutes = 2;
constexpr std::uint8_t kMinutesAlarm = 3;
constexpr std::uint8_t kHours = 4;
constexpr std::uint8_t kHoursAlarm = 5;
constexpr std::uint8_t kWeekday = 6;
constexpr std::uint8_t kDay = 7;
constexpr std::uint8_t kMonth = 8;
constexpr std::uint8_t kYear = 9;
constexpr std::uint8_t kRegisterA = 10;
constexpr std::uint8_t kRegisterB = 11;
constexpr std::uint8_t kRegisterC = 12;
constexpr std::uint8_t kRegisterD = 13;
constexpr std::uint8_t kCentury = 0x32;

constexpr unsigned kB24Hours = 1;
constexpr unsigned kBBinary = 2;
constexpr std::uint8_t kUpdateEnded = 0x10;  // UIE in B, UF in C; AIE/AF 0x20, PIE/PF 0x40
constexpr std::uint8_t kAlarm = 0x20;
constexpr std::uint8_t kPeriodic = 0x40;
constexpr std::uint8_t kIrq = 0x80;
constexpr std::uint8_t kValidRam = 0x80;

/// Of 1970-01-01 in the count below.
constexpr std::uint64_t kDaysTo1970 = 719'468;

// Days since 0000-03-01 in the proleptic Gregorian calendar, by years that begin in March.
constexpr std::uint64_t days_from_civil(unsigned year, unsigned month, unsigned day) {
  const std::uint64_t shifted = std::uint64_t{year} - (month <= 2 ? 1 : 0);
  const std::uint64_t era = shifted / 400;
  const std::uint64_t year_of_era = shifted % 400;
  const std::uint64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
}

}  // namespace

Cmos::Date Cmos::date_of(std::uint64_t seconds) {
  const std::uint64_t days = seconds / 86'400;
  const std::uint64_t rest = seconds % 86'400;
  const std::uint64_t day_of_era = days % 146'097;
  const std::uint64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::uint64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::uint64_t march_month = (5 * day_of_year + 2) / 153;
  const auto day = static_cast<unsigned>(day_of_year - (153 * march_month + 2) / 5 + 1);
  const auto month = static_cast<unsigned>(march_month < 10 ? march_month + 3 : march_month - 9);
  const std::uint64_t year = year_of_era + days / 146'097 * 400 + (month <= 2 ? 1 : 0);
  return {.second = static_cast<unsigned>(rest % 60),
          .minute = static_cast<unsigned>(rest / 60 % 60),
          .hour = static_cast<unsigned>(rest / 3600),
          .weekday = static_cast<unsigned>((days + 3) % 7 + 1),
          .day = day,
          .month = month,
          .year = static_cast<unsigned>(year % 10'000)};
}

std::uint64_t Cmos::seconds_of(const Date& date) {
  return days_from_civil(date.year, date.month, date.day) * 86'400 +
         std::uint64_t{date.hour} * 3600 + std::uint64_t{date.minute} * 60 + date.second;
}

std::uint64_t Cmos::seconds(std::uint64_t now_ns) const {
  // Ten thousand years are enough for two digits of century, and keep the arithmetic small.
  constexpr std::uint64_t kLimit = 315'569'520'000;
  return (now_ns / kNsPerSecond + offset_seconds_ + kDaysTo1970 * 86'400) % kLimit;
}

std::uint8_t Cmos::encode(unsigned value) const {
  if (has_bit(register_b_, kBBinary)) return static_cast<std::uint8_t>(value);
  return static_cast<std::uint8_t>((value / 10) << 4 | value % 10);
}

unsigned Cmos::decode(std::uint8_t value) const {
  if (has_bit(register_b_, kBBinary)) return value;
  return (value >> 4U) * 10U + (value & 15U);
}

std::uint8_t Cmos::encode_hour(unsigned hour) const {
  if (has_bit(register_b_, kB24Hours)) return encode(hour);
  const unsigned twelve = hour % 12 == 0 ? 12 : hour % 12;
  return static_cast<std::uint8_t>(encode(twelve) | (hour >= 12 ? 0x80 : 0));
}

unsigned Cmos::decode_hour(std::uint8_t value) const {
  if (has_bit(register_b_, kB24Hours)) return decode(value);
  const unsigned twelve = decode(value & 0x7f) % 12;
  return twelve + (has_bit(value, 7) ? 12 : 0);
}

IoResult<std::uint64_t> Cmos::read(const retrap::Access& access) {
  if (access.width != Width::Byte) return tl::unexpected(IoError::BadWidth);
  if (access.offset == 0) return 0xff;  // the index is write-only and floats
  return read_register(index_, access.now_ns);
}

IoResult<> Cmos::write(const retrap::Access& access, std::uint64_t value) {
  if (access.width != Width::Byte) return tl::unexpected(IoError::BadWidth);
  const auto byte = static_cast<std::uint8_t>(value);
  if (access.offset == 0) {
    index_ = byte & 0x7f;  // bit 7 masks NMI: there is no source of one
  } else {
    write_register(index_, byte, access.now_ns);
  }
  return {};
}

std::uint8_t Cmos::read_register(std::uint8_t index, std::uint64_t now_ns) {
  const Date date = date_of(seconds(now_ns));
  switch (index) {
    case kSeconds:   return encode(date.second);
    case kMinutes:   return encode(date.minute);
    case kHours:     return encode_hour(date.hour);
    case kWeekday:   return encode(date.weekday);
    case kDay:       return encode(date.day);
    case kMonth:     return encode(date.month);
    case kYear:      return encode(date.year % 100);
    case kCentury:   return encode(date.year / 100);
    case kRegisterA: {
      const bool updating = now_ns % kNsPerSecond >= kNsPerSecond - kUpdateNs;
      return static_cast<std::uint8_t>(register_a_ | (updating ? 0x80 : 0));
    }
    case kRegisterB: return register_b_;
    case kRegisterC: {
      const std::uint8_t flags = register_c_;
      register_c_ = 0;
      return flags;
    }
    case kRegisterD: return kValidRam;
    default:         return memory_[index];
  }
}

void Cmos::write_register(std::uint8_t index, std::uint8_t value, std::uint64_t now_ns) {
  switch (index) {
    case kSeconds:
    case kMinutes:
    case kHours:
    case kDay:
    case kMonth:
    case kYear:
    case kCentury:   set_time(index, value, now_ns); break;
    case kWeekday:   break;  // follows from the date
    case kRegisterA: register_a_ = value & 0x7f; break;
    case kRegisterB: register_b_ = value; break;
    case kRegisterC:
    case kRegisterD: break;
    default:         memory_[index] = value; break;
  }
  update_deadlines(now_ns);
}

void Cmos::set_time(std::uint8_t index, std::uint8_t value, std::uint64_t now_ns) {
  Date date = date_of(seconds(now_ns));
  switch (index) {
    case kSeconds: date.second = std::min(decode(value), 59U); break;
    case kMinutes: date.minute = std::min(decode(value), 59U); break;
    case kHours:   date.hour = std::min(decode_hour(value), 23U); break;
    case kDay:     date.day = std::clamp(decode(value), 1U, 31U); break;
    case kMonth:   date.month = std::clamp(decode(value), 1U, 12U); break;
    case kYear:    date.year = date.year / 100 * 100 + std::min(decode(value), 99U); break;
    default:       date.year = std::clamp(decode(value), 19U, 99U) * 100 + date.year % 100; break;
  }
  offset_seconds_ = seconds_of(date) - kDaysTo1970 * 86'400 - now_ns / kNsPerSecond;
}

bool Cmos::alarm_matches(const Date& date) const {
  const auto matches = [](std::uint8_t alarm, std::uint8_t value) {
    return (alarm & 0xc0) == 0xc0 || alarm == value;
  };
  return matches(memory_[kSecondsAlarm], encode(date.second)) &&
         matches(memory_[kMinutesAlarm], encode(date.minute)) &&
         matches(memory_[kHoursAlarm], encode_hour(date.hour));
}

std::uint64_t Cmos::period_ns() const {
  unsigned rate = register_a_ & 15;
  if (rate == 0) return kNever;
  if (rate <= 2) rate += 7;
  return kNsPerSecond * (std::uint64_t{1} << (rate - 1)) / 32'768;
}

void Cmos::update_deadlines(std::uint64_t now_ns) {
  const bool by_second = (register_b_ & (kUpdateEnded | kAlarm)) != 0;
  next_second_ns_ = by_second ? (now_ns / kNsPerSecond + 1) * kNsPerSecond : kNever;
  const std::uint64_t period = period_ns();
  const bool periodic = (register_b_ & kPeriodic) != 0 && period != kNever;
  next_period_ns_ = periodic ? (now_ns / period + 1) * period : kNever;
}

bool Cmos::irq_level() const {
  return (register_c_ & kIrq) != 0;
}

std::uint64_t Cmos::deadline_ns() const {
  return std::min(next_second_ns_, next_period_ns_);
}

void Cmos::advance(std::uint64_t now_ns) {
  if (next_second_ns_ <= now_ns) {
    register_c_ |= kUpdateEnded;
    if (alarm_matches(date_of(seconds(now_ns)))) register_c_ |= kAlarm;
  }
  if (next_period_ns_ <= now_ns) register_c_ |= kPeriodic;
  if ((register_c_ & register_b_ & (kUpdateEnded | kAlarm | kPeriodic)) != 0) register_c_ |= kIrq;
  update_deadlines(now_ns);
}

void Cmos::digest(Digest& into) const {
  into.add(index_ | std::uint64_t{register_a_} << 8 | std::uint64_t{register_b_} << 16 |
           std::uint64_t{register_c_} << 24);
  into.add(std::as_bytes(std::span(memory_)));
  into.add(offset_seconds_);
  into.add(next_second_ns_);
  into.add(next_period_ns_);
}

}  // namespace retrap::x86_64
