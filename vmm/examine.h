// Everything that a host has to say of a configuration before there is a VM.
#pragma once

#include "vmm/config_check.h"
#include "vmm/hal.h"

namespace retrap {

/// What is wrong with `config` on `hal`, all at once: what check_config() finds, what its
/// architecture cannot do, and what the devices of its board are in the way of or lack (memory,
/// windows, interrupt lines). And what of it the guest has anyway.
///
/// The board is a throw-away one without memory: afterwards `hal` is as before. Vm::create() may
/// still refuse what depends on the host's memory and on other VMs.
[[nodiscard]] ConfigFindings examine(const VmConfig& config, Hal& hal);

}  // namespace retrap
