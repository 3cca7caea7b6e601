// The architectures that the simulated host can virtualize.
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/architecture.h"

namespace retrap {

/// `arch` on a Unicorn CPU, or null where it is not built in. The others outlive it.
[[nodiscard]] std::unique_ptr<Architecture> make_architecture(ArchId arch, HostMemory& memory,
                                                              Clock& clock);

/// kBoardRevision of the board that make_architecture() builds.
[[nodiscard]] std::uint64_t board_revision(ArchId arch);

}  // namespace retrap
