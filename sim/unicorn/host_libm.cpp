// Functions of libm in the place of the host's, calculated by MPFR.
#include "sim/unicorn/host_libm.h"

#include <dlfcn.h>
#include <mpfr.h>

#include <bit>
#include <cstdint>

#include "sim/unicorn/host_clock.h"

namespace retrap::unicorn {
namespace {

constexpr int kPrecision = 53;  ///< of a double
constexpr std::uint64_t kQuiet = 0x0008'0000'0000'0000;
constexpr std::uint64_t kDefaultNan = 0xfff8'0000'0000'0000;

bool is_nan(double value) {
  return (std::bit_cast<std::uint64_t>(value) & ~(std::uint64_t{1} << 63)) > 0x7ff0'0000'0000'0000;
}

double quiet(double nan) {
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(nan) | kQuiet);
}

/// The exponents of doubles, subnormal ones too, while one lives. MPFR keeps the range for each
/// thread, and somebody else may calculate with it.
class DoubleRange {
 public:
  DoubleRange() : least_(mpfr_get_emin()), most_(mpfr_get_emax()) {
    mpfr_set_emin(-1073);
    mpfr_set_emax(1024);
  }
  ~DoubleRange() {
    mpfr_set_emin(least_);
    mpfr_set_emax(most_);
  }
  DoubleRange(const DoubleRange&) = delete;
  DoubleRange& operator=(const DoubleRange&) = delete;

 private:
  mpfr_exp_t least_;
  mpfr_exp_t most_;
};

class Number {
 public:
  explicit Number(double value) {
    mpfr_init2(value_, kPrecision);
    mpfr_set_d(value_, value, MPFR_RNDN);
  }
  ~Number() { mpfr_clear(value_); }
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;

  [[nodiscard]] mpfr_ptr get() { return value_; }

  /// `inexact` is what the function said that gave the value.
  [[nodiscard]] double rounded(int inexact) {
    mpfr_subnormalize(value_, inexact, MPFR_RNDN);
    if (mpfr_nan_p(value_) != 0) return std::bit_cast<double>(kDefaultNan);
    return mpfr_get_d(value_, MPFR_RNDN);
  }

 private:
  mpfr_t value_;
};

using OfOne = int (*)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t);
using OfTwo = int (*)(mpfr_ptr, mpfr_srcptr, mpfr_srcptr, mpfr_rnd_t);

double of_one(OfOne function, double x) {
  if (is_nan(x)) return quiet(x);
  const DoubleRange range;
  Number number(x);
  return number.rounded(function(number.get(), number.get(), MPFR_RNDN));
}

double of_two(OfTwo function, double x, double y) {
  if (is_nan(x)) return quiet(x);
  if (is_nan(y)) return quiet(y);
  const DoubleRange range;
  Number number(x);
  Number other(y);
  return number.rounded(function(number.get(), number.get(), other.get(), MPFR_RNDN));
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
  return retrap::unicorn::answer<mpfr_sin>("sin", x);
}
__attribute__((visibility("default"))) double cos(double x) noexcept {
  return retrap::unicorn::answer<mpfr_cos>("cos", x);
}
__attribute__((visibility("default"))) void sincos(double x, double* sine,
                                                   double* cosine) noexcept {
  *sine = retrap::unicorn::answer<mpfr_sin>("sin", x);
  *cosine = retrap::unicorn::answer<mpfr_cos>("cos", x);
}
__attribute__((visibility("default"))) double tan(double x) noexcept {
  return retrap::unicorn::answer<mpfr_tan>("tan", x);
}
__attribute__((visibility("default"))) double atan2(double y, double x) noexcept {
  return retrap::unicorn::answer<mpfr_atan2>("atan2", y, x);
}
__attribute__((visibility("default"))) double log(double x) noexcept {
  return retrap::unicorn::answer<mpfr_log>("log", x);
}
__attribute__((visibility("default"))) double pow(double x, double y) noexcept {
  return retrap::unicorn::answer<mpfr_pow>("pow", x, y);
}
}
