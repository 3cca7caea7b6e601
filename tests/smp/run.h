// One run of a guest whose CPUs share memory, and what came of it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/machine.h"

namespace retrap::test {

/// The guests of the memory-model suite: tests/guests/programs.
inline constexpr std::array<std::string_view, 3> kSmpGuests = {"atomics", "coherence", "ipis"};

struct SmpRun {
  ArchId arch = ArchId::X86_64;
  std::string_view guest = {};  ///< of kSmpGuests
  std::uint32_t vcpus = 1;
  std::uint64_t seed = 1;
  std::uint64_t slice = 0;
  std::vector<std::uint64_t> phys_cpu_ids = {};  ///< empty: the numbers of the vCPUs
};

struct SmpOutcome {
  RunReport report;
  std::string console;
  std::uint64_t digest = 0;

  /// What went wrong, or empty: it powers off, and every line says "ok".
  [[nodiscard]] std::string complaint() const;
};

/// How long turns are on average, in instructions. From the seed, so that a few seeds go through
/// fine and coarse interleavings.
[[nodiscard]] std::uint64_t mean_turn_of(const SmpRun& run);

/// The longest run that is right takes a tenth of it.
inline constexpr std::uint64_t kMaxSmpInstructions = 4'000'000'000;
[[nodiscard]] Result<std::unique_ptr<Machine>> machine_of(const SmpRun& run);
[[nodiscard]] SmpOutcome outcome_of(Machine& machine, RunReport report);
[[nodiscard]] Result<SmpOutcome> make_smp_run(const SmpRun& run);

/// "x86_64 atomics, 4 vCPUs, seed 7, slice 0"; ids in brackets: "4 vCPUs [0, 2, 5, 7], seed ..."
[[nodiscard]] std::string to_string(const SmpRun& run);

}  // namespace retrap::test
