// A user's own GoogleTest: a machine without an image crashes at once, and replays.
#include <gtest/gtest.h>

#include "sim/testing.h"

namespace {

using namespace retrap;

Result<std::unique_ptr<Machine>> empty_machine() {
  RETRAP_TRY(auto machine, Machine::create({}));
  VmConfig config = machine->architecture(ArchId::Riscv64)->default_config(16 << 20);
  RETRAP_TRY([[maybe_unused]] Vm * vm, machine->add_vm(std::move(config), {}));
  return machine;
}

TEST(AnEmptyMachine, Replays) {
  EXPECT_TRUE(retrap::testing::replays(
      empty_machine, [](Machine&, Recorder& recorder) { return recorder.run(1000); }));
}

TEST(AnEmptyMachine, IsRecordedForTheLengthOfATest) {
  retrap::testing::RecordedRun run(empty_machine);
  ASSERT_TRUE(run);
  EXPECT_EQ(run.run(1000).reason, StopReason::Crashed);
}

}  // namespace
