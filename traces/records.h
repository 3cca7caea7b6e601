// The small records: inputs, digests, the end.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "traces/digests.h"
#include "traces/events.h"
#include "traces/varint.h"

namespace retrap::traces {

void append(ByteVector& to, const InputRecord& input);
void append(ByteVector& to, const EndRecord& end);

/// Each takes one record off `from`, or gives nothing where there is none.
[[nodiscard]] std::optional<InputRecord> take_input(ByteSource& from);
[[nodiscard]] std::optional<EndRecord> take_end(ByteSource& from);

/// "an input of kind 17", where the input that comes next is one of a later program; else empty.
[[nodiscard]] std::string unknown_in_input(ByteSource from);

/// Writes digests. A part is described where it is first written, and has a number from then on.
class DigestWriter {
 public:
  /// More parts than this are several records.
  static constexpr std::size_t kMostParts = 8192;
  void append(ByteVector& to, const DigestRecord& digest);

 private:
  std::map<PartDigest, std::uint64_t, PartOrder> numbers_;
};

/// Reads digests, one record after the other. Those of version 1 become what changed, too.
class DigestReader {
 public:
  explicit DigestReader(std::uint32_t version) : version_(version) {}
  /// Nothing where there is none.
  [[nodiscard]] std::optional<DigestRecord> take(ByteSource& from);
  /// The part of a later program that take() came to, where it gave nothing.
  [[nodiscard]] std::optional<std::uint8_t> unknown_part() const { return unknown_part_; }

 private:
  [[nodiscard]] std::optional<DigestRecord> take_version_1(ByteSource& from);
  [[nodiscard]] bool describe(ByteSource& from);
  [[nodiscard]] bool take_part(ByteSource& from, PartDigest& part);

  std::uint32_t version_;
  std::vector<PartDigest> described_;
  std::vector<bool> is_there_;  ///< for each of them
  std::optional<std::uint8_t> unknown_part_;
  DigestState last_;  ///< version 1
};

}  // namespace retrap::traces
