// retrap run: one guest, until it ends.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "sim/cli/commands.h"
#include "sim/cli/guest.h"
#include "sim/cli/interruption.h"
#include "sim/cli/report.h"
#include "sim/cli/same_file.h"
#include "sim/cli/session.h"
#include "sim/cli/terminal.h"
#include "sim/exit_statistics.h"
#include "sim/machine.h"

namespace retrap::cli {

namespace {

/// A machine with the guest in it, recorded where the options ask for that. Nothing is allocated
/// before all files are known to be good.
Result<Session> prepared(const RunOptions& options, StandardOutput& console) {
  if (options.json) RETRAP_TRY(check_writable(*options.json));
  if (options.output) RETRAP_TRY(check_recordable(*options.output));
  RETRAP_TRY(Guest guest, make_guest(options, &console));
  const VmConfig& config = guest.machine->vm(0).config();
  RETRAP_TRY(check_distinct({{"-o", options.output}, {"--json", options.json}},
                            {{"the configuration", options.config},
                             {"the kernel", config.kernel_path},
                             {"the initial RAM disk", config.ramdisk_path},
                             {"the device tree", config.dtb_path},
                             {"the firmware", config.bios_path}}));
  for (const std::string& note : guest.notes) complain(note);
  return Session::start(std::move(guest.machine), options, guest.images);
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
    case StopReason::Interrupted: return Interruption::status().value_or(Status::BudgetSpent);
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
  const Interruption interruption;
  machine->set_stop_flag(Interruption::flag());
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
