// Turns, idle time and budgets.
#include "sim/scheduler.h"

#include <algorithm>

namespace retrap {
namespace {

/// Timers may tick for ever at vCPUs that mask them all: after this many in a row that woke nobody,
/// nothing ever will.
constexpr std::uint32_t kMaxIdleAlarms = 1'000'000;

/// Exits without an instruction in between, of a kind that the monitor hands back: more of them
/// than any architecture has reasons for.
constexpr std::uint32_t kMaxFruitlessReturns = 100'000;

/// Nobody gives a turn away before it has run for so many instructions: all may be waiting for time
/// to go by, and to change costs more than to wait.
constexpr std::uint64_t kShortestSpin = 16;

std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
  return a > kNever - b ? kNever : a + b;
}

}  // namespace

Scheduler::Stop Scheduler::run(std::uint64_t limit) {
  const std::size_t live = hypervisor_.live_vms();
  std::uint64_t last_retired = clock_.retired();
  std::uint32_t fruitless = 0;
  stop_requested_ = false;
  for (;;) {
    if (hypervisor_.live_vms() < live || live == 0) return Stop::GuestEnded;
    if (clock_.retired() >= limit) return Stop::BudgetSpent;
    if (stop_flag_ != nullptr && *stop_flag_) return Stop::Requested;
    if (!turn_ && !begin_turn()) return Stop::Deadlocked;
    if (stop_requested_) {
      stop_requested_ = false;
      return Stop::Requested;
    }
    const std::uint64_t slice = stop_flag_ == nullptr ? options_.slice
                                : options_.slice == 0 ? kLook
                                                      : std::min(kLook, options_.slice);
    const std::uint64_t forced = slice == 0 ? kNever : saturating_add(clock_.retired(), slice);
    clock_.set_slice_end(std::min({turn_->end, limit, forced}));
    const AfterExit after = hypervisor_.run(turn_->place);
    const bool over = clock_.retired() >= turn_->end;
    if (after == AfterExit::Reschedule || over) turn_.reset();

    fruitless = clock_.retired() == last_retired ? fruitless + 1 : 0;
    last_retired = clock_.retired();
    if (fruitless > kMaxFruitlessReturns) return Stop::Deadlocked;
  }
}

bool Scheduler::begin_turn() {
  for (std::uint32_t idle = 0; idle < kMaxIdleAlarms; ++idle) {
    if (clock_.alarm_is_due()) clock_.fire_due();
    hypervisor_.wake();
    if (const auto place = next_place()) {
      last_ = *place;
      fresh_ = false;
      turn_ = draw_turn();
      return true;
    }
    if (clock_.next_alarm_ns() == kNever) return false;
    clock_.skip_to(clock_.next_alarm_ns());
  }
  return false;
}

Scheduler::Turn Scheduler::draw_turn() {
  const bool is_alone = next_runnable() == last_;
  if (is_alone) {
    clock_.set_turn(kNever, kNever);
    return {.place = last_, .end = kNever};
  }
  const std::uint64_t shortest = options_.mean_turn - options_.mean_turn * 4 / 5;
  const std::uint64_t longest = options_.mean_turn + options_.mean_turn * 4 / 5;
  const std::uint64_t now = clock_.retired();
  const std::uint64_t due = saturating_add(now, prng_.between(shortest, longest));
  // Who waits for another CPU gives its turn away. To stop anywhere but at an exit or
  // behind a branch cuts a translated block in two, which costs as much as some ten thousand
  // instructions; but what goes wrong only between two instructions must be found, too.
  const bool is_cut = prng_.chance(1, 8);
  clock_.set_turn(due, saturating_add(now, kShortestSpin));
  return {.place = last_, .end = is_cut ? due : saturating_add(due, options_.mean_turn)};
}

std::optional<Hypervisor::Place> Scheduler::next_place() {
  return cpus_.are_asked_for() ? cpus_.take_turn() : next_runnable();
}

std::optional<Hypervisor::Place> Scheduler::next_runnable() const {
  std::optional<Hypervisor::Place> first;
  bool passed = fresh_;
  for (std::size_t vm = 0; vm < hypervisor_.vm_num(); ++vm) {
    const auto count = static_cast<std::uint32_t>(hypervisor_.vm(vm).vcpu_num());
    for (std::uint32_t vcpu = 0; vcpu < count; ++vcpu) {
      const Hypervisor::Place place{.vm = vm, .vcpu = VcpuId{vcpu}};
      if (hypervisor_.activity(place) == VcpuActivity::Runnable) {
        if (passed) return place;
        if (!first) first = place;
      }
      passed = passed || place == last_;
    }
  }
  return first;
}

}  // namespace retrap
