// riscv64, for the monitor.
#pragma once

#include <memory>

#include "arch/riscv64/cpu.h"
#include "vmm/architecture.h"

namespace retrap::riscv64 {

/// The architecture on `hardware` (never null).
[[nodiscard]] std::unique_ptr<Architecture> make_architecture(std::unique_ptr<Hardware> hardware);

}  // namespace retrap::riscv64
