// x86_64 for the monitor: PC boards on AMD's virtualization.
#pragma once

#include <memory>

#include "arch/x86_64/cpu.h"
#include "vmm/architecture.h"

namespace retrap::x86_64 {

/// The architecture on `hardware` (never null).
[[nodiscard]] std::unique_ptr<retrap::Architecture> make_architecture(
    std::unique_ptr<Hardware> hardware);

}  // namespace retrap::x86_64
