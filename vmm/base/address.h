// Addresses that cannot be confused with one another.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace retrap {

/// An address in one address space. Two spaces are two types, so forgetting a
/// translation does not compile.
///
/// There is no operator+: a guest chooses these values, and a sum that wraps is
/// the oldest bug in a hypervisor. Every sum says what happens when it wraps.
template <class Space>
class Address {
 public:
  constexpr Address() = default;
  explicit constexpr Address(std::uint64_t raw) : raw_(raw) {}

  [[nodiscard]] constexpr std::uint64_t raw() const { return raw_; }

  /// The address `bytes` further on, or nothing where that would wrap.
  [[nodiscard]] constexpr std::optional<Address> checked_add(std::uint64_t bytes) const {
    const std::uint64_t sum = raw_ + bytes;
    if (sum < raw_) return std::nullopt;
    return Address(sum);
  }

  /// The address `bytes` further on, modulo 2^64 as the hardware's adder has it.
  [[nodiscard]] constexpr Address wrapping_add(std::uint64_t bytes) const {
    return Address(raw_ + bytes);
  }

  /// The distance back to `base`. Requires base <= *this.
  [[nodiscard]] constexpr std::uint64_t offset_from(Address base) const { return raw_ - base.raw_; }

  [[nodiscard]] constexpr bool is_aligned(std::uint64_t power_of_two) const {
    return (raw_ & (power_of_two - 1)) == 0;
  }

  /// The last multiple of `power_of_two` that is not above this.
  [[nodiscard]] constexpr Address align_down(std::uint64_t power_of_two) const {
    return Address(raw_ & ~(power_of_two - 1));
  }

  friend constexpr auto operator<=>(Address, Address) = default;

 private:
  std::uint64_t raw_ = 0;
};

// clang-format off
struct GuestVirtSpace { static constexpr std::string_view kName = "gva"; };
struct GuestPhysSpace { static constexpr std::string_view kName = "gpa"; };
struct HostPhysSpace  { static constexpr std::string_view kName = "hpa"; };
// clang-format on

using GuestVirt = Address<GuestVirtSpace>;  ///< before stage 1
using GuestPhys = Address<GuestPhysSpace>;  ///< after stage 1 (Arm calls it IPA)
using HostPhys = Address<HostPhysSpace>;    ///< after stage 2

/// [base, base + size). Never empty and never wraps: only make() builds one.
template <class Space>
class AddressRange {
 public:
  using Point = Address<Space>;

  [[nodiscard]] static constexpr std::optional<AddressRange> make(Point base, std::uint64_t size) {
    if (size == 0 || !base.checked_add(size - 1)) return std::nullopt;
    return AddressRange(base, size);
  }

  [[nodiscard]] constexpr Point base() const { return base_; }
  [[nodiscard]] constexpr std::uint64_t size() const { return size_; }
  [[nodiscard]] constexpr Point last() const { return Point(base_.raw() + (size_ - 1)); }

  /// Whether all `bytes` from `at` on lie inside. Straddling accesses do not.
  [[nodiscard]] constexpr bool contains(Point at, std::uint64_t bytes = 1) const {
    return at >= base_ && bytes <= size_ && at.offset_from(base_) <= size_ - bytes;
  }

  [[nodiscard]] constexpr bool contains(AddressRange other) const {
    return contains(other.base_, other.size_);
  }

  [[nodiscard]] constexpr bool overlaps(AddressRange other) const {
    return base_ <= other.last() && other.base_ <= last();
  }

  [[nodiscard]] friend constexpr bool operator==(AddressRange, AddressRange) = default;

 private:
  constexpr AddressRange(Point base, std::uint64_t size) : base_(base), size_(size) {}

  Point base_;
  std::uint64_t size_;
};

using GuestRange = AddressRange<GuestPhysSpace>;
using HostRange = AddressRange<HostPhysSpace>;

namespace literals {
consteval GuestPhys operator""_gpa(unsigned long long raw) {
  return GuestPhys(raw);
}
consteval GuestVirt operator""_gva(unsigned long long raw) {
  return GuestVirt(raw);
}
consteval HostPhys operator""_hpa(unsigned long long raw) {
  return HostPhys(raw);
}
consteval std::uint64_t operator""_KiB(unsigned long long count) {
  return count << 10;
}
consteval std::uint64_t operator""_MiB(unsigned long long count) {
  return count << 20;
}
consteval std::uint64_t operator""_GiB(unsigned long long count) {
  return count << 30;
}
}  // namespace literals

}  // namespace retrap

/// "gpa:0x000009000000".
template <class Space>
struct fmt::formatter<retrap::Address<Space>> : fmt::formatter<std::string_view> {
  auto format(retrap::Address<Space> address, format_context& ctx) const {
    return fmt::format_to(ctx.out(), "{}:{:#014x}", Space::kName, address.raw());
  }
};

/// "gpa:0x000009000000+0x1000".
template <class Space>
struct fmt::formatter<retrap::AddressRange<Space>> : fmt::formatter<std::string_view> {
  auto format(retrap::AddressRange<Space> range, format_context& ctx) const {
    return fmt::format_to(ctx.out(), "{}+{:#x}", range.base(), range.size());
  }
};
