// Events as people and scripts read them.
#pragma once

#include <string>

#include "traces/events.h"

namespace retrap::traces {

/// "mmio-write addr=0x9000000 width=4 data=0x41", without time and place.
[[nodiscard]] std::string to_text(const ExitReason& exit);
/// One line, without its line feed; `exit` is the number of the exit, or of the one before.
[[nodiscard]] std::string to_text(const Event& event, std::uint64_t exit);
[[nodiscard]] std::string to_text(const InputRecord& input);
[[nodiscard]] std::string to_text(const DigestRecord& digest);

/// `console "ls\u000a"`, `unmap gpa 0x1000 size 0x1000`, without time and place.
[[nodiscard]] std::string details_of(const InputRecord& input);

/// The same as one JSON object each.
void append_json(std::string& to, const Event& event, std::uint64_t exit);
void append_json(std::string& to, const InputRecord& input);
void append_json(std::string& to, const DigestRecord& digest);

/// `text` between quotes, as JSON has it.
void append_quoted(std::string& to, std::string_view text);

/// "registers of vm 1 vcpu 0", "memory of vm 1", "clock".
[[nodiscard]] std::string name_of(const PartDigest& part);

}  // namespace retrap::traces
