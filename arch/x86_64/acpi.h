// The ACPI tables of the board: who the CPUs are, where the interrupt controllers sit, how to
// switch off.
//
// ACPI specification 6.5, chapter 5 "ACPI Software Programming Model".
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/address.h"

namespace retrap::x86_64 {

namespace acpi {
inline constexpr std::uint64_t kTablesBase = 0xf'0000;  ///< in the BIOS area, 16-byte aligned
inline constexpr std::uint64_t kTablesSize = 0x1'0000;
inline constexpr std::uint8_t kSciLine = 9;
}  // namespace acpi

/// RSDP (first), XSDT, FADT, MADT, FACS and DSDT for CPUs with these APIC ids (below 0xff), with
/// addresses that hold when the bytes are put at `base`. Processor UIDs are vCPU numbers. Checksums
/// are right.
///
/// The machine is in ACPI mode from the start (SMI_CMD 0); legacy devices are there, a keyboard
/// controller and VGA are not; the DSDT (dsdt.h) has _S5 and the virtio device.
[[nodiscard]] std::vector<std::byte> make_acpi_tables(GuestPhys base,
                                                      const std::vector<std::uint64_t>& apic_ids);

}  // namespace retrap::x86_64
