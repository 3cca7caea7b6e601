// Register tables: a device's registers as its manual lists them, and one rule for looking them up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "vmm/device.h"

namespace retrap {

/// One row: where the register is, what the manual calls it, and what an access does. A null
/// handler makes it write-only or read-only.
template <class D>
struct Register {
  std::uint64_t offset;
  std::string_view name;
  std::uint64_t (D::*read)();
  void (D::*write)(std::uint64_t value);
};

/// Which widths a device's registers take, all of them the same.
struct WidthRule {
  Width narrowest;
  Width widest;
  [[nodiscard]] constexpr bool takes(Width width) const {
    return width >= narrowest && width <= widest;
  }
};

template <class D, std::size_t N>
[[nodiscard]] constexpr bool is_sorted(const std::array<Register<D>, N>& table) {
  for (std::size_t row = 1; row < N; ++row) {
    if (table[row - 1].offset >= table[row].offset) return false;
  }
  return true;
}

/// The row at `offset`, or null: an offset inside a register is no register.
template <class D, std::size_t N>
[[nodiscard]] constexpr const Register<D>* find_register(const std::array<Register<D>, N>& table,
                                                         std::uint64_t offset) {
  for (const Register<D>& row : table) {
    if (row.offset == offset) return &row;
  }
  return nullptr;
}

template <class D, std::size_t N>
[[nodiscard]] IoResult<std::uint64_t> read_register(D& device,
                                                    const std::array<Register<D>, N>& table,
                                                    const Access& access, WidthRule rule) {
  const Register<D>* const row = find_register(table, access.offset);
  if (row == nullptr) return tl::unexpected(IoError::NoRegister);
  if (!rule.takes(access.width)) return tl::unexpected(IoError::BadWidth);
  if (row->read == nullptr) return tl::unexpected(IoError::WriteOnly);
  return truncate((device.*row->read)(), access.width);
}

/// A write narrower than the register has zeroes above.
template <class D, std::size_t N>
[[nodiscard]] IoResult<> write_register(D& device, const std::array<Register<D>, N>& table,
                                        const Access& access, std::uint64_t value, WidthRule rule) {
  const Register<D>* const row = find_register(table, access.offset);
  if (row == nullptr) return tl::unexpected(IoError::NoRegister);
  if (!rule.takes(access.width)) return tl::unexpected(IoError::BadWidth);
  if (row->write == nullptr) return tl::unexpected(IoError::ReadOnly);
  (device.*row->write)(truncate(value, access.width));
  return {};
}

}  // namespace retrap
