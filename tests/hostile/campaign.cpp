// Many hostile runs, in a process of their own that may hang or crash.
#include "tests/hostile/campaign.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "vmm/base/check.h"

namespace retrap::hostile {
namespace {

/// What the working process tells the one that waits for it. In shared memory.
struct Progress {
  Totals totals;
  std::uint64_t next = 0;  ///< the run that is being made
};

Progress* share_progress() {
  void* const at =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  RETRAP_CHECK(at != MAP_FAILED, "no shared memory");
  return new (at) Progress;
}

void report(const CampaignOptions& options, std::uint64_t seed, std::string_view finding) {
  fmt::print(
      "FINDING {}; again with: hostile_runs --arch {} --runs 1 --seed {} --repeat-every 1"
      " --slice {}\n",
      finding, to_string(options.arch), seed, options.slice);
  std::fflush(stdout);
}

void make_one(const CampaignOptions& options, Progress& progress) {
  const std::uint64_t seed = options.seed + progress.next;
  const bool twice = options.repeat_every != 0 && seed % options.repeat_every == 0;
  const RunResult result = twice ? run_hostile_twice(options.arch, seed, options.slice)
                                 : run_hostile(options.arch, seed);
  Totals& totals = progress.totals;
  ++totals.runs;
  totals.repeated += twice ? 1 : 0;
  totals.instructions += result.instructions;
  totals.exits += result.exits;
  ++totals.reasons[static_cast<std::size_t>(result.reason)];
  if (options.verbose) {
    fmt::print("seed {}: {} after {} instructions, {} exits, digest {:016x}\n", seed,
               to_string(result.reason), result.instructions, result.exits, result.digest);
  }
  if (!result.finding.empty()) {
    ++totals.findings;
    report(options, seed, result.finding);
  }
}

/// The signal's default action ends the process: SIGPROF after so much time on a processor, and
/// SIGALRM where it sleeps.
void set_watchdog(unsigned seconds) {
  constexpr unsigned kBusyHost = 20;
  itimerval timer{};
  timer.it_value.tv_sec = seconds;
  ::setitimer(ITIMER_PROF, &timer, nullptr);
  ::alarm(kBusyHost * seconds);
}

/// The working process: the rest of the runs.
[[noreturn]] void work(const CampaignOptions& options, Progress& progress) {
  std::signal(SIGPROF, SIG_DFL);
  std::signal(SIGALRM, SIG_DFL);
  for (; progress.next < options.runs; ++progress.next) {
    set_watchdog(options.seconds_for_one);
    make_one(options, progress);
  }
  set_watchdog(0);
  std::exit(0);
}

std::string end_of(int status, unsigned seconds) {
  if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM)) {
    return fmt::format("HANG: not done after {} s", seconds);
  }
  if (WIFSIGNALED(status)) return fmt::format("CRASH: signal {}", WTERMSIG(status));
  return fmt::format("CRASH: exit status {}", WEXITSTATUS(status));
}

}  // namespace

Totals run_campaign(const CampaignOptions& options) {
  Progress* const progress = share_progress();
  while (progress->next < options.runs) {
    std::fflush(nullptr);
    const pid_t worker = ::fork();
    RETRAP_CHECK(worker >= 0, "no process for the runs");
    if (worker == 0) work(options, *progress);
    int status = 0;
    RETRAP_CHECK(::waitpid(worker, &status, 0) == worker, "the runs' process is lost");
    if (status == 0) break;
    // At the end of the process, a leak for example, there is no run to blame: the last one.
    ++progress->totals.findings;
    const std::uint64_t last = options.runs - 1;
    report(options, options.seed + (progress->next < last ? progress->next : last),
           end_of(status, options.seconds_for_one));
    ++progress->next;
  }
  const Totals totals = progress->totals;
  ::munmap(progress, sizeof *progress);
  return totals;
}

}  // namespace retrap::hostile
