// Where an engine keeps the state of its CPU.
#pragma once

#include <unicorn/unicorn.h>

#include <cstddef>
#include <span>

namespace retrap::unicorn {

/// The first place in the CPU object of `uc` that holds `pattern` (of whole words), aligned to 8,
/// with at least `size` bytes behind it; null where there is none. The caller has written the
/// pattern through the public register interface, and checks what it gets.
[[nodiscard]] std::byte* find_in_cpu(uc_engine* uc, std::span<const std::byte> pattern,
                                     std::size_t size);

}  // namespace retrap::unicorn
