// What the model says it is: the identification registers of a Cortex-A57 without AArch32, EL2,
// EL3, PMU and big-endian data. Constants: nothing of the host shows.
#pragma once

#include <cstdint>

namespace retrap::aarch64 {

/// The value of an ID register, by its number in the ISS: op0 3, op1 0, CRn 0, CRm 1-7. Reserved
/// ones, and those of AArch32, read as zero.
[[nodiscard]] std::uint64_t id_register(std::uint32_t number);

}  // namespace retrap::aarch64
