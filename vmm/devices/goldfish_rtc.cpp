// Goldfish RTC: its registers, and when its alarm rings.
#include "vmm/devices/goldfish_rtc.h"

namespace retrap {
namespace {

constexpr WidthRule kGoldfishWidths{.narrowest = Width::Word, .widest = Width::Word};
constexpr std::uint64_t kLowWord = 0xffff'ffff;

std::uint64_t with_low(std::uint64_t value, std::uint64_t low) {
  return (value & ~kLowWord) | low;
}

std::uint64_t with_high(std::uint64_t value, std::uint64_t high) {
  return high << 32 | (value & kLowWord);
}

}  // namespace

// clang-format off
constexpr std::array<Register<GoldfishRtc>, 8> GoldfishRtc::kRegisters = {{
    {0x00, "TIME_LOW",        &GoldfishRtc::read_time_low,   &GoldfishRtc::write_time_low},
    {0x04, "TIME_HIGH",       &GoldfishRtc::read_time_high,  &GoldfishRtc::write_time_high},
    {0x08, "ALARM_LOW",       &GoldfishRtc::read_alarm_low,  &GoldfishRtc::write_alarm_low},
    {0x0c, "ALARM_HIGH",      &GoldfishRtc::read_alarm_high, &GoldfishRtc::write_alarm_high},
    {0x10, "IRQ_ENABLED",     &GoldfishRtc::read_enabled,    &GoldfishRtc::write_enabled},
    {0x14, "CLEAR_ALARM",     nullptr,                       &GoldfishRtc::write_clear_alarm},
    {0x18, "ALARM_STATUS",    &GoldfishRtc::read_running,    nullptr},
    {0x1c, "CLEAR_INTERRUPT", nullptr,                       &GoldfishRtc::write_clear_interrupt},
}};
// clang-format on

IoResult<std::uint64_t> GoldfishRtc::read(const Access& access) {
  static_assert(is_sorted(kRegisters));
  advance(access.now_ns);
  return read_register(*this, kRegisters, access, kGoldfishWidths);
}

IoResult<> GoldfishRtc::write(const Access& access, std::uint64_t value) {
  advance(access.now_ns);
  return write_register(*this, kRegisters, access, value, kGoldfishWidths);
}

// Nobody is told of an alarm while interrupts are off: the next access finds it.
std::uint64_t GoldfishRtc::deadline_ns() const {
  return state_.running && state_.enabled ? state_.alarm_ns : kNever;
}

// The time may have been set meanwhile: then the alarm is still to come.
void GoldfishRtc::advance(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  if (state_.running && state_.alarm_ns <= now_ns) start_alarm();
}

void GoldfishRtc::start_alarm() {
  const std::uint64_t now = time();
  state_.running = state_.alarm > now;
  if (state_.running) {
    state_.alarm_ns = time_after(now_ns_, state_.alarm - now);
  } else {
    state_.alarm_ns = kNever;
    state_.pending = true;
  }
}

std::uint64_t GoldfishRtc::read_time_low() {
  state_.time_high = static_cast<std::uint32_t>(time() >> 32);
  return time();
}

void GoldfishRtc::write_time_low(std::uint64_t value) {
  state_.offset_ns = with_low(time(), value) - now_ns_;
  if (state_.running) start_alarm();
}

void GoldfishRtc::write_time_high(std::uint64_t value) {
  state_.offset_ns = with_high(time(), value) - now_ns_;
}

void GoldfishRtc::write_alarm_low(std::uint64_t value) {
  state_.alarm = with_low(state_.alarm, value);
  start_alarm();
}

void GoldfishRtc::write_alarm_high(std::uint64_t value) {
  state_.alarm = with_high(state_.alarm, value);
}

void GoldfishRtc::write_clear_alarm(std::uint64_t) {
  state_.running = false;
  state_.alarm_ns = kNever;
}

void GoldfishRtc::digest(Digest& into) const {
  into.add(state_.offset_ns);
  into.add(std::uint64_t{state_.time_high} << 3 | std::uint64_t{state_.running} << 2 |
           std::uint64_t{state_.enabled} << 1 | std::uint64_t{state_.pending});
  into.add(state_.alarm);
  into.add(state_.alarm_ns);
}

}  // namespace retrap
