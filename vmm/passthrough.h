// What a configuration passes through to a VM: windows of host memory, and devices of the host.
#pragma once

#include "vmm/address_space.h"
#include "vmm/bus.h"
#include "vmm/config_check.h"
#include "vmm/host_devices.h"

namespace retrap {

/// Where passed-through things go.
struct PassthroughParts {
  AddressSpace& memory;
  Bus& mmio;  ///< has the emulated devices already
  InterruptController& interrupts;
  HostDevices* devices;  ///< null where the host has none
};

/// Maps the windows of `config` to host memory, and plugs the host devices that they name.
///
/// A window is widened to whole pages at both ends; the pages of emulated devices inside it stay
/// out of it. Where that leaves none, the guest has already what it is given. A window with a host
/// device in it is no memory: it gives the VM that device (those devices), at `base_gpa` plus the
/// distance from `base_hpa`, and nothing else. Its interrupt is wired to `irq_id` where
/// interrupt_mode is Passthrough.
///
/// An Error names the entry, with its key in front, and what is in its way; what was mapped before
/// it stays mapped.
[[nodiscard]] Result<> pass_through(const VmConfig& config, PassthroughParts parts);

/// The board that windows are to be fitted to.
struct BoardView {
  const Bus& mmio;
  const InterruptController& interrupts;
  const HostDevices* devices;  ///< null where the host has none
  unsigned address_bits;       ///< of a guest-physical address
};

/// Adds what pass_through() would refuse because of the board to `findings`, and notes the entries
/// that give the guest what it has already. Of windows that check_config() finds sound.
void examine_windows(const VmConfig& config, const BoardView& board, ConfigFindings& findings);

}  // namespace retrap
