// The command line as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "sim/cli/status.h"
#include "sim/replay.h"
#include "traces/compare.h"
#include "traces/filter.h"
#include "traces/layers.h"
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
  bool stat = false;        ///< a table of exits on standard error

  // Recording.
  std::optional<std::string> output;  ///< the trace
  traces::Detail detail = traces::Detail::Exits;
  std::uint64_t digest_interval = 100'000'000;
  bool with_images = false;
  bool console_input = false;  ///< standard input is typed at the guest's console
};

/// retrap replay.
struct ReplayOptions {
  std::string trace;
  Until until;
  std::string until_text;   ///< as it was written
  bool goes_on = false;     ///< --then run
  bool exits_only = false;  ///< the monitor alone, fed the recorded exits
  bool guest_only = false;  ///< the guest alone, fed the recorded answers
  bool up_to_damage = false;
  std::optional<std::string> kernel;
  std::optional<std::string> initrd;
  std::optional<std::string> unplug;  ///< a device that is gone from there on
  std::optional<std::uint64_t> seed;  ///< another one, for experiments
  std::optional<std::uint64_t> max_instructions;
  std::uint64_t slice = 0;
};

/// retrap diff.
struct DiffOptions {
  std::string left;
  std::string right;
  traces::Ignored ignored;
  bool up_to_damage = false;
};

/// retrap stat, dump, export and report: they look at one trace.
struct LookOptions {
  enum class What : std::uint8_t { Stat, Dump, ExportPerfetto, ExportCsv, ExportLcov, Report };
  What what = What::Stat;
  std::string trace;
  std::optional<std::string> output;  ///< empty: standard output
  std::optional<std::string> other;   ///< report: the trace to compare with
  std::string elf;                    ///< ExportLcov: the guest's program, with line numbers
  traces::Filter filter;
  std::uint64_t top = 10;
  bool json = false;
  bool up_to_damage = false;
};

/// retrap demo.
struct DemoOptions {
  std::uint64_t seed = 1;
};

/// retrap config check FILE.
struct ConfigCheckOptions {
  std::string file;
  std::optional<ArchId> arch;  ///< for files that name none
  std::optional<std::string> kernel;
  std::optional<std::string> initrd;
};

/// retrap config example.
struct ConfigExampleOptions {
  ArchId arch = ArchId::X86_64;
};

/// retrap --version.
struct VersionOptions {
  bool json = false;
};

/// Nothing is left to do: help was printed, or the command line is wrong and that was said.
struct Finished {
  Status status;
};

using Command = std::variant<Finished, RunOptions, ReplayOptions, DiffOptions, LookOptions,
                             DemoOptions, ConfigCheckOptions, ConfigExampleOptions, VersionOptions>;

/// Reads the command line; prints help and complaints.
[[nodiscard]] Command parse_command_line(int argc, const char* const* argv);

}  // namespace retrap::cli
