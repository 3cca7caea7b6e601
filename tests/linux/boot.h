// Boots of unmodified Linux kernels through the real binary.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace retrap::test {

/// Of one program that a test starts.
inline constexpr unsigned kSecondsAtMost = 280;

/// The exit status of `retrap run` where the guest switched its machine off.
inline constexpr int kGuestPoweredOff = 0;

/// What one boot showed.
struct Boot {
  Finished program;
  nlohmann::json report = {};  ///< what --json wrote; null where it wrote nothing

  [[nodiscard]] bool printed(const std::string& text) const {
    return program.out.find(text) != std::string::npos;
  }
};

/// Boots `kernel` with `initrd` and 512 MiB, and with `more` on the command line of `retrap run`.
/// It is recorded: where the test fails, the trace stays, and the command that replays it is
/// printed.
[[nodiscard]] Boot boot_linux(const std::string& arch, const std::filesystem::path& kernel,
                              const std::filesystem::path& initrd,
                              const std::vector<std::string>& more);

}  // namespace retrap::test
