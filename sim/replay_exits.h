// The monitor alone, fed the recorded exits: no guest runs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "traces/compare.h"
#include "traces/reader.h"
#include "vmm/config.h"

namespace retrap {

/// What came of it.
struct ExitReplayReport {
  std::uint64_t exits = 0;
  std::uint64_t answers = 0;                     ///< compared
  std::optional<traces::Divergence> divergence;  ///< left: recorded, right: answered now
};

/// Which board the monitor has in an exit-only replay.
enum class ExitReplayBoard : std::uint8_t {
  Recorded,  ///< the architecture's own: interrupt controllers, UART, ...
  Scripted,  ///< none: for traces of scripted machines, and for measurements
};

/// Gives every recorded exit to a monitor with the recorded VMs, and compares what it answers. An
/// Error where the trace cannot be read, has no exits, or its VM cannot be made. What the CPUs' own
/// timers did to the interrupt controller, without an exit, is in the trace. What the guest writes
/// to its memory is not: devices whose requests are there (virtio) are not asked, and the trace
/// answers for them, as it does for calls about channels between VMs.
[[nodiscard]] Result<ExitReplayReport> replay_exits(
    const traces::Reader& trace, std::span<const VmConfig> configs,
    ExitReplayBoard board = ExitReplayBoard::Recorded);
/// Of one VM.
[[nodiscard]] inline Result<ExitReplayReport> replay_exits(
    const traces::Reader& trace, const VmConfig& config,
    ExitReplayBoard board = ExitReplayBoard::Recorded) {
  return replay_exits(trace, std::span(&config, 1), board);
}

}  // namespace retrap
