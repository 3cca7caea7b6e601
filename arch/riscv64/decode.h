// Loads, stores and atomics: from their bits to what they want from memory, and into htinst.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/base/width.h"

namespace retrap::riscv64 {

enum class MemoryKind : std::uint8_t {
  Load,
  Store,
  LoadFloat,
  StoreFloat,
  LoadReserved,
  StoreConditional,
  Amo,
};

/// funct5 of the atomic memory operations (Unprivileged Architecture, "A" extension).
enum class AmoOperation : std::uint8_t {
  Add = 0b00000,
  Swap = 0b00001,
  Xor = 0b00100,
  Or = 0b01000,
  And = 0b01100,
  Min = 0b10000,
  Max = 0b10100,
  MinU = 0b11000,
  MaxU = 0b11100,
};

/// An instruction that accesses memory, taken apart.
struct MemoryInstruction {
  std::string_view name;  ///< as the manual writes it: "lw", "c.sdsp", "amoadd"
  MemoryKind kind = MemoryKind::Load;
  Width width = Width::Byte;
  bool signed_ext = false;               ///< loads: extend by sign
  AmoOperation amo = AmoOperation::Add;  ///< Amo
  std::uint8_t rd = 0;                   ///< x or f register; the destination
  std::uint8_t rs1 = 0;                  ///< x register; the base
  std::uint8_t rs2 = 0;                  ///< x or f register; what is stored
  std::uint8_t length = 4;               ///< of the instruction as it was fetched: 2 or 4
  std::int64_t offset = 0;               ///< added to rs1
  std::uint32_t word = 0;                ///< the 32-bit form

  [[nodiscard]] constexpr bool writes_memory() const {
    return kind == MemoryKind::Store || kind == MemoryKind::StoreFloat ||
           kind == MemoryKind::StoreConditional || kind == MemoryKind::Amo;
  }
  friend bool operator==(const MemoryInstruction&, const MemoryInstruction&) = default;
};

/// 4 for an instruction that begins with `low_half`, 2 for a compressed one.
[[nodiscard]] constexpr std::uint8_t instruction_length(std::uint32_t low_half) {
  return (low_half & 3) == 3 ? 4 : 2;
}

/// Decodes an instruction: 32 bits, or a compressed one in bits [15:0]. Nothing where it is none of
/// RV64GC that accesses memory (fences and instruction fetch aside).
[[nodiscard]] std::optional<MemoryInstruction> decode_memory(std::uint32_t instruction);

/// The transformed standard instruction for htinst (Privileged Architecture, "Transformed
/// Instruction"): immediates cleared, `address_offset` (from the address of the access to stval) in
/// place of rs1, bit 1 clear for a compressed one.
[[nodiscard]] std::uint32_t transformed(const MemoryInstruction& instruction,
                                        std::uint64_t address_offset);

/// A transformed instruction read back.
struct TransformedInstruction {
  MemoryInstruction instruction;  ///< rs1 and offset are gone
  std::uint64_t address_offset;
};

/// Nothing where htinst holds no transformed load, store or atomic.
[[nodiscard]] std::optional<TransformedInstruction> decode_transformed(std::uint64_t htinst);

}  // namespace retrap::riscv64
