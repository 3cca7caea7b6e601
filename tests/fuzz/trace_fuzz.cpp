// Fuzzes the trace reader and every exporter: trace_fuzz -runs=N (preset fuzz).
#include <fmt/format.h>

#include <cstdlib>
#include <span>

#include "tests/traces/mutations.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t room);

namespace retrap::traces::test {
namespace {

ConstBytes bytes_of(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

/// Whatever is refused is refused in one line that names file and offset.
void check(const Result<>& read) {
  if (read) return;
  const std::string& message = read.error().message;
  if (message.starts_with("t.rtr: offset 0x") && message.find('\n') == std::string::npos) return;
  fmt::print(stderr, "not one clear line: {}\n", message);
  std::abort();
}

void read_both_ways(ConstBytes bytes) {
  const auto strict = read_everything({bytes.begin(), bytes.end()});
  check(strict);
  if (!strict) check(read_everything({bytes.begin(), bytes.end()}, {.up_to_damage = true}));
}

/// Changes the bytes of one block, whose length may change with them.
ByteVector with_a_block_changed(ByteVector bytes, Prng& prng) {
  std::vector<std::size_t> places;
  std::size_t at = kPrefixSize;
  while (at + kFrameSize <= bytes.size()) {
    const std::uint32_t stored = *load_le<std::uint32_t>(bytes, at + 8);
    if (stored > bytes.size() - at - kFrameSize) break;
    places.push_back(at);
    at += kFrameSize + stored;
  }
  if (places.empty()) return bytes;
  at = places[static_cast<std::size_t>(prng.below(places.size()))];
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at + kFrameSize);
  const std::uint32_t stored = *load_le<std::uint32_t>(bytes, at + 8);
  const auto end = begin + static_cast<std::ptrdiff_t>(stored);
  std::vector<std::uint8_t> payload;
  for (auto byte = begin; byte != end; ++byte) {
    payload.push_back(std::to_integer<std::uint8_t>(*byte));
  }
  payload.resize(stored + 64);
  payload.resize(LLVMFuzzerMutate(payload.data(), stored, payload.size()));
  const auto changed = std::as_bytes(std::span(payload));
  bytes.erase(begin, end);
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at + kFrameSize), changed.begin(),
               changed.end());
  const auto size = static_cast<std::uint32_t>(payload.size());
  (void)store_le(bytes, at + 8, size);
  if (bytes[at + 5] == std::byte{0}) (void)store_le(bytes, at + 12, size);
  return bytes;
}

/// One input from another: what is inside blocks three times out of four, their checks made good.
ByteVector changed(ByteVector bytes, std::size_t room, Prng& prng) {
  if (bytes.size() < 64 || prng.chance(1, 64)) return mutated_trace(prng.next());
  if (prng.chance(3, 4)) {
    bytes = with_a_block_changed(std::move(bytes), prng);
  } else {
    std::vector<std::uint8_t> raw(room);
    for (std::size_t i = 0; i < bytes.size(); ++i) raw[i] = std::to_integer<std::uint8_t>(bytes[i]);
    raw.resize(LLVMFuzzerMutate(raw.data(), bytes.size(), room));
    const auto all = std::as_bytes(std::span(raw));
    bytes.assign(all.begin(), all.end());
  }
  if (!prng.chance(1, 8)) repair(bytes);
  return bytes;
}

}  // namespace
}  // namespace retrap::traces::test

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t room, unsigned seed) {
  using namespace retrap::traces::test;
  retrap::Prng prng(seed);
  const auto old = bytes_of(data, size);
  const auto fresh = changed({old.begin(), old.end()}, room, prng);
  const std::size_t taken = std::min(fresh.size(), room);
  for (std::size_t i = 0; i < taken; ++i) data[i] = std::to_integer<std::uint8_t>(fresh[i]);
  return taken;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  retrap::traces::test::read_both_ways(retrap::traces::test::bytes_of(data, size));
  return 0;
}
