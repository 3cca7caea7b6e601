// A 64-bit fingerprint of a state: equal states, equal numbers, on every host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/base/multiply.h"

namespace retrap {

/// A streaming hash over a sequence of 64-bit words. Fast, well mixed, and not cryptographic: it
/// tells runs apart, it does not stand against an attacker. Version 1, by definition:
///
///   fold(a, b)  = high 64 bits of a*b, exclusive-or low 64 bits of a*b
///   kStep       = 0x9e3779b97f4a7c15, kLast = 0xbf58476d1ce4e5b9
///   lanes       L0..L3 begin as kSeeds, n as 0
///   word w      L[n mod 4] = fold(L[n mod 4] ^ w, kStep) + w; n = n + 1
///   bytes       the word `size`, then the bytes as little-endian words, the last one filled up
///               with zeroes (so that "ab","c" and "a","bc" differ)
///   value       h = n; for each lane: h = fold(h ^ lane, kLast) + lane; h ^ (h >> 32)
class Digest {
 public:
  constexpr void add(std::uint64_t word) {
    step(lanes_[count_ % kLanes], word);
    ++count_;
  }

  void add(std::span<const std::byte> bytes);

  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }

  /// The fingerprint of everything added so far. More may follow.
  [[nodiscard]] constexpr std::uint64_t value() const {
    std::uint64_t hash = count_;
    for (const std::uint64_t lane : lanes_) hash = fold(hash ^ lane, kLast) + lane;
    return hash ^ (hash >> 32);
  }

  [[nodiscard]] friend constexpr bool operator==(const Digest&, const Digest&) = default;

 private:
  static constexpr std::size_t kLanes = 4;
  static constexpr std::uint64_t kStep = 0x9e37'79b9'7f4a'7c15;
  static constexpr std::uint64_t kLast = 0xbf58'476d'1ce4'e5b9;
  static constexpr std::array<std::uint64_t, kLanes> kSeeds = {
      0x243f'6a88'85a3'08d3, 0x1319'8a2e'0370'7344, 0xa409'3822'299f'31d0, 0x082e'fa98'ec4e'6c89};

  [[nodiscard]] static constexpr std::uint64_t fold(std::uint64_t left, std::uint64_t right) {
    const Product product = multiply_wide(left, right);
    return product.high ^ product.low;
  }

  static constexpr void step(std::uint64_t& lane, std::uint64_t word) {
    lane = fold(lane ^ word, kStep) + word;
  }

  std::array<std::uint64_t, kLanes> lanes_ = kSeeds;
  std::uint64_t count_ = 0;
};

}  // namespace retrap
