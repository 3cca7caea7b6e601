// Runs hostile guests by the thousand: hostile_runs --arch A --runs N --seed S.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "tests/hostile/run.h"

namespace {

using namespace retrap;

struct Options {
  ArchId arch = ArchId::X86_64;
  std::uint64_t runs = 1000;
  std::uint64_t seed = 1;
  bool once = false;     ///< without the second run that must be equal
  bool verbose = false;  ///< a line for each run
};

constexpr unsigned kSecondsForOneRun = 60;

/// What the signal handler prints where a run never ends or crashes.
char current_run[128];

void on_signal(int signal) {
  const char* const what =
      signal == SIGALRM ? "hostile_runs: HANG in: " : "hostile_runs: CRASH in: ";
  (void)!write(STDERR_FILENO, what, std::strlen(what));
  (void)!write(STDERR_FILENO, current_run, std::strlen(current_run));
  std::signal(signal, SIG_DFL);
  if (signal == SIGALRM) std::_Exit(3);
  std::raise(signal);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Options> parse(std::span<char*> arguments) {
  Options options;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (name == "--once" || name == "--verbose") {
      (name == "--once" ? options.once : options.verbose) = true;
      continue;
    }
    if (i + 1 == arguments.size()) return std::nullopt;
    const std::string_view value = arguments[++i];
    if (name == "--arch") {
      const auto arch = arch_from_name(value);
      if (!arch) return std::nullopt;
      options.arch = *arch;
    } else if (const auto amount = number(value); amount && name == "--runs") {
      options.runs = *amount;
    } else if (amount && name == "--seed") {
      options.seed = *amount;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

void announce(const Options& options, std::uint64_t seed) {
  const auto text =
      fmt::format_to_n(current_run, sizeof current_run - 1, "--arch {} --runs 1 --seed {}\n",
                       to_string(options.arch), seed);
  *text.out = '\0';
  alarm(kSecondsForOneRun);
}

/// How many of the runs had a finding.
std::uint64_t run_all(const Options& options) {
  std::uint64_t findings = 0;
  std::uint64_t instructions = 0;
  std::uint64_t exits = 0;
  std::array<std::uint64_t, 5> reasons{};
  const auto start = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < options.runs; ++i) {
    const std::uint64_t seed = options.seed + i;
    announce(options, seed);
    const auto result = options.once ? hostile::run_hostile(options.arch, seed)
                                     : hostile::run_hostile_twice(options.arch, seed);
    instructions += result.instructions;
    exits += result.exits;
    ++reasons[static_cast<std::size_t>(result.reason)];
    if (options.verbose || !result.finding.empty()) {
      fmt::print("seed {}: {} after {} instructions, {} exits, digest {:016x} {}\n", seed,
                 to_string(result.reason), result.instructions, result.exits, result.digest,
                 result.finding);
    }
    if (!result.finding.empty()) ++findings;
  }
  alarm(0);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print(
      "{}: {} runs from seed {}, {} findings, {} instructions, {} exits, {:.1f} s, {:.0f} runs/s\n",
      to_string(options.arch), options.runs, options.seed, findings, instructions, exits,
      seconds.count(), static_cast<double>(options.runs) / seconds.count());
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    fmt::print("  {}: {}\n", to_string(static_cast<StopReason>(i)), reasons[i]);
  }
  return findings;
}

}  // namespace

int main(int count, char** arguments) {
  const auto options = parse({arguments, static_cast<std::size_t>(count)});
  if (!options) {
    fmt::print(stderr, "usage: hostile_runs --arch A [--runs N] [--seed S] [--once] [--verbose]\n");
    return 2;
  }
  for (const int signal : {SIGALRM, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) {
    std::signal(signal, on_signal);
  }
  return run_all(*options) == 0 ? 0 : 1;
}
