// Little-endian words in buffers: guests, traces and images all have that order.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "vmm/base/width.h"

namespace retrap {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

/// `value` with its bytes in the other order where the host is big-endian.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T little_endian(T value) {
  if constexpr (std::endian::native == std::endian::little) return value;
  auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
  for (std::size_t i = 0; i < sizeof(T) / 2; ++i) std::swap(bytes[i], bytes[sizeof(T) - 1 - i]);
  return std::bit_cast<T>(bytes);
}

/// The word at `offset`, or nothing where the buffer ends before it does.
template <std::unsigned_integral T>
[[nodiscard]] std::optional<T> load_le(ConstBytes buffer, std::uint64_t offset = 0) {
  if (offset > buffer.size() || buffer.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, buffer.data() + offset, sizeof(T));
  return little_endian(value);
}

/// Writes the word at `offset`; false, and nothing written, where the buffer ends before it does.
template <std::unsigned_integral T>
[[nodiscard]] bool store_le(Bytes buffer, std::uint64_t offset, T value) {
  if (offset > buffer.size() || buffer.size() - offset < sizeof(T)) return false;
  value = little_endian(value);
  std::memcpy(buffer.data() + offset, &value, sizeof(T));
  return true;
}

/// The word of `width` at `offset`, zero-extended.
[[nodiscard]] std::optional<std::uint64_t> load_le(ConstBytes buffer, std::uint64_t offset,
                                                   Width width);

/// Writes the low `width` bytes of `value`; false, and nothing written, where they do not fit.
[[nodiscard]] bool store_le(Bytes buffer, std::uint64_t offset, Width width, std::uint64_t value);

}  // namespace retrap
