// The PrimeCell Real Time Clock PL031, revision r1p3 (Arm DDI 0224C).
#pragma once

#include "vmm/devices/time_of_day.h"
#include "vmm/register_table.h"

namespace retrap {

/// A 32-bit counter of seconds since 1970 that follows virtual time, and a match register. It runs
/// from power-on, as one that firmware has started; RTCCR cannot stop it (3.3.4).
///
/// A match that is masked needs no deadline: it is found when a register is accessed.
class Pl031 final : public Device {
 public:
  [[nodiscard]] std::string_view name() const override { return "pl031"; }
  [[nodiscard]] std::uint64_t size() const override { return 0x1000; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override;
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t value) override;
  void reset() override { state_ = {}; }
  [[nodiscard]] bool irq_level() const override { return (state_.raw & state_.mask) != 0; }
  [[nodiscard]] std::uint64_t deadline_ns() const override;
  void advance(std::uint64_t now_ns) override;
  void digest(Digest& into) const override;

 private:
  struct State {
    /// Of the counter from the seconds of virtual time, modulo 2^32.
    std::uint32_t offset = static_cast<std::uint32_t>(kEpochSeconds);
    std::uint32_t match = 0;
    std::uint32_t load = 0;
    std::uint32_t mask = 0;
    std::uint32_t raw = 0;
    /// When the counter comes to the match register. Neither was written: never.
    std::uint64_t match_ns = kNever;
  };

  static const std::array<Register<Pl031>, 16> kRegisters;

  [[nodiscard]] std::uint32_t counter() const;
  void look_for_match();

  std::uint64_t read_data() { return counter(); }
  std::uint64_t read_match() { return state_.match; }
  std::uint64_t read_load() { return state_.load; }
  std::uint64_t read_control() { return 1; }
  std::uint64_t read_mask() { return state_.mask; }
  std::uint64_t read_raw() { return state_.raw; }
  std::uint64_t read_masked() { return state_.raw & state_.mask; }
  template <std::uint8_t kId>
  std::uint64_t read_id() {
    return kId;
  }
  void write_match(std::uint64_t value);
  void write_load(std::uint64_t value);
  void write_control(std::uint64_t) {}
  void write_mask(std::uint64_t value) { state_.mask = value & 1; }
  void write_clear(std::uint64_t value) { state_.raw &= ~static_cast<std::uint32_t>(value); }

  std::uint64_t now_ns_ = 0;  ///< of the call that is being answered
  State state_;
};

}  // namespace retrap
