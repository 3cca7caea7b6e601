// Holds a configuration against a throw-away board.
#include "vmm/examine.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/base/bits.h"
#include "vmm/ivc_window.h"
#include "vmm/passthrough.h"

namespace retrap {
namespace {

class NoConsole final : public ConsoleSink {
 public:
  void put(char /*byte*/) override {}
};

/// A board of its own, with nobody's memory on it.
struct TrialBoard {
  TrialBoard(AddressSpace space, Clock& clock)
      : memory(std::move(space)),
        mmio("mmio", clock),
        ports("port", clock),
        sysregs("sysreg", clock, Bus::Unit::Register) {
    dma.attach(&memory);
  }

  NoConsole console;
  GuestDma dma;
  AddressSpace memory;
  Bus mmio;
  Bus ports;
  Bus sysregs;
  std::unique_ptr<Board> board;
};

Result<std::unique_ptr<TrialBoard>> make_trial(const VmConfig& config, Architecture& architecture,
                                               Hal& hal) {
  RETRAP_TRY(AddressSpace memory,
             AddressSpace::make(architecture.page_table_format(), hal.frames(), VmId{config.id}));
  auto trial = std::make_unique<TrialBoard>(std::move(memory), hal.clock());
  RETRAP_TRY(trial->board, architecture.make_board(config, {.clock = hal.clock(),
                                                            .memory = trial->memory,
                                                            .mmio = trial->mmio,
                                                            .ports = trial->ports,
                                                            .sysregs = trial->sysregs,
                                                            .console = trial->console,
                                                            .dma = trial->dma}));
  return trial;
}

/// What the number and the names of the CPUs have no part in: a board can be built with it.
VmConfig with_plain_cpus(VmConfig config) {
  config.cpu_num = 1;
  config.phys_cpu_ids.clear();
  config.phys_cpu_sets.clear();
  return config;
}

/// Something that the board may be in the way of.
struct Claim {
  std::string key;
  std::string what;
  GuestRange range;
};

std::vector<Claim> claims_of(const VmConfig& config) {
  std::vector<Claim> claims;
  const auto add = [&](std::string key, std::string what, std::uint64_t base, std::uint64_t size) {
    const auto range = GuestRange::make(GuestPhys(base), size);
    if (range) claims.push_back({.key = std::move(key), .what = std::move(what), .range = *range});
  };
  for (std::size_t i = 0; i < config.memory_regions.size(); ++i) {
    const MemoryRegionConfig& region = config.memory_regions[i];
    add(fmt::format("kernel.memory_regions[{}]", i), fmt::format("memory_regions[{}]", i),
        region.gpa, region.size);
  }
  for (std::size_t i = 0; i < config.emu_devices.size(); ++i) {
    const EmuDeviceConfig& device = config.emu_devices[i];
    if (device.emu_type != EmuDeviceType::IvcChannel) continue;
    add(fmt::format("devices.emu_devices[{}]", i),
        fmt::format("emulated device '{}'", printable(device.name)), device.base_gpa,
        device.length);
  }
  return claims;
}

/// Whether the configuration says itself that `plug` is in the way of `range`, and so
/// check_config() does, too.
bool is_said(const VmConfig& config, const Bus::Plug& plug, GuestRange range) {
  return std::ranges::any_of(config.emu_devices, [&](const EmuDeviceConfig& device) {
    const bool is_plug = device.emu_type != EmuDeviceType::IvcChannel &&
                         device.emu_type != EmuDeviceType::Dummy &&
                         !is_on_ports(config.arch, device.emu_type);
    const auto own = GuestRange::make(GuestPhys(device.base_gpa), device.length);
    return is_plug && device.base_gpa == plug.base && own && own->overlaps(range);
  });
}

/// Whether check_config() says of the device at `key` that the architecture has no such one.
bool is_foreign(const VmConfig& config, std::string_view key) {
  for (std::size_t i = 0; i < config.emu_devices.size(); ++i) {
    if (key != fmt::format("devices.emu_devices[{}]", i)) continue;
    const auto type = static_cast<std::uint64_t>(config.emu_devices[i].emu_type);
    const EmuDeviceKind* const kind = find_emu_device_kind(type);
    return kind == nullptr || kind->archs.find(to_string(config.arch)) == std::string_view::npos;
  }
  return false;
}

void add_architecture(const VmConfig& config, const Architecture& architecture,
                      ConfigFindings& findings) {
  std::vector<std::string> clauses;
  architecture.check(config, clauses);
  for (const std::string& clause : clauses) {
    ConfigProblem problem = problem_of(clause);
    if (!is_foreign(config, problem.key)) findings.problems.push_back(std::move(problem));
  }
}

/// Whether something is wrong with `key` already.
bool has_problem(const ConfigFindings& findings, std::string_view key) {
  return std::ranges::find(findings.problems, key, &ConfigProblem::key) != findings.problems.end();
}

void examine_claims(const VmConfig& config, const BoardView& board, ConfigFindings& findings) {
  for (const Claim& claim : claims_of(config)) {
    if (claim.range.last().raw() > low_bits(board.address_bits) &&
        !has_problem(findings, claim.key)) {
      findings.problems.push_back(
          {.key = claim.key,
           .text = fmt::format("{} ({}) is beyond the {} bits of a guest-physical address; move it",
                               claim.what, claim.range, board.address_bits)});
    }
    for (const Bus::Plug& plug : board.mmio.plugs()) {
      const auto there = GuestRange::make(GuestPhys(plug.base), plug.device->size());
      if (!there || !there->overlaps(claim.range) || is_said(config, plug, claim.range)) continue;
      findings.problems.push_back(
          {.key = claim.key,
           .text = fmt::format("{} ({}) overlaps the board's {} ({}); move it", claim.what,
                               claim.range, plug.device->name(), *there)});
    }
  }
}

/// "1-15, 17-23".
std::string lines_of(const InterruptController& interrupts) {
  constexpr std::uint32_t kMost = 8192;  // more than any controller here has
  std::string text;
  for (std::uint32_t first = 0; first < kMost; ++first) {
    if (!interrupts.has_line(first)) continue;
    std::uint32_t last = first;
    while (last + 1 < kMost && interrupts.has_line(last + 1)) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", first);
    if (last != first) text += fmt::format("-{}", last);
    first = last;
  }
  return text;
}

void examine_ivc_line(const VmConfig& config, const BoardView& board, ConfigFindings& findings) {
  const auto line = ivc_line_of(config);
  if (!line || board.interrupts.has_line(*line)) return;
  const auto device =
      std::ranges::find(config.emu_devices, EmuDeviceType::IvcChannel, &EmuDeviceConfig::emu_type);
  findings.problems.push_back(
      {.key = fmt::format("devices.emu_devices[{}]", device - config.emu_devices.begin()),
       .text = fmt::format("emulated device '{}' wants interrupt line {}, which is not there; the "
                           "board has {}",
                           printable(device->name), *line, lines_of(board.interrupts))});
}

}  // namespace

ConfigFindings examine(const VmConfig& config, Hal& hal) {
  ConfigFindings findings;
  findings.problems = check_config(config);
  Architecture* const architecture = hal.architecture(config.arch);
  if (architecture == nullptr) {
    findings.problems.push_back({.key = "base.arch",
                                 .text = fmt::format("this build has no {}; build it with Unicorn",
                                                     to_string(config.arch))});
    return findings;
  }
  add_architecture(config, *architecture, findings);

  const bool sound = findings.problems.empty();
  const bool has_cpus = std::ranges::none_of(findings.problems, [](const ConfigProblem& problem) {
    return problem.key.starts_with("base.");
  });
  const auto trial = make_trial(has_cpus ? config : with_plain_cpus(config), *architecture, hal);
  if (!trial) {
    // Of what is known to be wrong, there may be no board; otherwise its devices disagree.
    if (sound) {
      findings.problems.push_back({.key = "devices.emu_devices", .text = trial.error().message});
    }
    return findings;
  }
  const BoardView board{.mmio = (*trial)->mmio,
                        .interrupts = (*trial)->board->interrupts(),
                        .devices = hal.host_devices(),
                        .address_bits = architecture->page_table_format().address_bits()};
  examine_claims(config, board, findings);
  examine_ivc_line(config, board, findings);
  examine_windows(config, board, findings);
  return findings;
}

}  // namespace retrap
