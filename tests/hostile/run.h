// One hostile run: a random guest on a machine whose other memory is watched.
#pragma once

#include <cstdint>
#include <string>

#include "sim/machine.h"

namespace retrap::hostile {

inline constexpr std::uint64_t kBudget = 10'000;     ///< instructions of one run
inline constexpr std::uint64_t kMaxExits = 200'000;  ///< more than this is a hang

struct RunResult {
  std::uint64_t digest = 0;  ///< of a run that was made twice; 0 for one that was not
  std::uint64_t instructions = 0;
  std::uint64_t exits = 0;
  StopReason reason = StopReason::BudgetSpent;
  std::string finding;  ///< empty: nothing is wrong
};

/// Everything follows from `arch` and `seed`.
[[nodiscard]] RunResult run_hostile(ArchId arch, std::uint64_t seed);

/// run_hostile(), and again in slices of `slice` instructions (0: that the seed chooses); a
/// difference is a finding.
[[nodiscard]] RunResult run_hostile_twice(ArchId arch, std::uint64_t seed, std::uint64_t slice = 0);

}  // namespace retrap::hostile
