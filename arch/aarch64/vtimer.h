// The generic timer of one vCPU: counter, virtual and physical timer.
//
// DDI 0487, D11. The counter is virtual time in ticks of 16 ns; CNTVOFF_EL2 is 0. The virtual timer
// raises PPI 27, the physical one PPI 30, as levels.
#pragma once

#include <array>
#include <cstdint>

#include "arch/aarch64/cpu.h"
#include "arch/aarch64/gicv3.h"
#include "vmm/clock.h"

namespace retrap::aarch64 {

/// One timer: a compare value, two control bits, and an output that is a level.
///
/// Every write takes effect at once: the level is worked out again and the alarm set. So what the
/// guest sees does not depend on when the vCPU next leaves guest mode.
class Timer final : AlarmSink {
 public:
  Timer(Clock& clock, Gicv3& gic, std::uint32_t cpu, std::uint32_t intid);
  ~Timer() override;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  [[nodiscard]] std::uint64_t counter() const { return clock_.now_ns() >> kNsPerTickShift; }

  [[nodiscard]] std::uint64_t control() const;  ///< ENABLE, IMASK, ISTATUS
  [[nodiscard]] std::uint64_t compare_value() const { return compare_value_; }
  [[nodiscard]] std::uint64_t timer_value() const;  ///< 32 bits
  void set_control(std::uint64_t value);
  void set_compare_value(std::uint64_t value);
  void set_timer_value(std::uint64_t value);

  void reset();
  void digest(Digest& into) const;

 private:
  void on_alarm(std::uint64_t now_ns) override;
  void update();
  [[nodiscard]] bool condition_is_met() const { return counter() >= compare_value_; }

  Clock& clock_;
  Gicv3& gic_;
  std::uint32_t cpu_;
  std::uint32_t intid_;
  Clock::AlarmId alarm_;
  bool enabled_ = false;
  bool masked_ = false;
  std::uint64_t compare_value_ = 0;
};

/// Both timers of a vCPU, by register.
class GenericTimer final : public VirtualTimerPort {
 public:
  static constexpr std::uint32_t kVirtualIntid = 27;
  static constexpr std::uint32_t kPhysicalIntid = 30;

  GenericTimer(Clock& clock, Gicv3& gic, std::uint32_t cpu)
      : virtual_(clock, gic, cpu, kVirtualIntid), physical_(clock, gic, cpu, kPhysicalIntid) {}

  /// CNTVCT, CNTPCT, CNTV_* and CNTP_*; zero for others.
  [[nodiscard]] std::uint64_t read_timer(SysReg reg) override;
  void write_timer(SysReg reg, std::uint64_t value) override;

  void reset();
  void digest(Digest& into) const;

 private:
  Timer virtual_;
  Timer physical_;
};

}  // namespace retrap::aarch64
