// A trace as one HTML page that needs nothing else.
#pragma once

#include <optional>
#include <string>

#include "traces/compare.h"
#include "traces/reader.h"

namespace retrap::traces {

/// Timeline with zoom, counts by kind, the hottest program counters, a filter, and where the run
/// parts from another one, if that is given.
[[nodiscard]] Result<std::string> make_page(const Reader& reader,
                                            const std::optional<Divergence>& divergence);

}  // namespace retrap::traces
