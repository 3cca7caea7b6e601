// The subcommands: one file each.
#pragma once

#include "sim/cli/options.h"

namespace retrap::cli {

/// Runs one guest until it ends; its console on standard output.
[[nodiscard]] Status run(const RunOptions& options);

/// Runs the built-in guests on all architectures, twice.
[[nodiscard]] Status demo(const DemoOptions& options);

[[nodiscard]] Status version(const VersionOptions& options);

}  // namespace retrap::cli
