// The digest follows its written definition.
#include "vmm/base/digest.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "vmm/base/prng.h"

namespace retrap {
namespace {

std::vector<std::byte> some_bytes(std::size_t count) {
  Prng prng(count);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(prng.next() & 0xff);
  return bytes;
}

/// The definition of bytes in digest.h, word for word.
Digest slowly(const Digest& before, std::span<const std::byte> bytes) {
  Digest digest = before;
  digest.add(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    for (std::size_t j = i; j < i + 8 && j < bytes.size(); ++j) {
      word |= std::to_integer<std::uint64_t>(bytes[j]) << (8 * (j - i));
    }
    digest.add(word);
  }
  return digest;
}

TEST(Digest, OfBytesFollowsTheDefinitionForEveryLengthAndPhase) {
  for (std::uint64_t phase = 0; phase < 4; ++phase) {
    Digest before;
    for (std::uint64_t i = 0; i < phase; ++i) before.add(i);
    for (std::size_t count = 0; count < 100; ++count) {
      const auto bytes = some_bytes(count);
      Digest digest = before;

      digest.add(bytes);

      EXPECT_EQ(digest, slowly(before, bytes)) << count << " bytes after " << phase << " words";
    }
  }
}

// Computed by another program from the definition. They are in traces: a change of them is a new
// version of the trace format.
TEST(Digest, GivesTheNumbersOfVersionOne) {
  Digest words;
  for (std::uint64_t i = 0; i < 10; ++i) words.add(i);
  Digest text;
  text.add("every trap, again");

  EXPECT_EQ(Digest().value(), 0x2604816e9356f967u);
  EXPECT_EQ(words.value(), 0x5e8a471ca6208a13u);
  EXPECT_EQ(text.value(), 0x2215c9c60d630b17u);
}

TEST(Digest, ChangesWithEveryBit) {
  std::vector<std::byte> bytes(256);
  std::set<std::uint64_t> seen;
  Digest none;
  none.add(bytes);
  seen.insert(none.value());
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    Digest digest;
    digest.add(bytes);
    seen.insert(digest.value());
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }

  EXPECT_EQ(seen.size(), 8 * bytes.size() + 1);
}

TEST(Digest, TellsWhereOnePieceEnds) {
  Digest left;
  left.add("ab");
  left.add("c");
  Digest right;
  right.add("a");
  right.add("bc");

  EXPECT_NE(left.value(), right.value());
}

TEST(Digest, CountsZeroes) {
  Digest shorter;
  shorter.add(std::vector<std::byte>(4096));
  Digest longer;
  longer.add(std::vector<std::byte>(4104));

  EXPECT_NE(shorter.value(), longer.value());
}

}  // namespace
}  // namespace retrap
