// The catalogue of defects: those entries that only show on (simulated) hardware.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/guests/embedded.h"
#include "tests/support/matchers.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

class OnEveryArch : public ::testing::TestWithParam<ArchId> {
 protected:
  [[nodiscard]] static GuestOnAMachine machine(std::string_view guest,
                                               const MachineOptions& options = {}) {
    return machine_with(GetParam(), guest, options).value();
  }
};

// C6: "the state machine itself has no test", because it could not run beside real vCPUs.
TEST_P(OnEveryArch, C6_TheStatesOfAVcpuHoldWhereAGuestRuns) {
  const auto made = machine("spin");
  ASSERT_EQ(made.machine->run(100).instructions, 100u);
  Vcpu& vcpu = **made.vm->vcpu(kBootVcpu);
  made.machine->clock().set_slice_end(150);

  EXPECT_THAT(vcpu.run(), FailsWith(ErrorCode::BadState));
  EXPECT_THAT(vcpu.unbind(), FailsWith(ErrorCode::BadState));
  EXPECT_EQ(vcpu.state(), VcpuState::Free);
  ASSERT_THAT(vcpu.bind(), Succeeds());
  EXPECT_THAT(vcpu.bind(), FailsWith(ErrorCode::BadState));
  EXPECT_THAT(vcpu.set_entry(GuestPhys(0), 0), FailsWith(ErrorCode::BadState));
  EXPECT_THAT(vcpu.run(), SucceedsWith(ExitReason(exits::BudgetSpent{})));
  EXPECT_EQ(vcpu.state(), VcpuState::Ready);
  ASSERT_THAT(vcpu.unbind(), Succeeds());
  EXPECT_EQ(made.machine->clock().retired(), 150u);
  EXPECT_EQ(made.machine->run(50).instructions, 200u);
}

// X15: faults at random after a VM was dropped. Ours may go at any instruction, and the next one,
// and one that lives beside it, are as if it had never been.
TEST_P(OnEveryArch, X15_AMachineMayGoAtAnyMomentWithoutATrace) {
  const auto survivor = machine("paging");
  (void)survivor.machine->run(500);
  const auto digest_of_new = [] {
    const auto made = machine("paging");
    (void)made.machine->run(3000);
    return made.machine->digest();
  };
  const std::uint64_t before = digest_of_new();

  for (std::uint64_t count = 0; count < 2000; count += 97) {
    const auto dropped = machine("paging");
    (void)dropped.machine->run(count);
    (void)dropped.vm->inject_interrupt_to_vcpu(kBootVcpu, 40);
  }

  EXPECT_EQ(digest_of_new(), before);
  (void)survivor.machine->run(2500);
  EXPECT_EQ(survivor.machine->digest(), before);
}

// C5: hardware that could not be initialised counted as initialised.
TEST_P(OnEveryArch, C5_AVmThatTheHostHasNoRoomForLeavesRoomForTheNext) {
  const std::uint64_t memory = std::uint64_t{32} << 20;
  auto made = Machine::create({.memory_bytes = memory}).value();
  Architecture& architecture = *made->architecture(GetParam());
  const auto add = [&](std::uint64_t bytes, std::uint32_t id) {
    const auto elf = guests::find(GetParam(), "hello")->elf;
    Images images;
    images.kernel = Image::parse("hello", {elf.begin(), elf.end()}, GetParam()).value();
    VmConfig config = architecture.default_config(bytes);
    config.id = id;
    return made->add_vm(std::move(config), images);
  };

  EXPECT_THAT(add(memory, 1), FailsWith(ErrorCode::NoMemory));
  EXPECT_EQ(made->frames().bytes_free(), memory);
  EXPECT_EQ(made->vm_num(), 0u);
  EXPECT_THAT(add(memory / 2, 1), Succeeds());
  EXPECT_EQ(to_string(made->run().reason), "powered-off");
}

// N1: the VM with the id n waited 5 (n - 1) seconds, and the id 0 for ever.
TEST_P(OnEveryArch, N1_NoVmWaitsForItsTurnToBoot) {
  auto made = Machine::create({.memory_bytes = std::uint64_t{256} << 20}).value();
  const auto elf = guests::find(GetParam(), "hello")->elf;
  for (const std::uint32_t id : {0u, 1u, 9u}) {
    VmConfig config = made->architecture(GetParam())->default_config(std::uint64_t{16} << 20);
    config.id = id;
    Images images;
    images.kernel = Image::parse("hello", {elf.begin(), elf.end()}, GetParam()).value();
    ASSERT_THAT(made->add_vm(std::move(config), images), Succeeds());
  }

  const RunReport report = made->run(1'000'000);

  EXPECT_EQ(to_string(report.reason), "powered-off");
  EXPECT_EQ(report.virtual_time_ns, report.instructions) << "nobody waits";
  for (std::size_t i = 0; i < made->vm_num(); ++i) {
    EXPECT_EQ(made->console_of(made->vm(i)), made->console_of(made->vm(0)));
    EXPECT_NE(made->console_of(made->vm(i)), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Defects, OnEveryArch, ::testing::ValuesIn(available_archs()), arch_name);

}  // namespace
}  // namespace retrap::test
