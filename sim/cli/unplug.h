// A machine goes on without one of its devices.
#pragma once

#include <memory>
#include <string_view>

#include "sim/machine.h"

namespace retrap::cli {

/// Takes the first device called `name` off the buses of the VMs: nobody answers at its addresses
/// from then on, and its interrupt line is low. Null where it is a part of the board; else it must
/// outlive the machine. NotFound says which devices there are.
[[nodiscard]] Result<std::unique_ptr<Device>> unplug(Machine& machine, std::string_view name);

}  // namespace retrap::cli
