// The full product of two 64-bit words.
#pragma once

#include <cstdint>

namespace retrap {

struct Product {
  std::uint64_t high;
  std::uint64_t low;
};

[[nodiscard]] constexpr Product multiply_wide(std::uint64_t left, std::uint64_t right) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(left) * right;
  return {static_cast<std::uint64_t>(product >> 64), static_cast<std::uint64_t>(product)};
}

}  // namespace retrap
