// The real-time clock and its non-volatile memory, ports 0x70 and 0x71.
//
// Motorola MC146818A data sheet; century register as ACPI 6.5, 5.2.9 (FADT) names it.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/devices/time_of_day.h"

namespace retrap::x86_64 {

/// A clock that begins at a fixed date, so that every run has the same time of day, and follows
/// virtual time. Update-ended, alarm and periodic interrupts work (line 8); writes to the time
/// registers are kept as an offset to virtual time.
class Cmos final : public Device {
 public:
  [[nodiscard]] std::string_view name() const override { return "rtc"; }
  [[nodiscard]] std::uint64_t size() const override { return 2; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override { *this = Cmos(); }
  [[nodiscard]] bool irq_level() const override;
  [[nodiscard]] std::uint64_t deadline_ns() const override;
  void advance(std::uint64_t now_ns) override;
  void digest(Digest& into) const override;

 private:
  struct Date {
    unsigned second, minute, hour, weekday, day, month, year;  ///< weekday 1 is Sunday
  };

  [[nodiscard]] std::uint64_t seconds(std::uint64_t now_ns) const;
  [[nodiscard]] static Date date_of(std::uint64_t seconds);
  [[nodiscard]] static std::uint64_t seconds_of(const Date& date);
  [[nodiscard]] std::uint8_t read_register(std::uint8_t index, std::uint64_t now_ns);
  void write_register(std::uint8_t index, std::uint8_t value, std::uint64_t now_ns);
  [[nodiscard]] std::uint8_t encode(unsigned value) const;
  [[nodiscard]] unsigned decode(std::uint8_t value) const;
  [[nodiscard]] std::uint8_t encode_hour(unsigned hour) const;
  [[nodiscard]] unsigned decode_hour(std::uint8_t value) const;
  void set_time(std::uint8_t index, std::uint8_t value, std::uint64_t now_ns);
  [[nodiscard]] bool alarm_matches(const Date& date) const;
  [[nodiscard]] std::uint64_t period_ns() const;
  void update_deadlines(std::uint64_t now_ns);

  std::uint8_t index_ = 0;
  std::uint8_t register_a_ = 0x26;  ///< 32.768 kHz, 1024 Hz
  std::uint8_t register_b_ = 0x02;  ///< 24 hours, BCD
  std::uint8_t register_c_ = 0;
  std::array<std::uint8_t, 128> memory_{};        ///< what is not a clock register; alarms too
  std::uint64_t offset_seconds_ = kEpochSeconds;  ///< from virtual time to 1970, modulo 2^64
  std::uint64_t next_second_ns_ = kNever;
  std::uint64_t next_period_ns_ = kNever;
};

}  // namespace retrap::x86_64
