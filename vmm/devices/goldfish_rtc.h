// The real-time clock of Google's Goldfish platform (GOLDFISH-VIRTUAL-HARDWARE.TXT of the Android
// emulator; the registers of its binding google,goldfish-rtc).
#pragma once

#include "vmm/devices/time_of_day.h"
#include "vmm/register_table.h"

namespace retrap {

/// Nanoseconds since 1970 in two words, which follow virtual time, and one alarm. Reading TIME_LOW
/// keeps the high word for TIME_HIGH. Writing ALARM_LOW sets the alarm; one that is past rings at
/// once. An alarm rings once.
///
/// The clock can be set. An alarm that is set hears of it with TIME_LOW, which drivers write last:
/// between the two writes the time is no one's.
class GoldfishRtc final : public Device {
 public:
  [[nodiscard]] std::string_view name() const override { return "goldfish-rtc"; }
  [[nodiscard]] std::uint64_t size() const override { return 0x1000; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override;
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t value) override;
  void reset() override { state_ = {}; }
  [[nodiscard]] bool irq_level() const override { return state_.pending && state_.enabled; }
  [[nodiscard]] std::uint64_t deadline_ns() const override;
  void advance(std::uint64_t now_ns) override;
  void digest(Digest& into) const override;

 private:
  struct State {
    std::uint64_t offset_ns = kEpochSeconds * kNsPerSecond;  ///< from virtual time, modulo 2^64
    std::uint32_t time_high = 0;                             ///< as of the last read of TIME_LOW
    std::uint64_t alarm = 0;                                 ///< in nanoseconds since 1970
    std::uint64_t alarm_ns = kNever;                         ///< the virtual time of it, if running
    bool running = false;
    bool enabled = false;
    bool pending = false;
  };

  static const std::array<Register<GoldfishRtc>, 8> kRegisters;

  [[nodiscard]] std::uint64_t time() const { return now_ns_ + state_.offset_ns; }
  void start_alarm();

  std::uint64_t read_time_low();
  std::uint64_t read_time_high() { return state_.time_high; }
  std::uint64_t read_alarm_low() { return state_.alarm; }
  std::uint64_t read_alarm_high() { return state_.alarm >> 32; }
  std::uint64_t read_enabled() { return state_.enabled ? 1 : 0; }
  std::uint64_t read_running() { return state_.running ? 1 : 0; }
  void write_time_low(std::uint64_t value);
  void write_time_high(std::uint64_t value);
  void write_alarm_low(std::uint64_t value);
  void write_alarm_high(std::uint64_t value);
  void write_enabled(std::uint64_t value) { state_.enabled = (value & 1) != 0; }
  void write_clear_alarm(std::uint64_t);
  void write_clear_interrupt(std::uint64_t) { state_.pending = false; }

  std::uint64_t now_ns_ = 0;  ///< of the call that is being answered
  State state_;
};

}  // namespace retrap
