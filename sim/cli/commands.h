// The subcommands: one file each.
#pragma once

#include "sim/cli/options.h"

namespace retrap::cli {

/// Runs one guest until it ends; its console on standard output.
[[nodiscard]] Status run(const RunOptions& options);

/// Runs a recorded guest again, and compares.
[[nodiscard]] Status replay(const ReplayOptions& options);

/// Finds where two traces part.
[[nodiscard]] Status diff(const DiffOptions& options);

/// Shows a trace: counts, lines, or for other programs.
[[nodiscard]] Status look(const LookOptions& options);

/// Runs the built-in guests on all architectures, twice.
[[nodiscard]] Status demo(const DemoOptions& options);

/// Says everything that is wrong with a configuration file, or that nothing is.
[[nodiscard]] Status check_config_file(const ConfigCheckOptions& options);

/// Prints a configuration with all that can be said, which passes that check.
[[nodiscard]] Status show_example_config(const ConfigExampleOptions& options);

[[nodiscard]] Status version(const VersionOptions& options);

}  // namespace retrap::cli
