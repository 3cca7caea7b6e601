// Integer arithmetic with its flags, as the instructions that an emulator meets need it.
//
// AMD64 Architecture Programmer's Manual, volume 3 (24594), instruction pages; volume 1, 3.1.4.
#pragma once

#include <cstdint>

namespace retrap::x86_64 {

namespace flag {
inline constexpr std::uint64_t kCarry = 1U << 0;
inline constexpr std::uint64_t kParity = 1U << 2;
inline constexpr std::uint64_t kAuxiliary = 1U << 4;
inline constexpr std::uint64_t kZero = 1U << 6;
inline constexpr std::uint64_t kSign = 1U << 7;
inline constexpr std::uint64_t kTrap = 1U << 8;
inline constexpr std::uint64_t kInterrupt = 1U << 9;
inline constexpr std::uint64_t kDirection = 1U << 10;
inline constexpr std::uint64_t kOverflow = 1U << 11;
inline constexpr std::uint64_t kArithmetic =
    kCarry | kParity | kAuxiliary | kZero | kSign | kOverflow;
}  // namespace flag

/// The order of the first eight is that of the encodings (opcode bits [5:3], ModRM.reg of group 1).
enum class AluOp : std::uint8_t {
  Add,
  Or,
  Adc,
  Sbb,
  And,
  Sub,
  Xor,
  Cmp,
  Test,
  Inc,
  Dec,
  Not,
  Neg,
  Bt,
  Bts,
  Btr,
  Btc,
};

struct AluResult {
  std::uint64_t value;   ///< zero above the width; of Cmp, Test and Bt the unchanged left side
  std::uint64_t rflags;  ///< with everything but the arithmetic flags as before
};

/// `left` op `right` on `bytes` (1, 2, 4 or 8) bytes. Bit operations take the index modulo the
/// width. What the manual leaves undefined stays as it was (AF of logical operations is cleared).
[[nodiscard]] AluResult alu(AluOp op, std::uint64_t left, std::uint64_t right, unsigned bytes,
                            std::uint64_t rflags);

/// Whether the operation writes its left side.
[[nodiscard]] constexpr bool writes_result(AluOp op) {
  return op != AluOp::Cmp && op != AluOp::Test && op != AluOp::Bt;
}

}  // namespace retrap::x86_64
