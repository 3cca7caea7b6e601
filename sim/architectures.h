// The architectures that the simulated host can virtualize.
#pragma once

#include <memory>

#include "vmm/architecture.h"

namespace retrap {

/// `arch` on a Unicorn CPU, or null where it is not built in. The others outlive it.
[[nodiscard]] std::unique_ptr<Architecture> make_architecture(ArchId arch, HostMemory& memory,
                                                              Clock& clock);

}  // namespace retrap
