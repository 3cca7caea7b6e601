// Many hostile runs, in a process of their own that may hang or crash.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tests/hostile/run.h"

namespace retrap::hostile {

struct CampaignOptions {
  ArchId arch = ArchId::X86_64;
  std::uint64_t runs = 1000;
  std::uint64_t seed = 1;          ///< of the first run; the others follow
  std::uint64_t repeat_every = 1;  ///< every so many runs is made twice; 0: none
  std::uint64_t slice = 0;         ///< of the second run, in instructions; 0: the seed chooses
  unsigned seconds_for_one = 20;   ///< of processor time; more is a hang
  bool verbose = false;            ///< a line for each run
};

struct Totals {
  std::uint64_t runs = 0;
  std::uint64_t repeated = 0;
  std::uint64_t instructions = 0;
  std::uint64_t exits = 0;
  std::uint64_t findings = 0;              ///< hangs and crashes are among them
  std::array<std::uint64_t, 5> reasons{};  ///< by StopReason
};

/// Prints a line for each finding, with the seed that shows it again. A run that hangs or crashes
/// is a finding, and the campaign goes on behind it.
[[nodiscard]] Totals run_campaign(const CampaignOptions& options);

}  // namespace retrap::hostile
