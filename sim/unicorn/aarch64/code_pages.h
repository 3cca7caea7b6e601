// Where recently executed virtual pages are in host memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace retrap::unicorn::aarch64 {

/// A small cache from virtual page to host bytes, for reading the instruction at a PC without a
/// walk. Forgotten as a whole by whatever may change a mapping.
class CodePages {
 public:
  [[nodiscard]] const std::byte* find(std::uint64_t va) const {
    const Entry& entry = entries_[index_of(va)];
    return entry.page == va >> 12 && entry.age == age_ ? entry.bytes + (va & 0xfff) : nullptr;
  }
  /// `bytes` is the start of the host page that `va` is in.
  void remember(std::uint64_t va, const std::byte* bytes) {
    entries_[index_of(va)] = {.page = va >> 12, .age = age_, .bytes = bytes};
  }
  void forget() { ++age_; }

 private:
  struct Entry {
    std::uint64_t page = ~std::uint64_t{0};
    std::uint64_t age = 0;
    const std::byte* bytes = nullptr;
  };
  [[nodiscard]] static std::size_t index_of(std::uint64_t va) { return (va >> 12) & 255; }

  std::array<Entry, 256> entries_{};
  std::uint64_t age_ = 1;
};

}  // namespace retrap::unicorn::aarch64
