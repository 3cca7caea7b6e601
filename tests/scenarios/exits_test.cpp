// Which exits an architecture has: each of them is caused by a guest on simulated hardware.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/scenarios/scenario.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

using Names = std::set<std::string_view>;

/// The guests that cause the most kinds of exits.
const std::vector<Scenario>& causes() {
  static const std::vector<Scenario> scenarios = {
      {.guest = "hypercalls"},
      {.guest = "sysregs"},
      {.guest = "mmio"},
      {.guest = "irqmask"},
      {.guest = "timer"},
      {.guest = "regions"},
      {.guest = "smp", .vcpus = 2},
      {.guest = "restart", .end = StopReason::Reset},
      {.guest = "crash", .end = StopReason::Crashed},
  };
  return scenarios;
}

/// Without budget-spent, which is not the guest's; external-interrupt and fail-entry, which only
/// real hardware gives; and what the architecture does not have.
Names exits_of(ArchId arch) {
  Names names = {"hypercall",    "mmio-read",         "mmio-write", "sysreg-read",
                 "sysreg-write", "nested-page-fault", "halt",       "cpu-up",
                 "system-down",  "system-reset",      "guest-crash"};
  switch (arch) {
    case ArchId::X86_64:
      // IPIs and INIT are the local APIC's, and what is dealt with inside goes on at once.
      names.insert({"io-read", "io-write"});
      break;
    case ArchId::Aarch64: names.insert({"cpu-down", "nothing", "send-ipi"}); break;
    case ArchId::Riscv64:
      // IPIs are the firmware's.
      names.insert({"cpu-down", "nothing"});
      break;
  }
  return names;
}

class EveryExitReason : public ::testing::TestWithParam<ArchId> {};

TEST_P(EveryExitReason, IsCausedByAGuest) {
  Names seen;
  for (Scenario scenario : causes()) {
    scenario.arch = GetParam();

    const auto outcome = run_recorded(scenario, {"plain"});

    ASSERT_TRUE(outcome);
    EXPECT_EQ(to_string(outcome->report.reason), to_string(scenario.end)) << scenario.guest;
    for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
      if (outcome->statistics.exits[kind] != 0) seen.insert(kExitNames[kind]);
    }
  }

  EXPECT_EQ(seen, exits_of(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, EveryExitReason, ::testing::ValuesIn(available_archs()), arch_name);

}  // namespace
}  // namespace retrap::test
