// The 8254 interval timer of a PC, and port 0x61 that gates its third channel.
//
// Intel 8254 data sheet (231164), "Programming the 8254", "Mode Definitions".
#pragma once

#include <array>
#include <cstdint>

#include "vmm/device.h"

namespace retrap::x86_64 {

/// One counter. Time is given in ticks of the 1.193182 MHz input since virtual time zero.
///
/// Counts are loaded when they are written, without the one-clock delay of the chip.
class PitChannel {
 public:
  /// Control word bits [5:0] for this counter: access mode, mode, BCD.
  void program(std::uint8_t control, std::uint64_t tick);
  void write(std::uint8_t value, std::uint64_t tick);
  [[nodiscard]] std::uint8_t read(std::uint64_t tick);
  void latch_count(std::uint64_t tick);
  void latch_status(std::uint64_t tick);
  void set_gate(bool level, std::uint64_t tick);
  [[nodiscard]] bool gate() const { return gate_; }

  /// The level of OUT at `tick`.
  [[nodiscard]] bool output(std::uint64_t tick) const;
  /// The first tick after `tick` at which OUT changes, or kNever.
  [[nodiscard]] std::uint64_t next_edge(std::uint64_t tick) const;

  void digest(Digest& into) const;

 private:
  enum class Counting : std::uint8_t { Stopped, Running };

  void load(std::uint64_t tick);
  [[nodiscard]] std::uint64_t reload() const;
  [[nodiscard]] std::uint64_t elapsed(std::uint64_t tick) const;
  [[nodiscard]] std::uint16_t count(std::uint64_t tick) const;
  [[nodiscard]] bool is_periodic() const { return mode_ == 2 || mode_ == 3; }
  [[nodiscard]] bool starts_by_gate() const { return mode_ == 1 || mode_ == 5; }

  std::uint8_t mode_ = 0;
  std::uint8_t access_ = 3;  ///< 1 low byte, 2 high byte, 3 low then high
  bool bcd_ = false;
  bool gate_ = true;
  bool write_high_next_ = false;
  bool read_high_next_ = false;
  std::uint8_t low_byte_ = 0;
  std::uint16_t divisor_ = 0;
  bool null_count_ = true;
  Counting counting_ = Counting::Stopped;
  std::uint64_t start_ = 0;    ///< tick of the last load or trigger
  std::uint64_t stopped_ = 0;  ///< ticks counted when the gate stopped it
  bool has_latched_count_ = false;
  bool has_latched_status_ = false;
  std::uint16_t latched_count_ = 0;
  std::uint8_t latched_status_ = 0;
};

/// Ports 0x40 to 0x43. Its interrupt level is OUT of channel 0.
class Pit final : public Device {
 public:
  static constexpr std::uint64_t kHz = 1'193'182;

  [[nodiscard]] std::string_view name() const override { return "pit"; }
  [[nodiscard]] std::uint64_t size() const override { return 4; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override { *this = Pit(); }
  [[nodiscard]] bool irq_level() const override { return level_; }
  [[nodiscard]] std::uint64_t deadline_ns() const override { return deadline_ns_; }
  void advance(std::uint64_t now_ns) override;
  void digest(Digest& into) const override;

  /// Ticks since virtual time zero, and the first time at which a tick has passed.
  [[nodiscard]] static std::uint64_t ticks_at(std::uint64_t ns);
  [[nodiscard]] static std::uint64_t ns_at(std::uint64_t tick);

  [[nodiscard]] PitChannel& channel(std::size_t index) { return channels_[index]; }

 private:
  void control(std::uint8_t value, std::uint64_t tick);
  void read_back(std::uint8_t value, std::uint64_t tick);
  void update(std::uint64_t tick);

  std::array<PitChannel, 3> channels_{};
  bool level_ = false;
  std::uint64_t deadline_ns_ = kNever;
};

/// Port 0x61, "system control port B": bit 0 gates channel 2, bit 1 the speaker; bit 4 toggles with
/// the refresh (every 15 us), bit 5 is OUT of channel 2.
class SystemControlPort final : public Device {
 public:
  explicit SystemControlPort(Pit& pit) : pit_(pit) { SystemControlPort::reset(); }

  [[nodiscard]] std::string_view name() const override { return "port61"; }
  [[nodiscard]] std::uint64_t size() const override { return 1; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override;
  void digest(Digest& into) const override { into.add(value_); }

 private:
  Pit& pit_;
  std::uint8_t value_ = 0;
};

}  // namespace retrap::x86_64
