// The behaviour of the 8254.
#include "arch/x86_64/pit.h"

#include <algorithm>

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kRefreshNs = 15'085;

/// a * b / c without overflow while the result fits (b and c below 2^31).
constexpr std::uint64_t scale(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return (a / c) * b + (a % c) * b / c;
}

constexpr std::uint16_t to_bcd(std::uint64_t value) {
  return static_cast<std::uint16_t>(value % 10 | (value / 10 % 10) << 4 | (value / 100 % 10) << 8 |
                                    (value / 1000 % 10) << 12);
}

constexpr std::uint64_t from_bcd(std::uint16_t value) {
  return (value & 15U) + 10U * ((value >> 4) & 15U) + 100U * ((value >> 8) & 15U) +
         1000U * (value >> 12U);
}

}  // namespace

void PitChannel::program(std::uint8_t control, std::uint64_t tick) {
  access_ = static_cast<std::uint8_t>(extract(control, 5, 4));
  mode_ = static_cast<std::uint8_t>(extract(control, 3, 1));
  if (mode_ > 5) mode_ -= 4;  // x10 is mode 2, x11 mode 3
  bcd_ = has_bit(control, 0);
  write_high_next_ = read_high_next_ = false;
  has_latched_count_ = has_latched_status_ = false;
  null_count_ = true;
  counting_ = Counting::Stopped;
  start_ = tick;
  stopped_ = 0;
}

std::uint64_t PitChannel::reload() const {
  if (divisor_ == 0) return bcd_ ? 10'000 : 65'536;
  const std::uint64_t divisor = bcd_ ? from_bcd(divisor_) : divisor_;
  // One is illegal in the periodic modes; the chip stops, a divider of two is as good an answer.
  return is_periodic() ? std::max<std::uint64_t>(divisor, 2) : std::max<std::uint64_t>(divisor, 1);
}

void PitChannel::load(std::uint64_t tick) {
  null_count_ = false;
  // A new count in a periodic mode is used from the next period on; the first one at once.
  if (counting_ == Counting::Running && is_periodic()) {
    start_ = tick - elapsed(tick) % reload();
    return;
  }
  if (starts_by_gate()) return;
  start_ = tick;
  stopped_ = 0;
  counting_ = gate_ ? Counting::Running : Counting::Stopped;
}

void PitChannel::write(std::uint8_t value, std::uint64_t tick) {
  if (access_ == 1) {
    divisor_ = value;
    return load(tick);
  }
  if (access_ == 2) {
    divisor_ = static_cast<std::uint16_t>(value << 8);
    return load(tick);
  }
  if (!write_high_next_) {
    low_byte_ = value;
    write_high_next_ = true;
    // Writing the first byte of a mode 0 count stops the counting.
    if (mode_ == 0) counting_ = Counting::Stopped;
    return;
  }
  write_high_next_ = false;
  divisor_ = static_cast<std::uint16_t>(value << 8 | low_byte_);
  load(tick);
}

std::uint64_t PitChannel::elapsed(std::uint64_t tick) const {
  if (counting_ == Counting::Stopped) return stopped_;
  return stopped_ + (tick > start_ ? tick - start_ : 0);
}

std::uint16_t PitChannel::count(std::uint64_t tick) const {
  if (null_count_) return 0;
  const std::uint64_t period = reload();
  const std::uint64_t passed = elapsed(tick);
  std::uint64_t value = 0;
  if (mode_ == 3) {
    // The counter goes down by two, twice a period.
    const std::uint64_t even = period & ~std::uint64_t{1};
    value = even - (2 * (passed % period)) % even;
  } else if (mode_ == 2) {
    value = period - passed % period;
  } else {
    const std::uint64_t modulus = bcd_ ? 10'000 : 65'536;
    value = (period + modulus - passed % modulus) % modulus;
  }
  return bcd_ ? to_bcd(value) : static_cast<std::uint16_t>(value);
}

void PitChannel::latch_count(std::uint64_t tick) {
  if (has_latched_count_) return;  // the first one counts until it is read
  latched_count_ = count(tick);
  has_latched_count_ = true;
  read_high_next_ = false;
}

void PitChannel::latch_status(std::uint64_t tick) {
  if (has_latched_status_) return;
  latched_status_ = static_cast<std::uint8_t>(
      std::uint64_t{output(tick)} << 7 | std::uint64_t{null_count_} << 6 |
      std::uint64_t{access_} << 4 | std::uint64_t{mode_} << 1 | std::uint64_t{bcd_});
  has_latched_status_ = true;
}

std::uint8_t PitChannel::read(std::uint64_t tick) {
  if (has_latched_status_) {
    has_latched_status_ = false;
    return latched_status_;
  }
  const std::uint16_t value = has_latched_count_ ? latched_count_ : count(tick);
  const bool high = access_ == 2 || (access_ == 3 && read_high_next_);
  if (access_ == 3) read_high_next_ = !read_high_next_;
  if (high || access_ != 3) has_latched_count_ = false;
  return static_cast<std::uint8_t>(high ? value >> 8 : value);
}

void PitChannel::set_gate(bool level, std::uint64_t tick) {
  const bool rising = level && !gate_;
  const bool falling = !level && gate_;
  gate_ = level;
  if (rising && !null_count_) {
    // Modes 1, 2, 3 and 5 begin anew with a trigger; 0 and 4 go on where they stopped.
    if (starts_by_gate() || is_periodic()) stopped_ = 0;
    start_ = tick;
    counting_ = Counting::Running;
  }
  if (falling && !starts_by_gate() && counting_ == Counting::Running) {
    stopped_ = elapsed(tick);
    counting_ = Counting::Stopped;
  }
}

bool PitChannel::output(std::uint64_t tick) const {
  const bool armed = !null_count_ && (counting_ == Counting::Running || stopped_ != 0);
  const std::uint64_t period = reload();
  const std::uint64_t passed = elapsed(tick);
  switch (mode_) {
    case 0:  return armed && passed >= period;
    case 1:  return !armed || passed >= period;
    case 2:  return counting_ == Counting::Stopped || passed % period != period - 1;
    case 3:  return counting_ == Counting::Stopped || passed % period < (period + 1) / 2;
    default: return !armed || passed != period;  // 4 and 5: low for one tick
  }
}

std::uint64_t PitChannel::next_edge(std::uint64_t tick) const {
  if (counting_ == Counting::Stopped || null_count_) return kNever;
  const std::uint64_t period = reload();
  const std::uint64_t passed = elapsed(tick);
  const std::uint64_t base = tick - passed;
  if (is_periodic()) {
    const std::uint64_t begin = passed - passed % period;
    const std::uint64_t low_at = mode_ == 2 ? period - 1 : (period + 1) / 2;
    return base + begin + (passed % period < low_at ? low_at : period);
  }
  if (passed < period) return base + period;
  if (mode_ >= 4 && passed == period) return base + period + 1;
  return kNever;
}

void PitChannel::digest(Digest& into) const {
  into.add(mode_ | std::uint64_t{access_} << 8 | std::uint64_t{low_byte_} << 16 |
           std::uint64_t{divisor_} << 24 | std::uint64_t{latched_count_} << 40 |
           std::uint64_t{latched_status_} << 56);
  into.add(std::uint64_t{bcd_} | std::uint64_t{gate_} << 1 | std::uint64_t{write_high_next_} << 2 |
           std::uint64_t{read_high_next_} << 3 | std::uint64_t{null_count_} << 4 |
           std::uint64_t{has_latched_count_} << 5 | std::uint64_t{has_latched_status_} << 6 |
           static_cast<std::uint64_t>(counting_) << 7);
  into.add(start_);
  into.add(stopped_);
}

std::uint64_t Pit::ticks_at(std::uint64_t ns) {
  return scale(ns, kHz, kNsPerSecond);
}

std::uint64_t Pit::ns_at(std::uint64_t tick) {
  if (tick > kNever / kNsPerSecond * kHz) return kNever;
  const std::uint64_t ns = scale(tick, kNsPerSecond, kHz);
  return ticks_at(ns) < tick ? ns + 1 : ns;
}

IoResult<std::uint64_t> Pit::read(const retrap::Access& access) {
  if (access.width != Width::Byte) return tl::unexpected(IoError::BadWidth);
  if (access.offset == 3) return tl::unexpected(IoError::WriteOnly);
  return channels_[access.offset].read(ticks_at(access.now_ns));
}

IoResult<> Pit::write(const retrap::Access& access, std::uint64_t value) {
  if (access.width != Width::Byte) return tl::unexpected(IoError::BadWidth);
  const auto byte = static_cast<std::uint8_t>(value);
  const std::uint64_t tick = ticks_at(access.now_ns);
  if (access.offset == 3) {
    control(byte, tick);
  } else {
    channels_[access.offset].write(byte, tick);
  }
  update(tick);
  return {};
}

void Pit::control(std::uint8_t value, std::uint64_t tick) {
  const auto select = extract(value, 7, 6);
  if (select == 3) return read_back(value, tick);
  PitChannel& channel = channels_[select];
  if (extract(value, 5, 4) == 0) return channel.latch_count(tick);
  channel.program(value, tick);
}

void Pit::read_back(std::uint8_t value, std::uint64_t tick) {
  for (unsigned i = 0; i < channels_.size(); ++i) {
    if (!has_bit(value, i + 1)) continue;
    if (!has_bit(value, 5)) channels_[i].latch_count(tick);
    if (!has_bit(value, 4)) channels_[i].latch_status(tick);
  }
}

void Pit::update(std::uint64_t tick) {
  level_ = channels_[0].output(tick);
  const std::uint64_t edge = channels_[0].next_edge(tick);
  deadline_ns_ = edge == kNever ? kNever : ns_at(edge);
}

void Pit::advance(std::uint64_t now_ns) {
  if (deadline_ns_ > now_ns) return;
  // One edge at a time: two edges that are due together must both be seen.
  update(ticks_at(deadline_ns_));
}

void Pit::digest(Digest& into) const {
  for (const PitChannel& channel : channels_) channel.digest(into);
  into.add(std::uint64_t{level_});
  into.add(deadline_ns_);
}

IoResult<std::uint64_t> SystemControlPort::read(const retrap::Access& access) {
  const bool output = pit_.channel(2).output(Pit::ticks_at(access.now_ns));
  const bool refresh = (access.now_ns / kRefreshNs) % 2 != 0;
  return value_ | std::uint64_t{refresh} << 4 | std::uint64_t{output} << 5;
}

IoResult<> SystemControlPort::write(const retrap::Access& access, std::uint64_t value) {
  value_ = static_cast<std::uint8_t>(value & 0xf);
  pit_.channel(2).set_gate(has_bit(value, 0), Pit::ticks_at(access.now_ns));
  return {};
}

void SystemControlPort::reset() {
  value_ = 0;
  pit_.channel(2).set_gate(false, 0);
}

}  // namespace retrap::x86_64
