// Chance from a seed, the same on every host. The standard library's distributions are not.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "vmm/base/multiply.h"

namespace retrap {

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
/// Turns one seed into many well-mixed words.
class SplitMix64 {
 public:
  explicit constexpr SplitMix64(std::uint64_t seed) : state_(seed) {}

  [[nodiscard]] constexpr std::uint64_t next() {
    state_ += 0x9e37'79b9'7f4a'7c15;
    std::uint64_t word = state_;
    word = (word ^ (word >> 30)) * 0xbf58'476d'1ce4'e5b9;
    word = (word ^ (word >> 27)) * 0x94d0'49bb'1331'11eb;
    return word ^ (word >> 31);
  }

 private:
  std::uint64_t state_;
};

/// xoshiro256** 1.0 (Blackman, Vigna: "Scrambled linear pseudorandom number generators", 2021),
/// seeded through SplitMix64. A value: copy it to draw the same again, compare it, write it down.
class Prng {
 public:
  using State = std::array<std::uint64_t, 4>;

  explicit constexpr Prng(std::uint64_t seed) {
    SplitMix64 words(seed);
    for (std::uint64_t& word : state_) word = words.next();
  }

  /// Goes on where another left off. Requires that `state` is not all zero.
  explicit constexpr Prng(const State& state) : state_(state) {}

  /// The next 64 bits.
  [[nodiscard]] constexpr std::uint64_t next() {
    const std::uint64_t word = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return word;
  }

  /// A number in [0, limit), each as likely as the other; 0 for limit 0.
  /// (Lemire: "Fast random integer generation in an interval", 2019.)
  [[nodiscard]] constexpr std::uint64_t below(std::uint64_t limit) {
    if (limit == 0) return 0;
    const std::uint64_t unfair = (0 - limit) % limit;
    Product product = multiply_wide(next(), limit);
    while (product.low < unfair) product = multiply_wide(next(), limit);
    return product.high;
  }

  /// A number in [first, last]. Requires first <= last.
  [[nodiscard]] constexpr std::uint64_t between(std::uint64_t first, std::uint64_t last) {
    const std::uint64_t span = last - first + 1;
    return span == 0 ? next() : first + below(span);
  }

  /// True `numerator` times out of `denominator`.
  [[nodiscard]] constexpr bool chance(std::uint64_t numerator, std::uint64_t denominator) {
    return below(denominator) < numerator;
  }

  /// A generator of its own for a part of the system, so that one part drawing more does not
  /// change what another part draws.
  [[nodiscard]] constexpr Prng fork() { return Prng(next()); }

  [[nodiscard]] constexpr const State& state() const { return state_; }

  [[nodiscard]] friend constexpr bool operator==(const Prng&, const Prng&) = default;

 private:
  State state_{};
};

}  // namespace retrap
