// Numbers and words on the command line.
#pragma once

#include <cstdint>
#include <string_view>

#include "sim/replay.h"
#include "traces/compare.h"
#include "traces/layers.h"
#include "vmm/address_space.h"
#include "vmm/arch_id.h"
#include "vmm/base/result.h"

namespace retrap::cli {

/// "42", "0x2a". The message says what is wrong and what to write, without naming the option.
[[nodiscard]] Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t least,
                                                 std::uint64_t most);

/// "512M", "1G", "65536K", "0x20000000": bytes, a multiple of 4 KiB, at least one page.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);

[[nodiscard]] Result<ArchId> parse_arch(std::string_view text);
[[nodiscard]] Result<traces::Detail> parse_detail(std::string_view text);

/// "812", "insn=N", "pc=0xA", "time=NS", "first(KIND)".
[[nodiscard]] Result<Until> parse_until(std::string_view text);
/// Names behind commas, each one that traces::ignorable() has.
[[nodiscard]] Result<traces::Ignored> parse_ignored(std::string_view text);
[[nodiscard]] Result<Populate> parse_populate(std::string_view text);

}  // namespace retrap::cli
