// What a register answers to an access: a value, or why not.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <tl/expected.hpp>

namespace retrap {

/// Why a device would not take an access. The bus decides what the guest sees.
enum class IoError : std::uint8_t {
  NoRegister,  ///< nothing lives at this offset
  BadWidth,    ///< the register is there; this width is not
  ReadOnly,
  WriteOnly,
};

/// tl::expected<T, IoError> for T = void and T = std::uint64_t, in whole machine words: each device
/// access gives one, and what is made of single bytes comes back through memory.
template <class T = void>
class IoResult;

template <>
class [[nodiscard]] IoResult<> {
 public:
  constexpr IoResult() = default;
  constexpr IoResult(tl::unexpected<IoError> refusal)  // NOLINT(google-explicit-constructor)
      : refusal_(1 + static_cast<std::uint64_t>(refusal.value())) {}

  [[nodiscard]] constexpr bool has_value() const { return refusal_ == 0; }
  constexpr explicit operator bool() const { return has_value(); }

  /// Only where there is one: else the program stops.
  [[nodiscard]] IoError error() const {
    if (has_value()) [[unlikely]]
      std::abort();
    return static_cast<IoError>(refusal_ - 1);
  }

 private:
  std::uint64_t refusal_ = 0;  ///< 0, or 1 + the IoError
};

template <>
class [[nodiscard]] IoResult<std::uint64_t> {
 public:
  constexpr IoResult(std::uint64_t value) : value_(value) {}  // NOLINT(google-explicit-constructor)
  constexpr IoResult(tl::unexpected<IoError> refusal)         // NOLINT(google-explicit-constructor)
      : taken_(refusal) {}

  [[nodiscard]] constexpr bool has_value() const { return taken_.has_value(); }
  constexpr explicit operator bool() const { return has_value(); }
  [[nodiscard]] IoError error() const { return taken_.error(); }

  /// Zero where there is none.
  [[nodiscard]] constexpr std::uint64_t operator*() const { return value_; }
  [[nodiscard]] constexpr std::uint64_t value_or(std::uint64_t fallback) const {
    return has_value() ? value_ : fallback;
  }
  friend constexpr bool operator==(const IoResult& result, std::uint64_t value) {
    return result.has_value() && result.value_ == value;
  }

 private:
  std::uint64_t value_ = 0;
  IoResult<> taken_;
};

}  // namespace retrap
