// The fast path of the digest: four words a round, in four independent lanes.
#include "vmm/base/digest.h"

#include <cstring>

#include "vmm/base/bytes.h"

namespace retrap {
namespace {

std::uint64_t word_at(const std::byte* from) {
  std::uint64_t word = 0;
  std::memcpy(&word, from, sizeof(word));
  return little_endian(word);
}

}  // namespace

void Digest::add(std::span<const std::byte> bytes) {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  add(bytes.size());
  while (count_ % kLanes != 0 && bytes.size() >= kWord) {
    add(word_at(bytes.data()));
    bytes = bytes.subspan(kWord);
  }
  if (bytes.size() >= kLanes * kWord) {
    auto [a, b, c, d] = lanes_;
    const std::size_t rounds = bytes.size() / (kLanes * kWord);
    const std::byte* from = bytes.data();
    for (std::size_t round = 0; round < rounds; ++round, from += kLanes * kWord) {
      step(a, word_at(from));
      step(b, word_at(from + kWord));
      step(c, word_at(from + 2 * kWord));
      step(d, word_at(from + 3 * kWord));
    }
    lanes_ = {a, b, c, d};
    count_ += rounds * kLanes;
    bytes = bytes.subspan(rounds * kLanes * kWord);
  }
  for (; bytes.size() >= kWord; bytes = bytes.subspan(kWord)) add(word_at(bytes.data()));
  if (!bytes.empty()) {
    std::array<std::byte, kWord> last{};
    std::memcpy(last.data(), bytes.data(), bytes.size());
    add(word_at(last.data()));
  }
}

}  // namespace retrap
