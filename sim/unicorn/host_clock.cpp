// Stops the host clock for calls that Unicorn makes while it runs; all others pass on.
#include "sim/unicorn/host_clock.h"

#include <dlfcn.h>
#include <sys/time.h>

namespace retrap::unicorn {

constinit thread_local int engines_running = 0;

namespace {

using GetTimeOfDay = int (*)(timeval*, void*);

GetTimeOfDay real_gettimeofday() {
  static const auto real = reinterpret_cast<GetTimeOfDay>(dlsym(RTLD_NEXT, "gettimeofday"));
  return real;
}

}  // namespace

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
