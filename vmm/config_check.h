// What is wrong with a configuration, and which key it is about.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/config.h"

namespace retrap {

struct ConfigProblem {
  std::string key;   ///< "kernel.memory_regions[1].size": where in the file; empty: all of it
  std::string text;  ///< what is wrong; what to do
};

/// What there is to say of a configuration.
struct ConfigFindings {
  std::vector<ConfigProblem> problems;  ///< what it is refused for
  std::vector<ConfigProblem> notes;     ///< what is not done as it stands there, and need not be
};

/// A clause "kernel.memory_regions[1]: what is wrong" as a problem; without a key where none leads.
[[nodiscard]] ConfigProblem problem_of(std::string_view clause);

/// Everything problems_of() finds, with the key of each, in the order of the schema.
[[nodiscard]] std::vector<ConfigProblem> check_config(const VmConfig& config);

/// `text` on one line: control characters as \xNN.
[[nodiscard]] std::string printable(std::string_view text);

/// Adds to `problems` every interrupt number of a passthrough window or a dummy that is not below
/// `limit`, the numbers that the controller of `config.arch` has. Many mean nothing (of a window of
/// memory, with no_irq): one that is wrong is not taken in silence. IVC: see examine().
void check_interrupt_numbers(const VmConfig& config, std::uint32_t limit,
                             std::vector<std::string>& problems);

/// What an emu_type of the configuration is.
struct EmuDeviceKind {
  EmuDeviceType type;
  std::string_view name;
  std::string_view archs;        ///< the architectures that have one: "aarch64 riscv64"
  std::size_t cfg_entries;       ///< the least number of cfg_list entries
  std::string_view cfg_meaning;  ///< their names
};

/// The row of `type`, or nothing where axvm has no such number.
[[nodiscard]] const EmuDeviceKind* find_emu_device_kind(std::uint64_t type);

/// Whether base_gpa of such a device is a port and not a guest-physical address.
[[nodiscard]] bool is_on_ports(ArchId arch, EmuDeviceType type);

}  // namespace retrap
