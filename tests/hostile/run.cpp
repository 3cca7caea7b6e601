// One hostile run: a random guest on a machine whose other memory is watched.
#include "tests/hostile/run.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/hostile/watch.h"
#include "tests/hostile/world.h"
#include "tests/support/paths.h"

namespace retrap::hostile {
namespace {

constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20;
constexpr std::uint64_t kGuestMemory = 4 * kMegabyte;
constexpr std::uint64_t kHostMemory = kGuestMemory + kMegabyte;

class ExitCounter final : public Observer {
 public:
  void on_exit(const ExitEvent& event) override {
    (void)event;
    ++count_;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::uint64_t count_ = 0;
};

std::filesystem::path launcher_of(ArchId arch) {
  const auto build = test::retrap_program().parent_path().parent_path();
  return build / "guests" / "launch" / (std::string(to_string(arch)) + ".elf");
}

Result<Vm*> load(Machine& machine, ArchId arch, Prng& prng) {
  Architecture* const architecture = machine.architecture(arch);
  if (architecture == nullptr) return fail(ErrorCode::Unsupported, "no such hardware");
  VmConfig config = architecture->default_config(kGuestMemory);
  config.populate = prng.chance(1, 4) ? Populate::Lazy : Populate::Eager;
  Images images;
  RETRAP_TRY(images.kernel, Image::load(launcher_of(arch).string(), arch));
  RETRAP_TRY(Vm* const vm, machine.add_vm(std::move(config), images));
  const World world = make_world(arch, prng);
  const Places& places = places_of(arch);
  RETRAP_TRY(vm->write_to_guest_of(GuestPhys(places.launcher + kPage), world.parameters));
  RETRAP_TRY(vm->memory().write(GuestPhys(places.arena), world.arena));
  return vm;
}

/// Runs in a few pieces with interrupts out of nowhere between them.
RunReport run_in_pieces(Machine& machine, Vm& vm, Prng& prng) {
  RunReport report;
  std::uint64_t left = kBudget;
  for (unsigned piece = 0; piece < 4 && left != 0; ++piece) {
    const std::uint64_t share = piece == 3 ? left : std::min(left, prng.below(kBudget / 2));
    report = machine.run(share);
    if (report.reason != StopReason::BudgetSpent && report.reason != StopReason::Deadlocked) break;
    left = kBudget - std::min(kBudget, report.instructions);
    // Vectors that no controller has are refused; that is a right answer, too.
    (void)vm.inject_interrupt_to_vcpu(kBootVcpu, prng.below(64));
    (void)machine.type(vm, static_cast<char>(prng.below(256)));
  }
  return report;
}

enum class Digested : bool { No, Yes };

RunResult run_in_slices(ArchId arch, std::uint64_t seed, std::uint64_t slice, Digested digested) {
  Prng prng(seed);
  RunResult result;
  auto machine = Machine::create({.memory_bytes = kHostMemory, .seed = seed, .slice = slice});
  if (!machine) return {.finding = machine.error().message};
  const auto vm = load(**machine, arch, prng);
  if (!vm) return {.finding = vm.error().message};
  ExitCounter exits;
  (*vm)->set_observer(&exits);
  const Watch watch((*machine)->frames(), (*vm)->id(), (*vm)->config().populate == Populate::Lazy);

  const RunReport report = run_in_pieces(**machine, **vm, prng);

  if (digested == Digested::Yes) result.digest = (*machine)->digest();
  result.instructions = report.instructions;
  result.exits = exits.count();
  result.reason = report.reason;
  result.finding = watch.finding();
  if (result.exits > kMaxExits) result.finding = fmt::format("{} exits", result.exits);
  if (result.instructions > kBudget) {
    result.finding = fmt::format("{} instructions", result.instructions);
  }
  return result;
}

}  // namespace

RunResult run_hostile(ArchId arch, std::uint64_t seed) {
  return run_in_slices(arch, seed, 0, Digested::No);
}

RunResult run_hostile_twice(ArchId arch, std::uint64_t seed, std::uint64_t slice) {
  RunResult first = run_in_slices(arch, seed, 0, Digested::Yes);
  if (!first.finding.empty()) return first;
  Prng prng(~seed);
  const std::uint64_t longest = prng.chance(1, 2) ? 8 : 2000;
  if (slice == 0 && prng.chance(7, 8)) slice = prng.between(1, longest);
  RunResult second = run_in_slices(arch, seed, slice, Digested::Yes);
  if (!second.finding.empty()) return second;
  if (first.digest != second.digest || first.instructions != second.instructions ||
      first.exits != second.exits || first.reason != second.reason) {
    first.finding = fmt::format(
        "not reproducible: {} with digest {:016x} after {} instructions and {} exits, in slices "
        "of {}: {} with {:016x} after {} and {}",
        to_string(first.reason), first.digest, first.instructions, first.exits, slice,
        to_string(second.reason), second.digest, second.instructions, second.exits);
  }
  return first;
}

}  // namespace retrap::hostile
