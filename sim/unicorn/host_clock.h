// Hides the host clock from Unicorn: it sizes its TLB by gettimeofday, which would make the number
// of TLB fills differ from run to run.
#pragma once

namespace retrap::unicorn {

/// How many engines of this thread run: the one piece of global state below sim/cli, since an
/// interposed C function has no `this`.
extern constinit thread_local int engines_running;

/// While one lives, gettimeofday answers the calls of this thread with a constant. Every other call
/// reaches the C library.
class HostClockStandsStill {
 public:
  HostClockStandsStill() { ++engines_running; }
  ~HostClockStandsStill() { --engines_running; }
  HostClockStandsStill(const HostClockStandsStill&) = delete;
  HostClockStandsStill& operator=(const HostClockStandsStill&) = delete;
};

/// While one lives, the host clock goes on after all: for what a hook calls that is not Unicorn.
class HostClockGoesOn {
 public:
  HostClockGoesOn() : before_(engines_running) { engines_running = 0; }
  ~HostClockGoesOn() { engines_running = before_; }
  HostClockGoesOn(const HostClockGoesOn&) = delete;
  HostClockGoesOn& operator=(const HostClockGoesOn&) = delete;

 private:
  int before_;
};

}  // namespace retrap::unicorn
