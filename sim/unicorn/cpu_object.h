// Where an engine keeps the state of its CPU.
#pragma once

#include <unicorn/unicorn.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "vmm/base/result.h"

namespace retrap::unicorn {

/// The first place in the CPU object of `uc` that holds `pattern` (of whole words), aligned to 8,
/// with at least `size` bytes behind it; null where there is none. The caller has written the
/// pattern through the public register interface, and checks what it gets.
[[nodiscard]] std::byte* find_in_cpu(uc_engine* uc, std::span<const std::byte> pattern,
                                     std::size_t size);

/// The CPU state of `uc`, whose layout is not public. `search` writes registers and finds them
/// (null: it does not); `mismatch` writes others and says which part is not where it belongs
/// (empty: everything is). The registers are as before afterwards. Backend where the layout
/// differs.
[[nodiscard]] Result<std::byte*> find_state(uc_engine* uc, std::byte* (*search)(uc_engine*),
                                            std::string_view (*mismatch)(uc_engine*, std::byte*));

}  // namespace retrap::unicorn
