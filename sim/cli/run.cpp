// retrap run: one guest, until it ends.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "sim/cli/commands.h"
#include "sim/cli/report.h"
#include "sim/cli/session.h"
#include "sim/cli/terminal.h"
#include "sim/exit_statistics.h"
#include "sim/machine.h"
#include "vmm/config_toml.h"

namespace retrap::cli {

namespace {

constexpr std::uint64_t kDefaultMemory = std::uint64_t{512} << 20;
constexpr std::uint64_t kLargestKernel = std::uint64_t{1} << 30;

std::string_view default_cmdline(ArchId arch) {
  return arch == ArchId::Aarch64 ? "console=ttyAMA0 panic=-1" : "console=ttyS0 panic=-1";
}

/// Puts what the command line says over `config`.
void overlay(VmConfig& config, const RunOptions& options) {
  if (options.kernel) {
    config.kernel_path = *options.kernel;
    // They belong to the kernel that the file names.
    config.kernel_load_addr.reset();
    config.entry_point.reset();
  }
  if (options.initrd) config.ramdisk_path = *options.initrd;
  if (options.append) config.cmdline = *options.append;
  if (options.populate) config.populate = *options.populate;
}

/// Without a configuration file, so the parser has seen to it that there is a kernel.
Result<ArchId> arch_of(const RunOptions& options) {
  if (options.arch) return *options.arch;
  const std::string kernel = options.kernel.value_or("");
  RETRAP_TRY(const auto bytes, read_file(kernel, kLargestKernel));
  const auto arch = arch_of_image(bytes);
  if (arch) return *arch;
  return fail(ErrorCode::InvalidInput, "{}: does not say which architecture it is for; give --arch",
              kernel);
}

/// The configuration as far as it is known without a machine: paths, and all of it where there is
/// a file.
Result<VmConfig> configured(const RunOptions& options) {
  VmConfig config;
  if (options.config) {
    RETRAP_TRY(config, load_config(*options.config, options.arch));
  } else {
    RETRAP_TRY(config.arch, arch_of(options));
    config.cmdline = default_cmdline(config.arch);
  }
  overlay(config, options);
  if (config.image_location == ImageLocation::Memory) {
    return fail(ErrorCode::Unsupported,
                "{}: image_location \"memory\" means images compiled into the program, and there "
                "are none; use image_location = \"fs\"",
                *options.config);
  }
  if (config.kernel_path.empty()) {
    return fail(ErrorCode::InvalidInput, "{}: [kernel] names no kernel_path; add it, or --kernel",
                options.config.value_or(""));
  }
  return config;
}

/// Without a configuration file: the standard board with the options' memory and vCPUs.
Result<VmConfig> standard_config(Machine& machine, const RunOptions& options, VmConfig known) {
  const Architecture* const architecture = machine.architecture(known.arch);
  if (architecture == nullptr) {
    return fail(ErrorCode::Unsupported, "this build has no {}; build it with Unicorn",
                to_string(known.arch));
  }
  VmConfig config = architecture->default_config(options.memory_bytes.value_or(kDefaultMemory));
  config.name = "guest";
  config.arch = known.arch;
  config.cpu_num = options.vcpus.value_or(1);
  config.kernel_path = std::move(known.kernel_path);
  config.ramdisk_path = std::move(known.ramdisk_path);
  config.cmdline = std::move(known.cmdline);
  config.populate = known.populate;
  return config;
}

/// Gives every line of a message of the monitor its file and a remedy, where it has none.
Error about(const RunOptions& options, Error error) {
  const std::string file = options.config.value_or(options.kernel.value_or(""));
  const std::string_view remedy =
      options.config ? "correct it there" : "change --memory, --vcpus or the kernel";
  std::string lines;
  std::string_view rest = error.message;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (!lines.empty()) lines += '\n';
    if (!line.starts_with(file)) lines += file + ": ";
    lines += line;
    if (line.find(';') == std::string_view::npos) lines += fmt::format("; {}", remedy);
  }
  error.message = std::move(lines);
  return error;
}

/// A machine with the guest in it, recorded where the options ask for that. Nothing is allocated
/// before all files are known to be good.
Result<Session> prepared(const RunOptions& options, StandardOutput& console) {
  if (options.json) RETRAP_TRY(check_writable(*options.json));
  if (options.output) RETRAP_TRY(check_writable(*options.output));
  RETRAP_TRY(VmConfig config, configured(options));
  RETRAP_TRY(const Images images, load_images(config));
  RETRAP_TRY(auto machine, Machine::create({.seed = options.seed, .slice = options.slice}));
  if (!options.config) {
    RETRAP_TRY(config, standard_config(*machine, options, std::move(config)));
  }
  const auto vm = machine->add_vm(std::move(config), images, &console);
  if (!vm) return tl::unexpected(about(options, vm.error()));
  return Session::start(std::move(machine), options, images);
}

RunReport run_to_the_end(Session& machine, std::uint64_t max_instructions) {
  if (machine.is_interactive()) return machine.run_interactively(max_instructions);
  if (!shows_progress()) return machine.run(max_instructions);
  constexpr std::uint64_t kStep = 100'000'000;
  RunReport report;
  do {
    report = machine.run(std::min(kStep, max_instructions - report.instructions));
    show_progress(fmt::format("{} million instructions", report.instructions / 1'000'000));
  } while (report.reason == StopReason::BudgetSpent && report.instructions < max_instructions);
  show_progress("");
  return report;
}

Status status_of(StopReason reason) {
  switch (reason) {
    case StopReason::PoweredOff:  return Status::Ok;
    case StopReason::Interrupted:
    case StopReason::BudgetSpent: return Status::BudgetSpent;
    case StopReason::Crashed:
    case StopReason::Deadlocked:
    case StopReason::Reset:
    case StopReason::Paused:      return Status::GuestFailed;
  }
  return Status::GuestFailed;
}

/// The line that ends every run, on standard error.
void conclude(const RunSummary& summary) {
  std::uint64_t exits = 0;
  for (const std::uint64_t count : summary.exits) exits += count;
  RunReport report = summary.report;
  if (report.reason == StopReason::Reset && report.detail.empty()) {
    report.detail = "the guest asked for it; run it again";
  }
  complain(fmt::format("{}{}{}; {} instructions, {} exits, digest {}, seed {}, {:.2f} s",
                       to_string(report.reason), report.detail.empty() ? "" : ": ", report.detail,
                       report.instructions, exits, digest_text(summary.digest), summary.seed,
                       summary.wall_seconds));
}

Result<> write_report(const RunOptions& options, const StandardOutput& console,
                      const RunSummary& summary) {
  if (!options.json) return {};
  const std::string json = to_json(summary) + "\n";
  if (*options.json != "-") return write_file(*options.json, json);
  fmt::print("{}{}", console.inside_line() ? "\n" : "", json);
  return {};
}

}  // namespace

Status run(const RunOptions& options) {
  StandardOutput console;
  auto session = prepared(options, console);
  if (!session) {
    complain(session.error().message);
    return Status::Failure;
  }
  Machine* const machine = &session->machine();
  ExitStatistics statistics;
  if (options.stat) machine->add_listener(statistics);
  const auto start = std::chrono::steady_clock::now();
  const RunReport report = run_to_the_end(*session, options.max_instructions.value_or(kNever));
  const auto recorded = session->finish(report);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;

  const Vm& vm = machine->vm(0);
  const RunSummary summary{.arch = vm.config().arch,
                           .vcpus = vm.config().cpu_num,
                           .seed = options.seed,
                           .report = report,
                           .exits = exits_of(*machine),
                           .digest = machine->digest(),
                           .wall_seconds = wall.count()};
  bool flushed = console.flush();
  conclude(summary);
  if (options.stat) fmt::print(stderr, "{}", statistics.table());
  if (!recorded) {
    complain(recorded.error().message);
    return Status::Failure;
  }
  const auto written = write_report(options, console, summary);
  if (!written) {
    complain(written.error().message);
    return Status::Failure;
  }
  flushed = console.flush() && flushed;
  if (!flushed) {
    complain("standard output: cannot write; give it a place with room");
    return Status::Failure;
  }
  return status_of(report.reason);
}

}  // namespace retrap::cli
