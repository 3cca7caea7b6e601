// The built-in guests, carried inside the program.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "vmm/arch_id.h"

namespace retrap::guests {

struct Guest {
  std::string_view name;  ///< "hello"
  ArchId arch;
  std::span<const std::byte> elf;  ///< lives as long as the program
};

/// All of them, sorted by architecture, then name.
[[nodiscard]] std::span<const Guest> all();

/// The one called `name`, or null.
[[nodiscard]] const Guest* find(ArchId arch, std::string_view name);

}  // namespace retrap::guests
