// Simulated riscv64 harts on Unicorn.
#pragma once

#include <memory>

#include "arch/riscv64/cpu.h"
#include "vmm/clock.h"
#include "vmm/host_memory.h"

namespace retrap::unicorn::riscv64 {

/// Harts over `memory` and `clock`, which outlive the hardware and everything it makes. One engine
/// for each VM, with a context for each hart.
[[nodiscard]] std::unique_ptr<retrap::riscv64::Hardware> make_unicorn_hardware(HostMemory& memory,
                                                                               Clock& clock);

}  // namespace retrap::unicorn::riscv64
