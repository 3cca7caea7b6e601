// Instruction tables that the compiler proofreads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace retrap {

/// An encoding as the manual draws it, high bit first: "ss11 1001 01ii iiii iiii iinn nnnt tttt".
/// 0 and 1 must match; a letter names a field; spaces are for the reader.
template <int kBits>
struct BasicPattern {
  std::uint32_t mask = 0;
  std::uint32_t match = 0;

  consteval BasicPattern(const char* drawing) {  // NOLINT(google-explicit-constructor): a table
    int place = kBits;
    for (const char* c = drawing; *c != '\0'; ++c) {
      if (*c == ' ') continue;
      if (--place < 0) throw "a pattern has too many bits";
      const std::uint32_t here = std::uint32_t{1} << place;
      if (*c == '0' || *c == '1') mask |= here;
      if (*c == '1') match |= here;
    }
    if (place != 0) throw "a pattern has too few bits";
  }

  [[nodiscard]] constexpr bool matches(std::uint32_t word) const { return (word & mask) == match; }

  [[nodiscard]] constexpr bool overlaps(BasicPattern other) const {
    return (mask & other.mask & (match ^ other.match)) == 0;
  }

  /// Every word this pattern matches, `other` matches too.
  [[nodiscard]] constexpr bool refines(BasicPattern other) const {
    return overlaps(other) && (mask & other.mask) == other.mask;
  }
};

using Pattern = BasicPattern<32>;
using HalfPattern = BasicPattern<16>;

/// One row of a table: the manual's name, its drawing, and what makes the instruction of a word.
template <class Insn, int kBits = 32>
struct DecodeRow {
  std::string_view name;
  BasicPattern<kBits> pattern;
  Insn (*build)(std::uint32_t word);
};

/// Whether the first match is the only sensible one: two rows may overlap only where the earlier
/// row is a special case of the later.
template <class Insn, int kBits, std::size_t N>
[[nodiscard]] consteval bool is_unambiguous(const std::array<DecodeRow<Insn, kBits>, N>& table) {
  for (std::size_t late = 0; late < N; ++late) {
    for (std::size_t early = 0; early < late; ++early) {
      const BasicPattern<kBits> a = table[early].pattern;
      const BasicPattern<kBits> b = table[late].pattern;
      if (a.overlaps(b) && !(a.refines(b) && a.mask != b.mask)) return false;
    }
  }
  return true;
}

/// The first row that matches `word`, or null.
template <class Insn, int kBits, std::size_t N>
[[nodiscard]] constexpr const DecodeRow<Insn, kBits>* find_row(
    const std::array<DecodeRow<Insn, kBits>, N>& table, std::uint32_t word) {
  for (const DecodeRow<Insn, kBits>& row : table) {
    if (row.pattern.matches(word)) return &row;
  }
  return nullptr;
}

}  // namespace retrap
