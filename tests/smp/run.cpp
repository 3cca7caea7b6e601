// Runs a guest of the memory-model suite and reads its console.
#include "tests/smp/run.h"

#include <fmt/format.h>

#include <sstream>

#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

constexpr std::array<std::uint64_t, 3> kMeanTurns = {40, 300, 2000};
/// What the scheduler takes by itself, for all vCPUs together.
constexpr std::uint64_t kLongTurns = 100'000;

}  // namespace

std::string SmpOutcome::complaint() const {
  if (report.reason != StopReason::PoweredOff) {
    return fmt::format("{} {}\n{}", to_string(report.reason), report.detail, console);
  }
  std::istringstream lines(console);
  std::size_t good = 0;
  for (std::string line; std::getline(lines, line); ++good) {
    if (!line.starts_with("ok ")) return line;
  }
  return good < 3 ? "it says nothing" : "";
}

std::uint64_t mean_turn_of(const SmpRun& run) {
  const std::size_t choice = run.seed % (kMeanTurns.size() + 1);
  return choice < kMeanTurns.size() ? kMeanTurns[choice] : kLongTurns / run.vcpus;
}

Result<std::unique_ptr<Machine>> machine_of(const SmpRun& run) {
  const MachineOptions options{
      .seed = run.seed, .slice = run.slice, .mean_turn = mean_turn_of(run)};
  RETRAP_TRY(auto guest, machine_with(run.arch, run.guest, options, run.vcpus, run.phys_cpu_ids));
  return std::move(guest.machine);
}

SmpOutcome outcome_of(Machine& machine, RunReport report) {
  return {.report = std::move(report),
          .console = machine.console_of(machine.vm(0)),
          .digest = machine.digest()};
}

Result<SmpOutcome> make_smp_run(const SmpRun& run) {
  RETRAP_TRY(const auto machine, machine_of(run));
  return outcome_of(*machine, machine->run(kMaxSmpInstructions));
}

std::string to_string(const SmpRun& run) {
  const std::string ids =
      run.phys_cpu_ids.empty() ? "" : fmt::format(" [{}]", fmt::join(run.phys_cpu_ids, ", "));
  return fmt::format("{} {}, {} vCPUs{}, seed {}, slice {}", to_string(run.arch), run.guest,
                     run.vcpus, ids, run.seed, run.slice);
}

}  // namespace retrap::test
