// Damaged traces from a seed, and everything that can be asked of one.
#pragma once

#include <algorithm>
#include <utility>

#include "tests/traces/sample.h"
#include "traces/compare.h"
#include "traces/export.h"
#include "traces/page.h"
#include "traces/statistics.h"
#include "vmm/base/prng.h"

namespace retrap::traces::test {

/// Puts right the checks of every block that can be found: what is inside reaches the decoders.
inline void repair(ByteVector& bytes) {
  std::size_t at = kPrefixSize;
  while (at + kFrameSize <= bytes.size()) {
    const std::uint32_t stored = *load_le<std::uint32_t>(bytes, at + 8);
    if (stored > bytes.size() - at - kFrameSize) return;
    const Frame frame{.layer = static_cast<Layer>(bytes[at + 4]),
                      .codec = static_cast<Codec>(bytes[at + 5]),
                      .stored = stored,
                      .raw = *load_le<std::uint32_t>(bytes, at + 12),
                      .first = *load_le<std::uint64_t>(bytes, at + 16),
                      .retired = *load_le<std::uint64_t>(bytes, at + 24)};
    const auto head = encode(frame, ConstBytes(bytes).subspan(at + kFrameSize, stored));
    std::copy(head.begin(), head.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    at += kFrameSize + stored;
  }
}

/// The trace that is damaged.
inline const ByteVector& whole_trace() {
  static const ByteVector kWhole = [] {
    ByteVector bytes;
    auto writer = Writer::create(std::make_unique<MemorySink>(bytes), sample_header()).value();
    for (const InputRecord& input : sample_inputs()) writer.add(input);
    write_events(writer, sample_events());
    writer.add(sample_digest());
    writer.add(later_digest());
    (void)writer.embed(0, ConstBytes(bytes).first(100));
    (void)writer.finish(sample_end());
    return bytes;
  }();
  return kWhole;
}

/// A trace with a few bytes changed by `seed`, and its checks made good three times out of four.
inline ByteVector mutated_trace(std::uint64_t seed) {
  Prng prng(seed);
  ByteVector bytes = whole_trace();
  for (std::uint64_t i = prng.between(1, 8); i > 0; --i) {
    const auto at = static_cast<std::size_t>(prng.between(kPrefixSize, bytes.size() - 1));
    const std::array<std::uint64_t, 4> kinds = {
        prng.next(), 0xff, 0,
        std::to_integer<std::uint64_t>(bytes[at]) ^ (std::uint64_t{1} << prng.below(8))};
    bytes[at] = static_cast<std::byte>(kinds[static_cast<std::size_t>(prng.below(4))]);
  }
  if (prng.chance(1, 16)) bytes.resize(static_cast<std::size_t>(prng.below(bytes.size())));
  if (!prng.chance(1, 4)) repair(bytes);
  return bytes;
}

/// Everything a reader can be asked, through every exporter, and beside a trace that is whole; the
/// first error.
inline Result<> read_everything(ByteVector bytes, ReadOptions options = {}) {
  RETRAP_TRY(const Reader reader, Reader::parse("t.rtr", std::move(bytes), options));
  for (std::size_t i = 0; i < reader.header().images.size(); ++i) {
    RETRAP_TRY(const auto image, reader.image(i));
  }
  LineDump lines;
  RETRAP_TRY(walk(reader, {}, lines));
  JsonDump json;
  RETRAP_TRY(walk(reader, {}, json));
  CsvExport csv;
  RETRAP_TRY(walk(reader, {}, csv));
  PerfettoExport perfetto;
  RETRAP_TRY(walk(reader, {}, perfetto));
  Statistics statistics;
  RETRAP_TRY(walk(reader, {}, statistics));
  (void)statistics.to_text(10);
  (void)statistics.to_json(10);
  static const Reader kWhole = Reader::parse("whole.rtr", whole_trace()).value();
  RETRAP_TRY(const auto comparison, compare(reader, kWhole));
  (void)summary(comparison);
  if (comparison.divergence) (void)to_text(*comparison.divergence, "left", "right");
  RETRAP_TRY(const auto itself, compare(reader, reader));
  if (itself.divergence) return fail(ErrorCode::Diverged, "it differs from itself");
  return make_page(reader, comparison.divergence).map([](const auto&) {});
}

}  // namespace retrap::traces::test
