// Stops the host clock for calls that Unicorn makes while it runs; all others pass on.
#include "sim/unicorn/host_clock.h"

#include <dlfcn.h>
#include <sys/time.h>

namespace retrap::unicorn {
namespace {

// The one piece of global state of the project: an interposed C function has no `this`.
thread_local int engines_running = 0;

using GetTimeOfDay = int (*)(timeval*, void*);

GetTimeOfDay real_gettimeofday() {
  static const auto real = reinterpret_cast<GetTimeOfDay>(dlsym(RTLD_NEXT, "gettimeofday"));
  return real;
}

}  // namespace

HostClockStandsStill::HostClockStandsStill() {
  ++engines_running;
}
HostClockStandsStill::~HostClockStandsStill() {
  --engines_running;
}

}  // namespace retrap::unicorn

// Found before the C library's when libunicorn.so looks the name up.
extern "C" __attribute__((visibility("default"))) int gettimeofday(struct timeval* __restrict time,
                                                                   void* __restrict zone) noexcept {
  if (retrap::unicorn::engines_running > 0) {
    *time = {.tv_sec = 1'000'000'000, .tv_usec = 0};
    return 0;
  }
  return retrap::unicorn::real_gettimeofday()(time, zone);
}
