// Which translated blocks hold an instruction that may need a look before it runs.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/base/bits.h"

namespace retrap::unicorn::aarch64 {

/// The engine never traps FP (CPACR_EL1.FPEN has no effect in it), and returns from exceptions to
/// states that the model does not have. So each block is looked at when it is translated, and
/// marked ones are looked at again before they run while the guest's registers make it necessary.
/// Conservative: an address may be marked for another block's sake.
class BlockMarks {
 public:
  void mark(std::uint64_t at) {
    marked_[index_of(at)] = true;
    any_ = true;
  }
  [[nodiscard]] bool may_have(std::uint64_t at) const { return marked_[index_of(at)]; }
  [[nodiscard]] bool any() const { return any_; }

 private:
  [[nodiscard]] static constexpr std::size_t index_of(std::uint64_t at) {
    return (at >> 2 ^ at >> 18) & 0xffff;
  }
  std::array<bool, 0x10000> marked_{};
  bool any_ = false;
};

/// Branches to a label or to a register, taken or not: they end every block.
[[nodiscard]] constexpr bool is_branch(std::uint32_t word) {
  return (word & 0x7c00'0000) == 0x1400'0000 ||  // B, BL
         (word & 0xff00'0000) == 0x5400'0000 ||  // B.cond
         (word & 0x7c00'0000) == 0x3400'0000 ||  // CBZ, CBNZ, TBZ, TBNZ
         (word & 0xff9f'fc1f) == 0xd61f'0000;    // BR, BLR, RET
}

/// SIMD, FP, and loads and stores of their registers (DDI 0487, C4.1, op0 x111 and x1x0 with V).
[[nodiscard]] constexpr bool is_fp(std::uint32_t word) {
  return extract(word, 27, 25) == 7 || ((word & 0x0a00'0000) == 0x0800'0000 && has_bit(word, 26));
}

inline constexpr std::uint32_t kEret = 0xd69f'03e0;

}  // namespace retrap::unicorn::aarch64
