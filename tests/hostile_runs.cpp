// Runs hostile guests by the thousand: hostile_runs --arch A --runs N --seed S.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <span>
#include <string_view>

#include "tests/hostile/campaign.h"

namespace {

using namespace retrap;
using hostile::CampaignOptions;

constexpr const char* kUsage =
    "usage: hostile_runs --arch A [--runs N] [--seed S] [--repeat-every N] [--slice N]\n"
    "                    [--seconds N] [--verbose]\n"
    "Every run follows from its seed. --repeat-every: how often a run is made a second time in\n"
    "other slices (default 8; 0: never). --slice: of how many instructions (default: the seed\n"
    "chooses). --seconds: of processor time, after which a run hangs\n"
    "(default 20).\n";

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool set(CampaignOptions& options, std::string_view name, std::string_view value) {
  if (name == "--arch") {
    const auto arch = arch_from_name(value);
    if (arch) options.arch = *arch;
    return arch.has_value();
  }
  const auto amount = number(value);
  if (!amount) return false;
  if (name == "--runs") {
    options.runs = *amount;
  } else if (name == "--seed") {
    options.seed = *amount;
  } else if (name == "--repeat-every") {
    options.repeat_every = *amount;
  } else if (name == "--slice") {
    options.slice = *amount;
  } else if (name == "--seconds" && *amount >= 1 && *amount <= 3600) {
    options.seconds_for_one = static_cast<unsigned>(*amount);
  } else {
    return false;
  }
  return true;
}

std::optional<CampaignOptions> parse(std::span<char*> arguments) {
  CampaignOptions options{.repeat_every = 8};
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (name == "--verbose") {
      options.verbose = true;
      continue;
    }
    ++i;
    if (i == arguments.size() || !set(options, name, arguments[i])) return std::nullopt;
  }
  return options;
}

/// Processor time of the processes that made the runs: other work on this machine does not count.
double processor_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void print(const CampaignOptions& options, const hostile::Totals& totals, double seconds) {
  fmt::print(
      "{}: {} runs from seed {} ({} of them twice), {} findings, {} instructions, {} exits, "
      "{:.1f} s, {:.1f} s of one core: {:.0f} runs/s\n",
      to_string(options.arch), totals.runs, options.seed, totals.repeated, totals.findings,
      totals.instructions, totals.exits, seconds, processor_seconds(),
      static_cast<double>(totals.runs + totals.repeated) / processor_seconds());
  for (std::size_t i = 0; i < totals.reasons.size(); ++i) {
    fmt::print("  {}: {}\n", to_string(static_cast<StopReason>(i)), totals.reasons[i]);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const auto options = parse({arguments, static_cast<std::size_t>(count)});
  if (!options) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  // What one machine gives back, the next one takes: do not return it to the system in between.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const auto start = std::chrono::steady_clock::now();
  const auto totals = hostile::run_campaign(*options);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  print(*options, totals, seconds.count());
  return totals.findings == 0 ? 0 : 1;
}
