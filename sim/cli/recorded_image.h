// The images of a recorded VM, wherever their bytes are now.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "traces/reader.h"

namespace retrap::cli {

/// The bytes of image `number` of the header of `trace`: those in the trace, or those of the file
/// that it names; of the file `given` instead, where there is one. InvalidInput where they are not
/// the recorded ones, or the trace names what is no file (nobody waits for a pipe).
[[nodiscard]] Result<std::vector<std::byte>> recorded_image(
    const traces::Reader& trace, std::size_t number, const std::optional<std::string>& given = {});

}  // namespace retrap::cli
