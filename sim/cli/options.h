// The command line as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "sim/cli/status.h"
#include "vmm/address_space.h"
#include "vmm/arch_id.h"

namespace retrap::cli {

/// retrap run. Empty: not given.
struct RunOptions {
  std::optional<std::string> config;
  std::optional<ArchId> arch;
  std::optional<std::string> kernel;
  std::optional<std::string> initrd;
  std::optional<std::string> append;
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint32_t> vcpus;
  std::optional<Populate> populate;
  std::optional<std::string> json;  ///< "-": standard output
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> max_instructions;
  std::uint64_t slice = 0;  ///< 0: only where something happens
};

/// retrap demo.
struct DemoOptions {
  std::uint64_t seed = 1;
};

/// retrap --version.
struct VersionOptions {
  bool json = false;
};

/// Nothing is left to do: help was printed, or the command line is wrong and that was said.
struct Finished {
  Status status;
};

using Command = std::variant<Finished, RunOptions, DemoOptions, VersionOptions>;

/// Reads the command line; prints help and complaints.
[[nodiscard]] Command parse_command_line(int argc, const char* const* argv);

}  // namespace retrap::cli
