// The instructions of a recorded guest, out of its images.
#pragma once

#include "traces/compare.h"
#include "traces/reader.h"

namespace retrap::cli {

/// Puts the instructions around the pc of `divergence` into it, that at the pc marked with '>', as
/// they were when the images of `trace` were loaded: out of the trace, or out of the files that it
/// names, where they are the recorded ones. Where they are not known it is one line that says why.
void add_code(traces::Divergence& divergence, const traces::Reader& trace);

}  // namespace retrap::cli
