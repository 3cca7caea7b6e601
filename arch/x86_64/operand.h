// A memory operand on its way: linear address to guest-physical pieces that do not cross a page.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/decode.h"

namespace retrap::x86_64 {

/// Part of an operand: one access of a bus.
struct Piece {
  GuestPhys gpa;
  std::uint8_t offset;  ///< from the start of the operand
  Width width;
};

/// An operand of up to 16 bytes that has been translated.
struct Operand {
  static constexpr std::size_t kMostBytes = 16;
  /// Powers of two on both sides of a page end: 1 + 2 + 4, and 8 + 1.
  static constexpr std::size_t kMostPieces = 5;
  std::array<Piece, kMostPieces> storage{};
  std::uint8_t count = 0;

  [[nodiscard]] std::span<const Piece> pieces() const { return std::span(storage).first(count); }
};

/// Why an operand could not be had.
struct OperandFault {
  enum class Kind : std::uint8_t {
    Guest,    ///< the guest has been given an exception
    Nested,   ///< a page table of the guest needs stage 2: `gpa`, `info1` as of a nested page fault
    Refused,  ///< the port refused an access
  };
  Kind kind;
  GuestPhys gpa;
  std::uint64_t info1 = 0;
};

/// Computes and translates the operands of the instruction at RIP.
class OperandReader {
 public:
  explicit OperandReader(Cpu& cpu) : cpu_(cpu) {}

  /// The length of the instruction: RIP-relative operands count from its end.
  void set_length(unsigned length) { length_ = length; }

  /// The access that took `exit` needs no other walk of the guest's tables.
  void know(const RawExit& exit);

  /// Base + index + displacement in the width of addresses, then the segment's base.
  [[nodiscard]] std::uint64_t linear(const Instruction& instruction) const;
  /// `segment`:`offset`, where the offset has `address_bytes`.
  [[nodiscard]] std::uint64_t linear(SegmentName segment, std::uint64_t offset,
                                     unsigned address_bytes) const;

  /// Translates [linear, linear + bytes). On a page fault or a non-canonical address the guest gets
  /// its exception.
  [[nodiscard]] std::optional<OperandFault> translate(std::uint64_t linear, unsigned bytes,
                                                      Access access, SegmentName segment,
                                                      Operand& operand);

 private:
  [[nodiscard]] OperandFault fault(const Translation& translation, std::uint64_t linear,
                                   SegmentName segment);

  [[nodiscard]] Translation translate(std::uint64_t linear, Access access, Privilege privilege);

  static constexpr std::uint64_t kNowhere = 1;  ///< no page begins there

  Cpu& cpu_;
  unsigned length_ = 0;
  std::uint64_t known_page_ = kNowhere;  ///< linear, and
  GuestPhys known_gpa_;                  ///< what it means
};

}  // namespace retrap::x86_64
