// The simulated x86_64 virtualization hardware.
#pragma once

#include <memory>

#include "arch/x86_64/cpu.h"
#include "vmm/clock.h"
#include "vmm/host_memory.h"

namespace retrap::unicorn::x86_64 {

/// Hardware on one Unicorn engine per VM. Memory and clock outlive it and its CPUs.
[[nodiscard]] std::unique_ptr<retrap::x86_64::Hardware> make_unicorn_hardware(HostMemory& memory,
                                                                              Clock& clock);

}  // namespace retrap::unicorn::x86_64
