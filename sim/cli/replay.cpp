// retrap replay: a recorded guest once more, with everything compared.
#include "sim/replay.h"

#include <fmt/format.h>

#include <chrono>

#include "sim/architectures.h"
#include "sim/cli/commands.h"
#include "sim/cli/interruption.h"
#include "sim/cli/recorded_image.h"
#include "sim/cli/report.h"
#include "sim/cli/session.h"
#include "sim/cli/terminal.h"
#include "sim/cli/unplug.h"
#include "sim/disassemble.h"
#include "sim/replay_exits.h"
#include "vmm/config_toml.h"

namespace retrap::cli {
namespace {

Result<Images> images_of(const traces::Reader& trace, const VmConfig& config,
                         const ReplayOptions& options) {
  Images images;
  const auto& records = trace.header().images;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (index(records[i].vm) != config.id) continue;
    std::optional<std::string> given;
    if (records[i].role == "kernel") given = options.kernel;
    if (records[i].role == "ramdisk") given = options.initrd;
    RETRAP_TRY(auto bytes, recorded_image(trace, i, given));
    if (records[i].role == "kernel") {
      RETRAP_TRY(images.kernel, Image::parse(records[i].path, std::move(bytes), config.arch));
    } else if (records[i].role == "ramdisk") {
      images.ramdisk = std::move(bytes);
    } else if (records[i].role == "dtb") {
      images.dtb = std::move(bytes);
    } else {
      images.bios = std::move(bytes);
    }
  }
  return images;
}

/// A run on another board is another run.
void note_boards(const traces::Header& header) {
  for (const traces::BoardRecord& board : header.boards) {
    const auto arch = arch_from_name(board.arch);
    if (!arch || board_revision(*arch) == board.revision) continue;
    complain(
        fmt::format("recorded with revision {} of the {} board, this program has {}: it may "
                    "diverge; use {}",
                    board.revision, board.arch, board_revision(*arch), printable(header.program)));
  }
}

/// Of all VMs.
Result<std::vector<VmConfig>> configs_of(const traces::Reader& trace) {
  if (trace.header().configs.empty()) {
    return fail(ErrorCode::Unsupported,
                "{}: it was recorded by a program that set its machine up itself; replay it with "
                "that program (sim/replay.h)",
                trace.name());
  }
  std::vector<VmConfig> configs;
  for (const std::string& text : trace.header().configs) {
    RETRAP_TRY(VmConfig config,
               parse_config(text, "config").map_error(while_doing("{}", trace.name())));
    configs.push_back(std::move(config));
  }
  return configs;
}

/// The recorded machine, before its first instruction.
Result<std::unique_ptr<Machine>> prepared(const traces::Reader& trace, const ReplayOptions& options,
                                          ConsoleSink& console) {
  const traces::Header& header = trace.header();
  RETRAP_TRY(const std::vector<VmConfig> configs, configs_of(trace));
  RETRAP_TRY(
      auto machine,
      Machine::create({.memory_bytes = header.memory_bytes,
                       .seed = options.goes_on ? header.seed : options.seed.value_or(header.seed),
                       .slice = options.slice}));
  for (const VmConfig& config : configs) {
    RETRAP_TRY(const Images images, images_of(trace, config, options));
    RETRAP_TRY([[maybe_unused]] Vm * vm,
               machine->add_vm(config, images, &console)
                   .map_error(while_doing("{}: its configuration", trace.name())));
  }
  return machine;
}

/// Where a vCPU is, and what it is about to do.
void show_place(Machine& machine, VmId vm, VcpuId vcpu) {
  for (std::size_t i = 0; i < machine.vm_num(); ++i) {
    if (machine.vm(i).id() != vm) continue;
    const auto found = machine.vm(i).vcpu(vcpu);
    if (!found) return;
    ArchVcpu& arch = (*found)->arch();
    complain(fmt::format("vm {} vcpu {} at pc {:#x}", index(vm), index(vcpu), arch.pc()));
    const ArchId id = machine.vm(i).config().arch;
    for (const std::string& line : disassemble(id, arch.pc(), arch.code_at_pc())) {
      complain("  " + line);
    }
  }
}

std::string compared(const ReplayReport& report) {
  return fmt::format("{} events, {} digests, {} instructions, {} exits", report.events,
                     report.digests, report.run.instructions, report.exits);
}

Status go_on(Machine& machine, const ReplayOptions& options, std::unique_ptr<Device>& unplugged) {
  if (options.unplug) {
    auto device = unplug(machine, *options.unplug);
    if (!device) {
      complain(device.error().message);
      return Status::Failure;
    }
    unplugged = *std::move(device);
  }
  if (options.seed) machine.reseed(*options.seed);
  const RunReport report = machine.run(options.max_instructions.value_or(kNever));
  complain(fmt::format("{}{}{}; {} instructions, digest {}", to_string(report.reason),
                       report.detail.empty() ? "" : ": ", report.detail, report.instructions,
                       digest_text(machine.digest())));
  if (report.reason == StopReason::PoweredOff) return Status::Ok;
  if (report.reason == StopReason::Interrupted) {
    return Interruption::status().value_or(Status::BudgetSpent);
  }
  return report.reason == StopReason::BudgetSpent ? Status::BudgetSpent : Status::GuestFailed;
}

Status conclude(Machine& machine, const traces::Reader& trace, const ReplayReport& report,
                const ReplayOptions& options, std::unique_ptr<Device>& unplugged) {
  if (!trace.missing().empty()) complain(trace.missing());
  switch (report.outcome) {
    case ReplayReport::Outcome::Identical:
      if (!options.until_text.empty()) {
        complain(
            fmt::format("never reached: {}; the trace ends at exit {}, instruction {}; "
                        "identical so far: {}",
                        printable(options.until_text), report.exits == 0 ? 0 : report.exits - 1,
                        report.run.instructions, compared(report)));
        return Status::NeverReached;
      }
      complain(fmt::format("identical: {}", compared(report)));
      break;
    case ReplayReport::Outcome::Stopped:
      if (const auto status = Interruption::status()) {
        complain(fmt::format("interrupted; identical so far: {}", compared(report)));
        return *status;
      }
      complain(fmt::format("stopped there: identical so far: {}", compared(report)));
      for (std::size_t i = 0; i < machine.vm_num(); ++i) {
        const Vm& vm = machine.vm(i);
        for (std::uint32_t id = 0; id < vm.config().cpu_num; ++id) {
          show_place(machine, vm.id(), VcpuId{id});
        }
      }
      break;
    case ReplayReport::Outcome::Diverged:
      complain(fmt::format("diverged after {}", compared(report)));
      complain(traces::to_text(*report.divergence, "recorded", "now"));
      show_place(machine, report.divergence->vm, report.divergence->vcpu);
      return Status::Diverged;
  }
  return options.goes_on ? go_on(machine, options, unplugged) : Status::Ok;
}

/// The monitor alone.
Status replay_only_exits(const traces::Reader& trace) {
  const auto report = configs_of(trace).and_then(
      [&](const std::vector<VmConfig>& configs) { return replay_exits(trace, configs); });
  if (!report) {
    complain(report.error().message);
    return Status::Failure;
  }
  const std::string compared = fmt::format("{} exits, {} answers", report->exits, report->answers);
  if (!report->divergence) {
    complain("identical: " + compared);
    return Status::Ok;
  }
  complain(fmt::format("diverged after {}", compared));
  complain(traces::to_text(*report->divergence, "recorded", "now"));
  return Status::Diverged;
}

}  // namespace

Status replay(const ReplayOptions& options) {
  StandardOutput console;
  const auto trace = traces::Reader::open(options.trace, {.up_to_damage = options.up_to_damage});
  if (!trace) {
    complain(trace.error().message);
    return Status::Failure;
  }
  note_boards(trace->header());
  if (options.exits_only) return replay_only_exits(*trace);
  std::unique_ptr<Device> unplugged;  // who typed at one may still hold it
  auto machine = prepared(*trace, options, console);
  if (!machine) {
    complain(machine.error().message);
    return Status::Failure;
  }
  const Interruption interruption;
  (*machine)->set_stop_flag(Interruption::flag());
  Result<ReplayReport> report = ReplayReport{};
  {
    Replayer replayer(**machine, *trace);
    const auto ready = options.guest_only ? replayer.without_devices() : Result<>();
    report = ready ? replayer.run(options.until) : tl::unexpected(ready.error());
  }
  bool flushed = console.flush();
  if (!report) {
    complain(report.error().message);
    return Status::Failure;
  }
  const Status status = conclude(**machine, *trace, *report, options, unplugged);
  flushed = console.flush() && flushed;
  if (flushed) return status;
  complain("standard output: cannot write; give it a place with room");
  return Status::Failure;
}

}  // namespace retrap::cli
