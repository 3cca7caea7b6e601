// Virtual time: when a running CPU must come back, and who is called then.
#include "vmm/clock.h"

#include <algorithm>

#include "vmm/base/check.h"

namespace retrap {

void Clock::skip_to(std::uint64_t now_ns) {
  if (now_ns <= this->now_ns()) return;
  idle_ns_ += now_ns - this->now_ns();
  update();
}

Clock::AlarmId Clock::add_alarm(AlarmSink* sink) {
  RETRAP_CHECK(sink != nullptr, "an alarm needs somebody to call");
  const auto free = std::find_if(alarms_.begin(), alarms_.end(),
                                 [](const Alarm& alarm) { return alarm.sink == nullptr; });
  const auto index = static_cast<std::uint32_t>(free - alarms_.begin());
  if (free == alarms_.end()) {
    alarms_.push_back({.sink = sink, .deadline_ns = kNever});
  } else {
    *free = {.sink = sink, .deadline_ns = kNever};
  }
  return AlarmId{index};
}

void Clock::remove_alarm(AlarmId id) {
  set_alarm(id, kNever);
  alarms_[static_cast<std::size_t>(id)].sink = nullptr;
}

void Clock::set_alarm(AlarmId id, std::uint64_t deadline_ns) {
  Alarm& alarm = alarms_[static_cast<std::size_t>(id)];
  // What is past fires at the next instruction: a sink that sets its alarm again and again at one
  // instant cannot stop time.
  if (deadline_ns <= now_ns()) deadline_ns = now_ns() + 1;
  if (alarm.deadline_ns == deadline_ns) return;
  alarm.deadline_ns = deadline_ns;
  update();
}

bool Clock::fire_due() {
  bool is_guests = false;
  while (alarm_is_due()) {
    const auto first = std::min_element(
        alarms_.begin(), alarms_.end(),
        [](const Alarm& a, const Alarm& b) { return a.deadline_ns < b.deadline_ns; });
    first->deadline_ns = kNever;
    AlarmSink* sink = first->sink;
    update();
    is_guests |= !sink->is_observer();
    sink->on_alarm(now_ns());
  }
  return is_guests;
}

void Clock::reset() {
  retired_ = 0;
  idle_ns_ = 0;
  (void)lap();
  slice_end_ = kNever;
  set_turn(kNever, kNever);
  for (Alarm& alarm : alarms_) alarm.deadline_ns = kNever;
  update();
}

void Clock::update() {
  next_alarm_ns_ = kNever;
  for (const Alarm& alarm : alarms_) next_alarm_ns_ = std::min(next_alarm_ns_, alarm.deadline_ns);
  stop_at_ = slice_end_;
  if (next_alarm_ns_ == kNever) return;
  const std::uint64_t ns = next_alarm_ns_ > idle_ns_ ? next_alarm_ns_ - idle_ns_ : 0;
  const std::uint64_t due =
      ns / ns_per_instruction_ + static_cast<std::uint64_t>(ns % ns_per_instruction_ != 0);
  stop_at_ = std::min(stop_at_, due);
}

}  // namespace retrap
