// From instruction bytes to the memory access that they make.
//
// AMD64 Architecture Programmer's Manual, volume 3 (24594), chapter 1 "Instruction Encoding" and
// appendix A "Opcode and Operand Encodings".
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "arch/x86_64/alu.h"
#include "arch/x86_64/cpu.h"

namespace retrap::x86_64 {

/// What an instruction does with its memory operand.
enum class Action : std::uint8_t {
  Load,          ///< register = memory, zero- or sign-extended
  LoadSwapped,   ///< MOVBE
  Store,         ///< memory = register or immediate
  StoreSwapped,  ///< MOVBE
  AluMemory,     ///< memory = memory op (register or immediate)
  AluRegister,   ///< register = register op memory
  BitMemory,     ///< BT family with a bit index in a register: it moves the address
  Exchange,
  CompareExchange,
  CompareExchangeWide,  ///< CMPXCHG8B, CMPXCHG16B
  ExchangeAdd,
  MoveString,
  StoreString,
  LoadString,
  CompareString,
  ScanString,
  Push,
  Pop,
  ConditionalMove,
  ConditionalSet,
  VectorLoad,  ///< SSE and MMX moves: carried out by the CPU on a scratch page
  VectorStore,
};

enum class Repeat : std::uint8_t { None, WhileEqual, WhileNotEqual };

/// A memory operand before its address is computed.
struct MemoryOperand {
  static constexpr std::uint8_t kNone = 0xff;
  SegmentName segment = SegmentName::Ds;
  std::uint8_t base = kNone;   ///< general register
  std::uint8_t index = kNone;  ///< general register
  std::uint8_t scale = 0;      ///< shift of the index
  bool rip_relative = false;
  std::uint64_t displacement = 0;  ///< sign-extended
  friend bool operator==(const MemoryOperand&, const MemoryOperand&) = default;
};

struct Instruction {
  Action action = Action::Load;
  AluOp alu = AluOp::Add;
  std::uint8_t length = 0;
  std::uint8_t bytes = 0;          ///< of the memory operand: 1, 2, 4, 8, 16
  std::uint8_t operand_bytes = 0;  ///< of the register
  std::uint8_t address_bytes = 0;  ///< 2, 4 or 8
  bool sign_extends = false;
  bool has_immediate = false;
  bool has_rex = false;  ///< byte registers 4 to 7 are then SPL BPL SIL DIL, not AH CH DH BH
  bool lock = false;
  Repeat repeat = Repeat::None;
  std::uint8_t reg = 0;        ///< register operand
  std::uint8_t condition = 0;  ///< of CMOVcc and SETcc
  std::uint64_t immediate = 0;
  MemoryOperand memory;
  friend bool operator==(const Instruction&, const Instruction&) = default;
};

/// Decodes the instruction at the start of `bytes` (at most 15 count) for code whose default
/// operand size is `code_bytes` (2, 4, or 8 for 64-bit code). Nothing where it is none of the
/// forms above, has no memory operand, or is cut short.
[[nodiscard]] std::optional<Instruction> decode(std::span<const std::uint8_t> bytes,
                                                unsigned code_bytes);

/// decode() that remembers: the driver of a device comes back to the same instructions.
class Decoder {
 public:
  /// `bytes` as for decode(). Valid until the next call.
  [[nodiscard]] const std::optional<Instruction>& decode(const std::array<std::uint8_t, 15>& bytes,
                                                         std::size_t size, unsigned code_bytes) {
    // All 15 bytes, one of them twice.
    std::array<std::uint64_t, 2> key;
    std::memcpy(key.data(), bytes.data(), sizeof key[0]);
    std::memcpy(&key[1], bytes.data() + bytes.size() - sizeof key[1], sizeof key[1]);
    Known& known = known_[(bytes[0] ^ bytes[1] ^ bytes[2]) % known_.size()];
    if (known.key[0] != key[0] || known.key[1] != key[1] || known.size != size ||
        known.code_bytes != code_bytes) {
      known = {key, size, code_bytes, x86_64::decode(std::span(bytes).first(size), code_bytes)};
    }
    return known.instruction;
  }

 private:
  struct Known {
    std::array<std::uint64_t, 2> key{};
    std::size_t size = 0;
    unsigned code_bytes = 0;
    std::optional<Instruction> instruction;
  };
  std::array<Known, 16> known_;
};

}  // namespace retrap::x86_64
