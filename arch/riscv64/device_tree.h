// The device tree of the board.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "vmm/base/address.h"
#include "vmm/config.h"

namespace retrap::riscv64 {

/// Describes the board of `config` to its guest; `ramdisk` is where the initrd lies, if any.
[[nodiscard]] std::vector<std::byte> device_tree(const VmConfig& config,
                                                 std::optional<GuestRange> ramdisk);

}  // namespace retrap::riscv64
