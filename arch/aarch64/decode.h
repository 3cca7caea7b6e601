// Which memory an A64 instruction accesses: the whole class "Loads and Stores", and DC by address.
//
// DDI 0487, C4.1.94. Where ESR_EL2.ISV is 0 the monitor has to know; so has the simulated CPU,
// which has to report the exact FAR.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/base/bits.h"

namespace retrap::aarch64 {

/// What an instruction does with memory.
enum class MemoryOp : std::uint8_t {
  Unallocated,
  Load,
  Store,
  LoadExclusive,
  StoreExclusive,
  CompareSwap,  ///< CAS; CASP where registers is 2
  Swap,
  AtomicAdd,
  AtomicClear,
  AtomicEor,
  AtomicSet,
  AtomicSignedMax,
  AtomicSignedMin,
  AtomicUnsignedMax,
  AtomicUnsignedMin,
  Structures,  ///< LD1-LD4, ST1-ST4: see `structure`
  ZeroBlock,   ///< DC ZVA
  Maintain,    ///< DC and IC by address: no data
  Prefetch,    ///< never faults
};

enum class Addressing : std::uint8_t {
  Offset,        ///< base + offset
  PreIndex,      ///< base + offset, which is written back
  PostIndex,     ///< base; base + offset is written back
  PostRegister,  ///< base; base + x[rm] is written back
  Register,      ///< base + extended x[rm]
  Literal,       ///< PC + offset
  Operand,       ///< x[rt]: DC and IC
};

/// The shape of LD1-LD4 and ST1-ST4 (DDI 0487, C4.1.94, "Advanced SIMD load/store ...").
struct StructureShape {
  std::uint8_t repeats = 1;   ///< LD1 of several registers
  std::uint8_t elements = 1;  ///< members of one structure
  std::uint8_t lanes = 1;     ///< structures that a whole register holds; 1 for a single one
  std::uint8_t lane = 0;      ///< single structure: which
  bool single = false;
  bool replicate = false;
  bool quad = false;  ///< 128-bit registers; 64-bit ones are zero above
};

/// One decoded instruction. Register numbers: 31 is SP as a base, else the zero register.
struct MemoryInstruction {
  std::string_view name;
  MemoryOp op = MemoryOp::Unallocated;
  Addressing addressing = Addressing::Offset;
  std::uint8_t size_log2 = 0;  ///< bytes of one register's data: 0-4
  std::uint8_t registers = 1;  ///< 2 for pairs
  bool load = false;           ///< reads memory
  bool store = false;          ///< writes memory
  bool vector = false;
  bool sign_extend = false;
  bool wide = false;          ///< the destination has 64 bits
  bool ordered = false;       ///< acquire or release
  bool unprivileged = false;  ///< LDTR, STTR
  bool syndrome = false;      ///< hardware gives ISV = 1
  std::uint8_t rt = 31;
  std::uint8_t rt2 = 31;
  std::uint8_t rn = 31;
  std::uint8_t rm = 31;
  std::uint8_t rs = 31;
  std::uint8_t extend = 3;  ///< option field: 2 UXTW, 3 LSL, 6 SXTW, 7 SXTX
  std::uint8_t shift = 0;
  std::int64_t offset = 0;
  StructureShape structure;

  /// Bytes from the effective address on.
  [[nodiscard]] constexpr std::uint64_t bytes() const;
  [[nodiscard]] constexpr bool reads_and_writes() const { return load && store; }
};

/// The bytes that DC ZVA zeroes: DCZID_EL0.BS is 4.
inline constexpr std::uint64_t kZeroBlockBytes = 64;

constexpr std::uint64_t MemoryInstruction::bytes() const {
  switch (op) {
    case MemoryOp::ZeroBlock: return kZeroBlockBytes;
    case MemoryOp::Maintain:
    case MemoryOp::Prefetch:  return 1;
    case MemoryOp::Structures:
      return std::uint64_t{structure.repeats} * structure.elements * structure.lanes << size_log2;
    default: return std::uint64_t{registers} << size_log2;
  }
}

/// The instruction, or nothing where `word` does not access memory or is unallocated.
[[nodiscard]] std::optional<MemoryInstruction> decode_memory(std::uint32_t word);

/// LDTR and STTR, which access memory as EL0 does (DDI 0487, C4.1.94.27).
[[nodiscard]] constexpr bool is_unprivileged(std::uint32_t word) {
  return (word & 0x3f20'0c00) == 0x3800'0800;
}

/// Where the access begins. `registers` gives x(index), with 31 = zero, and sp().
template <class Registers>
[[nodiscard]] std::uint64_t effective_address(const MemoryInstruction& insn, std::uint64_t pc,
                                              const Registers& registers) {
  const auto base = [&] { return insn.rn == 31 ? registers.sp() : registers.x(insn.rn); };
  switch (insn.addressing) {
    case Addressing::Literal:      return pc + static_cast<std::uint64_t>(insn.offset);
    case Addressing::Operand:      return registers.x(insn.rt);
    case Addressing::PostIndex:
    case Addressing::PostRegister: return base();
    case Addressing::Offset:
    case Addressing::PreIndex:     return base() + static_cast<std::uint64_t>(insn.offset);
    case Addressing::Register:     break;
  }
  std::uint64_t index = registers.x(insn.rm);
  if (insn.extend == 2) index = static_cast<std::uint32_t>(index);
  if (insn.extend == 6) index = sign_extend(index, 32);
  return base() + (index << insn.shift);
}

}  // namespace retrap::aarch64
