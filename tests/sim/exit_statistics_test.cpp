// The table of exits: what is charged to whom.
#include "sim/exit_statistics.h"

#include <gmock/gmock.h>

namespace retrap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

ExitEvent event_of(std::uint32_t vm, std::uint32_t vcpu, const ExitReason& reason, ExitCost cost) {
  return {.vm = VmId{vm},
          .vcpu = VcpuId{vcpu},
          .sequence = 0,
          .retired = 0,
          .now_ns = 0,
          .cost = cost,
          .pc = 0,
          .reason = reason};
}

TEST(TheTableOfExits, ChargesIdleTimeToTheExitBeforeIt) {
  ExitStatistics statistics;
  const ExitReason halt = exits::Halt{};
  const ExitReason down = exits::SystemDown{};
  statistics.on_exit(event_of(1, 0, halt, {.instructions = 10, .idle_ns = 99}));
  statistics.on_exit(event_of(1, 0, down, {.instructions = 5, .idle_ns = 2'000'000}));

  EXPECT_EQ(statistics.rows()[halt.index()].instructions, 10u);
  EXPECT_EQ(statistics.rows()[halt.index()].idle_ns, 2'000'000u);
  EXPECT_EQ(statistics.rows()[down.index()].instructions, 5u);
  EXPECT_EQ(statistics.rows()[down.index()].idle_ns, 0u);
}

TEST(TheTableOfExits, KeepsTheVcpusOfSeveralVmsApart) {
  ExitStatistics statistics;
  const ExitReason halt = exits::Halt{};
  const ExitReason down = exits::SystemDown{};
  statistics.on_exit(event_of(1, 1, halt, {}));
  EXPECT_THAT(statistics.table(), HasSubstr("  0 1\n")) << "of one VM, nobody asks which";
  statistics.on_exit(event_of(2, 0, halt, {}));
  statistics.on_exit(event_of(2, 0, down, {}));

  EXPECT_THAT(statistics.rows()[halt.index()].by_vcpu,
              ElementsAre(Pair(VmId{1}, ElementsAre(0u, 1u)), Pair(VmId{2}, ElementsAre(1u))));
  const std::string table = statistics.table();
  EXPECT_THAT(table, HasSubstr("  vm 1: 0 1  vm 2: 1\n"));
  EXPECT_THAT(table, HasSubstr("  vm 1: 0 0  vm 2: 1\n")) << "no exit of a kind is one of none";
  EXPECT_THAT(table, HasSubstr("  vm 1: 0 1  vm 2: 2\n"));
}

}  // namespace
}  // namespace retrap
