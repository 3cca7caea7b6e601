// What is known when a run is over, as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/machine.h"

namespace retrap::cli {

/// What `--json` writes: scripts depend on the names.
struct RunSummary {
  ArchId arch = ArchId::X86_64;
  std::uint32_t vcpus = 1;
  std::uint64_t seed = 1;
  RunReport report;
  std::array<std::uint64_t, kExitKinds> exits{};
  std::uint64_t digest = 0;
  double wall_seconds = 0;
};

/// All VMs of `machine` together.
[[nodiscard]] std::array<std::uint64_t, kExitKinds> exits_of(Machine& machine);

/// "4f1c0a...": 16 hexadecimal digits.
[[nodiscard]] std::string digest_text(std::uint64_t digest);

/// One line, without its line feed.
[[nodiscard]] std::string to_json(const RunSummary& summary);

/// Whether a report could be written to `path`: for saying so before a long run.
[[nodiscard]] Result<> check_writable(const std::string& path);

/// The same of a trace, which is a file.
[[nodiscard]] Result<> check_recordable(const std::string& path);

/// Writes `text` to a new file beside `path`, then renames it: there is never half a file. What is
/// no regular file (a pipe, /dev/null) is written to as it is.
[[nodiscard]] Result<> write_file(const std::string& path, const std::string& text);

}  // namespace retrap::cli
