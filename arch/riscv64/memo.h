// Remembers what instructions mean: guests run the same few again and again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace retrap::riscv64 {

/// A cache of `Value compute(std::uint64_t key)` for a function that depends on nothing else. What
/// a slot holds never shows but in time.
template <class Value>
class Memo {
 public:
  /// Valid until the next call.
  template <class Compute>
  [[nodiscard]] const Value& get(std::uint64_t key, Compute compute) {
    Slot& slot = slots_[index_of(key)];
    if (slot.key != key || !slot.used) [[unlikely]]
      slot = {.key = key, .used = true, .value = compute(key)};
    return slot.value;
  }

 private:
  struct Slot {
    std::uint64_t key = 0;
    bool used = false;
    Value value{};
  };
  static constexpr std::size_t kSlots = 64;
  /// Base and destination registers, and the immediate.
  [[nodiscard]] static constexpr std::size_t index_of(std::uint64_t key) {
    return (key ^ (key >> 7) ^ (key >> 15) ^ (key >> 22)) % kSlots;
  }

  std::array<Slot, kSlots> slots_{};
};

}  // namespace retrap::riscv64
