// What the DSDT says in AML: the sleep state that is off, and the devices that no bus finds.
#pragma once

#include <string>

namespace retrap::x86_64 {

/// The bytes that follow the header of the DSDT. In ASL:
///
///   Name (_S5, Package () {5, 5, 0, 0})
///   Scope (\_SB) {
///     Device (RNG0) {
///       Name (_HID, "LNRO0005")
///       Name (_UID, 0)
///       Name (_CRS, ResourceTemplate () {
///         Memory32Fixed (ReadWrite, 0xfeb00000, 0x200)
///         Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {20}
///       })
///     }
///   }
///
/// LNRO0005 is the id by which Linux knows virtio over MMIO.
[[nodiscard]] std::string make_definition_block();

}  // namespace retrap::x86_64
