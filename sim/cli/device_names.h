// Which device of a recorded VM is at an address.
#pragma once

#include "traces/header.h"
#include "traces/statistics.h"

namespace retrap::cli {

/// The devices of the VMs of a trace: those of its configurations, and those that their boards have
/// by themselves; for these the boards are built once more, without memory and images. Whatever of
/// it cannot be built has no name.
[[nodiscard]] traces::DeviceNames device_names(const traces::Header& header);

}  // namespace retrap::cli
