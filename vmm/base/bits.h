// Fields of machine words, and alignment. Bits are named as manuals name them: [high:low].
#pragma once

#include <cstdint>
#include <optional>

namespace retrap {

/// `count` ones from bit 0 on; count is 0 to 64.
[[nodiscard]] constexpr std::uint64_t low_bits(unsigned count) {
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

/// A word with only bit `index` set; index is 0 to 63.
[[nodiscard]] constexpr std::uint64_t bit(unsigned index) {
  return std::uint64_t{1} << index;
}

[[nodiscard]] constexpr bool has_bit(std::uint64_t value, unsigned index) {
  return ((value >> index) & 1) != 0;
}

/// value[high:low], moved down to bit 0. Requires 63 >= high >= low.
[[nodiscard]] constexpr std::uint64_t extract(std::uint64_t value, unsigned high, unsigned low) {
  return (value >> low) & low_bits(high - low + 1);
}

/// `value` with `field` in [high:low]; what of `field` does not fit is dropped.
[[nodiscard]] constexpr std::uint64_t insert(std::uint64_t value, unsigned high, unsigned low,
                                             std::uint64_t field) {
  const std::uint64_t mask = low_bits(high - low + 1) << low;
  return (value & ~mask) | ((field << low) & mask);
}

/// The low `count` bits of `value` as a signed number, widened to 64 bits; count is 1 to 64.
[[nodiscard]] constexpr std::uint64_t sign_extend(std::uint64_t value, unsigned count) {
  const std::uint64_t sign = bit(count - 1);
  return ((value & low_bits(count)) ^ sign) - sign;
}

[[nodiscard]] constexpr bool is_power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

[[nodiscard]] constexpr bool is_aligned(std::uint64_t value, std::uint64_t power_of_two) {
  return (value & (power_of_two - 1)) == 0;
}

[[nodiscard]] constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t power_of_two) {
  return value & ~(power_of_two - 1);
}

/// The first multiple that is not below `value`. Requires that there is one: for numbers that a
/// guest or a file chose use checked_align_up.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t power_of_two) {
  return align_down(value + (power_of_two - 1), power_of_two);
}

/// The first multiple that is not below `value`, or nothing where it is 2^64.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_align_up(std::uint64_t value,
                                                                      std::uint64_t power_of_two) {
  if (value > ~std::uint64_t{0} - (power_of_two - 1)) return std::nullopt;
  return align_up(value, power_of_two);
}

/// The sum, or nothing where it wraps.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_add(std::uint64_t left,
                                                                 std::uint64_t right) {
  const std::uint64_t sum = left + right;
  if (sum < left) return std::nullopt;
  return sum;
}

}  // namespace retrap
