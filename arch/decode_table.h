// Instruction tables that the compiler proofreads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace retrap {

/// An encoding as the manual draws it, high bit first: "ss11 1001 01ii iiii iiii iinn nnnt tttt".
/// 0 and 1 must match; a letter names a field; spaces are for the reader.
struct Pattern {
  std::uint32_t mask = 0;
  std::uint32_t match = 0;

  consteval Pattern(const char* drawing) {  // NOLINT(google-explicit-constructor): reads as a table
    int bit = 32;
    for (const char* c = drawing; *c != '\0'; ++c) {
      if (*c == ' ') continue;
      if (--bit < 0) throw "a pattern has more than 32 bits";
      const std::uint32_t here = std::uint32_t{1} << bit;
      if (*c == '0' || *c == '1') mask |= here;
      if (*c == '1') match |= here;
    }
    if (bit != 0) throw "a pattern has fewer than 32 bits";
  }

  [[nodiscard]] constexpr bool matches(std::uint32_t word) const { return (word & mask) == match; }

  [[nodiscard]] constexpr bool overlaps(Pattern other) const {
    return (mask & other.mask & (match ^ other.match)) == 0;
  }

  /// Every word this pattern matches, `other` matches too.
  [[nodiscard]] constexpr bool refines(Pattern other) const {
    return overlaps(other) && (mask & other.mask) == other.mask;
  }
};

template <class Insn>
struct DecodeRow {
  std::string_view name;
  Pattern pattern;
  Insn (*build)(std::uint32_t word);
};

/// Whether the first match is the only sensible one: two rows may overlap only where the earlier
/// row is a special case of the later.
template <class Insn, std::size_t N>
[[nodiscard]] consteval bool is_unambiguous(const std::array<DecodeRow<Insn>, N>& table) {
  for (std::size_t late = 0; late < N; ++late) {
    for (std::size_t early = 0; early < late; ++early) {
      const Pattern a = table[early].pattern;
      const Pattern b = table[late].pattern;
      if (a.overlaps(b) && !(a.refines(b) && a.mask != b.mask)) return false;
    }
  }
  return true;
}

}  // namespace retrap
