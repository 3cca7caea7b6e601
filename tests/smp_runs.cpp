// The memory-model suite on many CPUs from many seeds: smp_runs [--seeds N] [--vcpus N] [--arch A].
#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tests/smp/run.h"

namespace {

using namespace retrap;
using test::SmpRun;

constexpr const char* kUsage =
    "usage: smp_runs [--arch A] [--vcpus N] [--guest G] [--seeds N] [--first-seed S] [--slice N]\n"
    "Without them: every architecture, 1, 2, 4, 16 and 64 vCPUs, every guest, 200 seeds from 1.\n";

struct Options {
  std::vector<ArchId> archs{kAllArchs.begin(), kAllArchs.end()};
  std::vector<std::uint32_t> vcpus = {1, 2, 4, 16, 64};
  std::vector<std::string_view> guests{test::kSmpGuests.begin(), test::kSmpGuests.end()};
  std::uint64_t seeds = 200;
  std::uint64_t first_seed = 1;
  std::uint64_t slice = 0;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool set(Options& options, std::string_view name, std::string_view value) {
  if (name == "--arch") {
    const auto arch = arch_from_name(value);
    if (arch) options.archs = {*arch};
    return arch.has_value();
  }
  if (name == "--guest") {
    options.guests = {value};
    return true;
  }
  const auto amount = number(value);
  if (!amount) return false;
  if (name == "--vcpus" && *amount >= 1 && *amount <= kMaxVcpus) {
    options.vcpus = {static_cast<std::uint32_t>(*amount)};
  } else if (name == "--seeds") {
    options.seeds = *amount;
  } else if (name == "--first-seed") {
    options.first_seed = *amount;
  } else if (name == "--slice") {
    options.slice = *amount;
  } else {
    return false;
  }
  return true;
}

double processor_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// All seeds of one guest on so many CPUs; gives how many went wrong.
std::uint64_t run_seeds(const Options& options, SmpRun run) {
  const double before = processor_seconds();
  std::uint64_t failures = 0;
  std::uint64_t instructions = 0;
  run.slice = options.slice;
  for (std::uint64_t i = 0; i < options.seeds; ++i) {
    run.seed = options.first_seed + i;
    const auto outcome = make_smp_run(run);
    const std::string complaint = outcome ? outcome->complaint() : outcome.error().message;
    if (outcome) instructions += outcome->report.instructions;
    if (complaint.empty()) continue;
    ++failures;
    fmt::print("{}: {}\n", to_string(run), complaint);
  }
  fmt::print("{:8} {:10} {:2} vCPUs: {} seeds, {} failures, {:.0f} M instructions, {:.1f} s\n",
             to_string(run.arch), run.guest, run.vcpus, options.seeds, failures,
             static_cast<double>(instructions) / 1e6, processor_seconds() - before);
  std::fflush(stdout);
  return failures;
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  const std::span words(arguments, static_cast<std::size_t>(count));
  for (std::size_t i = 1; i < words.size(); i += 2) {
    if (i + 1 < words.size() && set(options, words[i], words[i + 1])) continue;
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  std::uint64_t failures = 0;
  for (const std::uint32_t vcpus : options.vcpus) {
    for (const ArchId arch : options.archs) {
      for (const std::string_view guest : options.guests) {
        failures += run_seeds(options, {.arch = arch, .guest = guest, .vcpus = vcpus});
      }
    }
  }
  return failures == 0 ? 0 : 1;
}
