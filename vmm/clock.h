// Virtual time: retired guest instructions and skipped idle time, one number for a machine.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/device.h"

namespace retrap {

/// Called at its exact virtual time, between two guest instructions.
class AlarmSink {
 public:
  virtual ~AlarmSink() = default;
  virtual void on_alarm(std::uint64_t now_ns) = 0;

  /// Whether it only looks on: what the guest does, and when, is as without it.
  [[nodiscard]] virtual bool is_observer() const { return false; }
};

/// now = retired instructions * ns_per_instruction + skipped idle time; monotonic over all vCPUs.
///
/// A CPU that runs the guest keeps its own hot counter. It starts from retired(), stops at
/// stop_at() exactly, and publishes the count with retire_to() before anything outside the engine
/// can look (every exit, every hook that reads the time).
///
/// Invariant: stop_at() is the earlier of the slice end and the first instruction count at which
/// an alarm is due; it changes only through the calls below.
class Clock {
 public:
  enum class AlarmId : std::uint32_t {};

  explicit Clock(std::uint64_t ns_per_instruction = 1) : ns_per_instruction_(ns_per_instruction) {}

  [[nodiscard]] std::uint64_t retired() const { return retired_; }
  [[nodiscard]] std::uint64_t idle_ns() const { return idle_ns_; }
  [[nodiscard]] std::uint64_t now_ns() const { return retired_ * ns_per_instruction_ + idle_ns_; }

  /// The virtual time when `retired` instructions will have retired and nothing idles.
  [[nodiscard]] std::uint64_t ns_at(std::uint64_t retired) const {
    return retired * ns_per_instruction_ + idle_ns_;
  }

  /// What has passed between two looks at the clock.
  struct Lap {
    std::uint64_t instructions;  ///< retired by all CPUs
    std::uint64_t idle_ns;       ///< skipped because everybody waited
  };
  /// Since the lap before, whoever took it. The exits that observers hear of are laps.
  Lap lap() {
    const Lap lap{.instructions = retired_ - lap_retired_, .idle_ns = idle_ns_ - lap_idle_ns_};
    lap_retired_ = retired_;
    lap_idle_ns_ = idle_ns_;
    return lap;
  }

  /// Publishes the count of a CPU. Requires retired >= retired().
  void retire_to(std::uint64_t retired) { retired_ = retired; }

  /// Everybody waits: time jumps to `now_ns` (no effect where that is past).
  void skip_to(std::uint64_t now_ns);

  /// The instruction count at which a running CPU must come back.
  [[nodiscard]] std::uint64_t stop_at() const { return stop_at_; }
  void set_slice_end(std::uint64_t retired) {
    if (retired == slice_end_) return;
    slice_end_ = retired;
    update();
  }
  [[nodiscard]] std::uint64_t slice_end() const { return slice_end_; }

  /// When others may have the turn of the running vCPU: two instruction counts, kNever where nobody
  /// waits for it. A CPU model comes back behind the first branch at `due` or later if it can do
  /// so at no cost, and behind the first instruction at `spin_due` or later that says that the
  /// guest waits for another CPU (WFE).
  void set_turn(std::uint64_t due, std::uint64_t spin_due) {
    turn_due_ = due;
    spin_due_ = spin_due;
  }
  /// The guest waits for another CPU since `retired`.
  void end_turn(std::uint64_t retired) { turn_due_ = retired; }
  [[nodiscard]] std::uint64_t turn_due() const { return turn_due_; }
  [[nodiscard]] std::uint64_t spin_due() const { return spin_due_; }

  /// Registers a sink (never null; outlives its registration) with no deadline.
  [[nodiscard]] AlarmId add_alarm(AlarmSink* sink);
  void remove_alarm(AlarmId id);
  /// kNever switches it off. A deadline that is already past fires at the next instruction.
  void set_alarm(AlarmId id, std::uint64_t deadline_ns);
  [[nodiscard]] std::uint64_t next_alarm_ns() const { return next_alarm_ns_; }
  [[nodiscard]] bool alarm_is_due() const { return next_alarm_ns_ <= now_ns(); }

  /// Fires every alarm that is due, by deadline, then by id. A fired alarm is off until set again.
  /// False where only observers were called.
  bool fire_due();

  void reset();  ///< time zero, no deadlines; registrations stay

 private:
  struct Alarm {
    AlarmSink* sink;
    std::uint64_t deadline_ns;
  };
  void update();

  std::uint64_t ns_per_instruction_;
  std::uint64_t retired_ = 0;
  std::uint64_t idle_ns_ = 0;
  std::uint64_t slice_end_ = kNever;
  std::uint64_t stop_at_ = kNever;
  std::uint64_t turn_due_ = kNever;
  std::uint64_t spin_due_ = kNever;
  std::uint64_t lap_retired_ = 0;
  std::uint64_t lap_idle_ns_ = 0;
  std::uint64_t next_alarm_ns_ = kNever;
  std::vector<Alarm> alarms_;  ///< index = AlarmId; a null sink is a free place
};

}  // namespace retrap
