// Functions of libm in the place of the host's, calculated in quadruple precision.
#include "sim/unicorn/host_libm.h"

#include <dlfcn.h>

#include <bit>
#include <cfloat>
#include <cstdint>

#include "sim/unicorn/host_clock.h"

// IEEE 754 binary128, calculated in integers and so without a choice for the CPU. Where long double
// is that, libm has these functions for it; x86 has them in GCC's libquadmath.
#if LDBL_MANT_DIG == 113
using Quad = long double;
#define RETRAP_OF_QUAD(name) name##l
#else
__extension__ using Quad = __float128;
#define RETRAP_OF_QUAD(name) name##q
#endif
extern "C" {
Quad RETRAP_OF_QUAD(sin)(Quad) noexcept;
Quad RETRAP_OF_QUAD(cos)(Quad) noexcept;
Quad RETRAP_OF_QUAD(tan)(Quad) noexcept;
Quad RETRAP_OF_QUAD(atan2)(Quad, Quad) noexcept;
Quad RETRAP_OF_QUAD(log)(Quad) noexcept;
Quad RETRAP_OF_QUAD(pow)(Quad, Quad) noexcept;
}

namespace retrap::unicorn {
namespace {

constexpr std::uint64_t kQuiet = 0x0008'0000'0000'0000;
constexpr std::uint64_t kDefaultNan = 0xfff8'0000'0000'0000;

bool is_nan(double value) {
  return (std::bit_cast<std::uint64_t>(value) & ~(std::uint64_t{1} << 63)) > 0x7ff0'0000'0000'0000;
}

double quiet(double nan) {
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(nan) | kQuiet);
}

double rounded(Quad value) {
  const auto narrow = static_cast<double>(value);
  return is_nan(narrow) ? std::bit_cast<double>(kDefaultNan) : narrow;
}

using OfOne = Quad (*)(Quad) noexcept;
using OfTwo = Quad (*)(Quad, Quad) noexcept;

double of_one(OfOne function, double x) {
  return is_nan(x) ? quiet(x) : rounded(function(x));
}

double of_two(OfTwo function, double x, double y) {
  if (is_nan(x)) return quiet(x);
  return is_nan(y) ? quiet(y) : rounded(function(x, y));
}

template <class Function>
Function after_ours(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

/// What the function `name` of libm answers: ours to an engine, the host's to everybody else.
template <OfOne kOurs>
double answer(const char* name, double x) {
  static const auto theirs = after_ours<double (*)(double)>(name);
  return engines_running > 0 ? of_one(kOurs, x) : theirs(x);
}
template <OfTwo kOurs>
double answer(const char* name, double x, double y) {
  static const auto theirs = after_ours<double (*)(double, double)>(name);
  return engines_running > 0 ? of_two(kOurs, x, y) : theirs(x, y);
}

}  // namespace

void replace_host_libm() {}

}  // namespace retrap::unicorn

// Found before libm's when libunicorn.so looks the names up.
extern "C" {
__attribute__((visibility("default"))) double sin(double x) noexcept {
  return retrap::unicorn::answer<RETRAP_OF_QUAD(sin)>("sin", x);
}
__attribute__((visibility("default"))) double cos(double x) noexcept {
  return retrap::unicorn::answer<RETRAP_OF_QUAD(cos)>("cos", x);
}
__attribute__((visibility("default"))) void sincos(double x, double* sine,
                                                   double* cosine) noexcept {
  *sine = retrap::unicorn::answer<RETRAP_OF_QUAD(sin)>("sin", x);
  *cosine = retrap::unicorn::answer<RETRAP_OF_QUAD(cos)>("cos", x);
}
__attribute__((visibility("default"))) double tan(double x) noexcept {
  return retrap::unicorn::answer<RETRAP_OF_QUAD(tan)>("tan", x);
}
__attribute__((visibility("default"))) double atan2(double y, double x) noexcept {
  return retrap::unicorn::answer<RETRAP_OF_QUAD(atan2)>("atan2", y, x);
}
__attribute__((visibility("default"))) double log(double x) noexcept {
  return retrap::unicorn::answer<RETRAP_OF_QUAD(log)>("log", x);
}
__attribute__((visibility("default"))) double pow(double x, double y) noexcept {
  return retrap::unicorn::answer<RETRAP_OF_QUAD(pow)>("pow", x, y);
}
}
