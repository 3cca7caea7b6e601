// The simulated aarch64 CPU: Unicorn under the interface of arch/aarch64/cpu.h.
#pragma once

#include <memory>

#include "arch/aarch64/cpu.h"
#include "vmm/clock.h"

namespace retrap::unicorn::aarch64 {

/// Both outlive what is made. Host-physical memory may not reach beyond 48 bits.
[[nodiscard]] std::unique_ptr<retrap::aarch64::Hardware> make_unicorn_hardware(HostMemory& memory,
                                                                               Clock& clock);

}  // namespace retrap::unicorn::aarch64
