// The small records: inputs, digests, the end. They are written as they are.
#pragma once

#include <optional>

#include "traces/events.h"
#include "traces/varint.h"

namespace retrap::traces {

void append(ByteVector& to, const InputRecord& input);
void append(ByteVector& to, const DigestRecord& digest);
void append(ByteVector& to, const EndRecord& end);

/// Each takes one record off `from`, or gives nothing where there is none.
[[nodiscard]] std::optional<InputRecord> take_input(ByteSource& from);
[[nodiscard]] std::optional<DigestRecord> take_digest(ByteSource& from);
[[nodiscard]] std::optional<EndRecord> take_end(ByteSource& from);

}  // namespace retrap::traces
