// Hides the host clock from Unicorn: it sizes its TLB by gettimeofday, which would make the number
// of TLB fills differ from run to run.
#pragma once

namespace retrap::unicorn {

/// While one lives, gettimeofday answers the calls of this thread with a constant. Every other call
/// reaches the C library.
class HostClockStandsStill {
 public:
  HostClockStandsStill();
  ~HostClockStandsStill();
  HostClockStandsStill(const HostClockStandsStill&) = delete;
  HostClockStandsStill& operator=(const HostClockStandsStill&) = delete;
};

}  // namespace retrap::unicorn
