// Changes one bit of a replay by the thousand, and kills recordings by the thousand:
// replay_runs bits|kills [RUNS [SEED]].
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "tests/replay/changes.h"
#include "tests/replay/kills.h"
#include "tests/support/arguments.h"

namespace {

using namespace retrap;

struct Tally {
  std::uint64_t runs = 0;
  std::uint64_t changed = 0;
};

int change_bits(std::uint64_t runs, std::uint64_t first) {
  std::vector<test::BaseRun> bases;
  for (const ArchId arch : kAllArchs) {
    bases.push_back(test::base_run(arch, "echo", 1));
    bases.push_back(test::base_run(arch, "echo", 1, traces::Detail::Exits));
    bases.push_back(test::base_run(arch, "timer", 1, traces::Detail::Exits));
    bases.push_back(test::base_run(arch, "smp", 4));
  }
  std::map<std::string_view, Tally> tallies;
  std::map<std::string, std::uint64_t> fields;
  std::uint64_t problems = 0;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    const test::BaseRun& base = bases[seed % bases.size()];
    const test::Change change = test::change_of(base, seed);
    const test::Verdict verdict = test::judge(base, change);
    const auto kind = test::kChangeNames[static_cast<std::size_t>(change.kind)];
    ++tallies[kind].runs;
    if (verdict.changes_behaviour) ++tallies[kind].changed;
    if (!verdict.where.empty()) ++fields[verdict.where];
    if (verdict.problem.empty()) continue;
    ++problems;
    fmt::print("seed {}: {} of {} {} at {}: {}\n", seed, kind, to_string(base.arch), base.guest,
               change.at, verdict.problem);
  }
  for (const auto& [kind, tally] : tallies) {
    fmt::print("{}: {} changed, {} of them to another behaviour\n", kind, tally.runs,
               tally.changed);
  }
  for (const auto& [field, count] : fields) fmt::print("  {:5} {}\n", count, field);
  fmt::print("{} changes from seed {}: {} not found, or named wrongly\n", runs, first, problems);
  return problems == 0 ? 0 : 1;
}

int kill_recordings(std::uint64_t runs, std::uint64_t first) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("kills-{}", first);
  std::filesystem::create_directories(folder);
  std::array<test::Killing, kAllArchs.size()> killings = {test::Killing(ArchId::X86_64, folder),
                                                          test::Killing(ArchId::Aarch64, folder),
                                                          test::Killing(ArchId::Riscv64, folder)};
  std::uint64_t problems = 0;
  Tally cut;
  std::uint64_t within = 0;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    const test::Killed killed = killings[seed % killings.size()].run(seed);
    ++cut.runs;
    cut.changed += killed.was_cut_off ? 1U : 0U;
    within += killed.within_a_block ? 1U : 0U;
    if (killed.problem.empty()) continue;
    ++problems;
    fmt::print("seed {}: {}\n", seed, killed.problem);
  }
  std::filesystem::remove_all(folder);
  fmt::print(
      "{} recordings from seed {} killed: {} before their end, {} of them within a block; {} "
      "do not open, miss a whole block or replay otherwise\n",
      cut.runs, first, cut.changed, within, problems);
  return problems == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  const std::span<char*> words(arguments, static_cast<std::size_t>(count));
  const std::string_view what = words.size() > 1 ? words[1] : "";
  const std::uint64_t runs = test::number_at(words, 2, 1000);
  const std::uint64_t seed = test::number_at(words, 3, 1);
  if (what == "bits") return change_bits(runs, seed);
  if (what == "kills") return kill_recordings(runs, seed);
  fmt::print(stderr, "usage: replay_runs bits|kills [RUNS [SEED]]\n");
  return 2;
}
