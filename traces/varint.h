// Numbers of as many bytes as they need: seven bits a byte, the lowest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bytes.h"

namespace retrap::traces {

using ByteVector = std::vector<std::byte>;

inline void append_byte(ByteVector& to, std::uint64_t value) {
  to.push_back(static_cast<std::byte>(value & 0xff));
}

inline void append_varint(ByteVector& to, std::uint64_t value) {
  while (value >= 0x80) {
    to.push_back(static_cast<std::byte>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  to.push_back(static_cast<std::byte>(value));
}

template <std::unsigned_integral T>
void append_le(ByteVector& to, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    append_byte(to, static_cast<std::uint64_t>(value) >> (8 * i));
  }
}

inline void append_bytes(ByteVector& to, ConstBytes bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// The length, then the bytes.
inline void append_text(ByteVector& to, std::string_view text) {
  append_varint(to, text.size());
  append_bytes(to, std::as_bytes(std::span(text)));
}

/// Small numbers for small differences, to either side.
[[nodiscard]] constexpr std::uint64_t zigzag(std::uint64_t difference) {
  return (difference << 1) ^ (0 - (difference >> 63));
}
[[nodiscard]] constexpr std::uint64_t unzigzag(std::uint64_t word) {
  return (word >> 1) ^ (0 - (word & 1));
}

/// Takes numbers off the front of a buffer. Past the end, and for a number of more than 64 bits,
/// it gives zero and is not good() from then on.
class ByteSource {
 public:
  ByteSource() = default;
  explicit ByteSource(ConstBytes bytes) : bytes_(bytes) {}

  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return at_ == bytes_.size(); }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }

  [[nodiscard]] std::uint8_t byte() {
    if (at_ == bytes_.size()) [[unlikely]]
      return static_cast<std::uint8_t>(failed());
    return std::to_integer<std::uint8_t>(bytes_[at_++]);
  }

  [[nodiscard]] std::uint64_t varint() {
    std::uint64_t value = byte();
    if (value < 0x80) return value;
    value &= 0x7f;
    for (unsigned shift = 7; shift < 64; shift += 7) {
      const std::uint64_t next = byte();
      if (shift == 63 && next > 1) return failed();
      value |= (next & 0x7f) << shift;
      if (next < 0x80) return value;
    }
    return failed();
  }

  template <std::unsigned_integral T>
  [[nodiscard]] T le() {
    const auto value = load_le<T>(bytes_, at_);
    if (!value) return static_cast<T>(failed());
    at_ += sizeof(T);
    return *value;
  }

  [[nodiscard]] ConstBytes bytes(std::uint64_t count) {
    if (count > left()) {
      (void)failed();
      return {};
    }
    const ConstBytes taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }

  [[nodiscard]] std::string text() {
    const ConstBytes taken = bytes(varint());
    std::string text;
    for (const std::byte byte : taken) text.push_back(static_cast<char>(byte));
    return text;
  }

 private:
  std::uint64_t failed() {
    good_ = false;
    at_ = bytes_.size();
    return 0;
  }

  ConstBytes bytes_;
  std::size_t at_ = 0;
  bool good_ = true;
};

}  // namespace retrap::traces
