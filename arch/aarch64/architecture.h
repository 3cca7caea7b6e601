// aarch64 for the monitor.
#pragma once

#include <memory>

#include "arch/aarch64/cpu.h"
#include "vmm/architecture.h"

namespace retrap::aarch64 {

/// Boards with GICv3, PL011 and PSCI on the CPUs of `hardware`.
[[nodiscard]] std::unique_ptr<Architecture> make_architecture(std::unique_ptr<Hardware> hardware);

}  // namespace retrap::aarch64
