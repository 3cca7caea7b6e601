// The size of one access to a bus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace retrap {

/// The size of one bus access in bytes. There is no three-byte access to worry about.
enum class Width : std::uint8_t { Byte = 1, Half = 2, Word = 4, Double = 8 };

/// axvm's name for the type. Its values are called Byte, Word (16 bits), Dword and Qword; see
/// axvm_name().
using AccessWidth = Width;

[[nodiscard]] constexpr std::uint64_t bytes(Width width) {
  return static_cast<std::uint64_t>(width);
}

[[nodiscard]] constexpr unsigned bits(Width width) {
  return 8 * static_cast<unsigned>(width);
}

/// All ones in the low `width` bytes: what a bus floats to where nobody answers.
[[nodiscard]] constexpr std::uint64_t all_ones(Width width) {
  return ~std::uint64_t{0} >> (64 - bits(width));
}

/// `value` without what is above `width`.
[[nodiscard]] constexpr std::uint64_t truncate(std::uint64_t value, Width width) {
  return value & all_ones(width);
}

/// The width of an access of `count` bytes, or nothing where no bus access has that size.
[[nodiscard]] constexpr std::optional<Width> width_of(std::size_t count) {
  switch (count) {
    case 1:  return Width::Byte;
    case 2:  return Width::Half;
    case 4:  return Width::Word;
    case 8:  return Width::Double;
    default: return std::nullopt;
  }
}

/// The name that axvm and its users give to this width.
[[nodiscard]] constexpr std::string_view axvm_name(Width width) {
  switch (width) {
    case Width::Byte:   return "Byte";
    case Width::Half:   return "Word";
    case Width::Word:   return "Dword";
    case Width::Double: return "Qword";
  }
  return "?";
}

}  // namespace retrap
