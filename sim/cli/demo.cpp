// retrap demo: the built-in guests on all architectures, twice, and what came of it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "sim/cli/commands.h"
#include "sim/cli/report.h"
#include "sim/cli/terminal.h"
#include "sim/machine.h"
#include "tests/guests/embedded.h"

namespace retrap::cli {

namespace {

/// Those that need nothing beside the standard board, power off, and print no more than a page.
constexpr std::array<std::string_view, 9> kGuests = {
    "hello", "timer", "irqmask", "paging", "user", "fpu", "hypercalls", "lazy", "smp"};
constexpr std::uint64_t kMemory = std::uint64_t{64} << 20;
constexpr std::uint64_t kBudget = 1'000'000'000;
/// The second run stops and resumes this often, which must change nothing.
constexpr std::uint64_t kSlice = 1009;

struct Outcome {
  RunReport report;
  std::array<std::uint64_t, kExitKinds> exits{};
  std::uint64_t digest = 0;
  std::string console;

  [[nodiscard]] bool good() const {
    return report.reason == StopReason::PoweredOff && console.find("FAIL") == std::string::npos;
  }
};

/// What one guest did on one architecture, both times.
struct Pair {
  std::string_view guest;
  ArchId arch;
  Outcome first;
  Outcome second;

  [[nodiscard]] bool equal() const {
    return first.digest == second.digest && first.exits == second.exits &&
           first.report.instructions == second.report.instructions &&
           first.console == second.console;
  }
};

Result<Outcome> run_once(const guests::Guest& guest, const MachineOptions& options) {
  RETRAP_TRY(auto machine, Machine::create(options));
  const Architecture* const architecture = machine->architecture(guest.arch);
  if (architecture == nullptr) {
    return fail(ErrorCode::Unsupported, "this build has no {}; build it with Unicorn",
                to_string(guest.arch));
  }
  VmConfig config = architecture->default_config(kMemory);
  config.name = guest.name;
  config.cpu_num = guest.name == "smp" ? 2 : 1;
  Images images;
  RETRAP_TRY(auto kernel, Image::parse(std::string(guest.name),
                                       {guest.elf.begin(), guest.elf.end()}, guest.arch));
  images.kernel = std::move(kernel);
  RETRAP_TRY(const Vm* vm, machine->add_vm(std::move(config), images));

  Outcome outcome{.report = machine->run(kBudget), .console = {}};
  outcome.exits = exits_of(*machine);
  outcome.digest = machine->digest();
  outcome.console = machine->console_of(*vm);
  return outcome;
}

Result<Pair> run_twice(const guests::Guest& guest, std::uint64_t seed) {
  RETRAP_TRY(auto first, run_once(guest, {.seed = seed}));
  RETRAP_TRY(auto second, run_once(guest, {.seed = seed, .slice = kSlice}));
  return Pair{guest.name, guest.arch, std::move(first), std::move(second)};
}

Result<std::vector<Pair>> run_all(std::uint64_t seed) {
  std::vector<Pair> pairs;
  for (const std::string_view name : kGuests) {
    for (const ArchId arch : kAllArchs) {
      const guests::Guest* const guest = guests::find(arch, name);
      if (guest == nullptr) {
        return fail(ErrorCode::NotFound, "no built-in guest {} for {}; build again", name,
                    to_string(arch));
      }
      if (shows_progress()) show_progress(fmt::format("{} on {}", name, to_string(arch)));
      RETRAP_TRY(auto pair,
                 run_twice(*guest, seed).map_error(while_doing("{} on {}", name, to_string(arch))));
      pairs.push_back(std::move(pair));
    }
  }
  if (shows_progress()) show_progress("");
  return pairs;
}

/// `console` on one line, or as it is, each line after `margin`.
std::string shown(std::string_view console, bool on_one_line, std::string_view margin) {
  std::string text;
  while (!console.empty()) {
    const std::string_view line = console.substr(0, console.find('\n'));
    console.remove_prefix(std::min(console.size(), line.size() + 1));
    if (!text.empty()) text += on_one_line ? " / " : fmt::format("\n{}", margin);
    text += line;
  }
  return text;
}

/// A few that are short and say something, and all that went wrong.
void print_consoles(const std::vector<Pair>& pairs) {
  fmt::print("Consoles\n");
  for (const Pair& pair : pairs) {
    const bool good = pair.first.good();
    if (good && pair.guest != "hello" && pair.guest != "timer") continue;
    const std::string margin = fmt::format("  {:10}  {:8}", pair.guest, to_string(pair.arch));
    fmt::print("{}  {}\n", margin, shown(pair.first.console, good, margin + "  "));
  }
}

void print_exits(const std::vector<Pair>& pairs) {
  fmt::print("\nExits of all {} guests\n  {:20}", kGuests.size(), "");
  for (const ArchId arch : kAllArchs) fmt::print("{:>14}", to_string(arch));
  fmt::print("\n");
  const auto print_row = [&](std::string_view name, auto&& value) {
    std::array<std::uint64_t, kAllArchs.size()> sums{};
    for (const Pair& pair : pairs) sums[static_cast<std::size_t>(pair.arch)] += value(pair.first);
    if (sums == decltype(sums){}) return;
    fmt::print("  {:20}", name);
    for (const std::uint64_t sum : sums) fmt::print("{:>14}", sum);
    fmt::print("\n");
  };
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    print_row(kExitNames[kind], [kind](const Outcome& outcome) { return outcome.exits[kind]; });
  }
  print_row("instructions", [](const Outcome& outcome) { return outcome.report.instructions; });
}

void print_digests(const std::vector<Pair>& pairs) {
  fmt::print(
      "\nDigests, equal in both runs (the second one stopped every {} instructions)\n  {:10}",
      kSlice, "");
  for (const ArchId arch : kAllArchs) fmt::print("  {:>18}", to_string(arch));
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (i % kAllArchs.size() == 0) fmt::print("\n  {:10}", pairs[i].guest);
    fmt::print("  {} {}", digest_text(pairs[i].first.digest), pairs[i].equal() ? "=" : "!");
  }
  fmt::print("\n");
}

/// What is wrong, a line for each pair; empty where all is well.
std::string complaints(const std::vector<Pair>& pairs) {
  std::string lines;
  const auto add = [&lines](const Pair& pair, std::string_view what) {
    lines += fmt::format("{}{} on {}: {}", lines.empty() ? "" : "\n", pair.guest,
                         to_string(pair.arch), what);
  };
  for (const Pair& pair : pairs) {
    if (!pair.equal()) {
      add(pair, fmt::format("two runs differ: {} instructions and digest {}, then {} and {}",
                            pair.first.report.instructions, digest_text(pair.first.digest),
                            pair.second.report.instructions, digest_text(pair.second.digest)));
    }
    if (!pair.first.good()) {
      add(pair, fmt::format("the guest failed: {} {}", to_string(pair.first.report.reason),
                            pair.first.report.detail));
    }
  }
  return lines;
}

}  // namespace

Status demo(const DemoOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const auto pairs = run_all(options.seed);
  if (!pairs) {
    complain(pairs.error().message);
    return Status::Failure;
  }
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  print_consoles(*pairs);
  print_exits(*pairs);
  print_digests(*pairs);
  const std::string wrong = complaints(*pairs);
  if (!wrong.empty()) {
    (void)std::fflush(stdout);
    complain(wrong);
    return Status::Failure;
  }
  fmt::print("\n{} guests, {} architectures, {} runs, seed {}, {:.1f} s: every pair is equal\n",
             kGuests.size(), kAllArchs.size(), 2 * pairs->size(), options.seed, wall.count());
  return Status::Ok;
}

}  // namespace retrap::cli
