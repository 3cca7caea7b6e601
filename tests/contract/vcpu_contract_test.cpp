// What vmm/arch_vcpu.h promises, kept by every architecture on its simulated hardware.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/matchers.h"
#include "tests/support/sim/archs.h"

namespace retrap::test {
namespace {

class AVcpu : public ::testing::TestWithParam<ArchId> {
 protected:
  void start(std::string_view guest, const MachineOptions& options = {}) {
    auto made = machine_with(GetParam(), guest, options);
    ASSERT_TRUE(made) << made.error().message;
    made_ = std::move(*made);
  }

  [[nodiscard]] Machine& machine() { return *made_.machine; }
  [[nodiscard]] Vm& vm() { return *made_.vm; }
  [[nodiscard]] ArchVcpu& vcpu() { return vm().board().vcpu(kBootVcpu); }
  [[nodiscard]] static unsigned registers() { return GetParam() == ArchId::X86_64 ? 16 : 32; }
  [[nodiscard]] static unsigned zero_register() {
    switch (GetParam()) {
      case ArchId::X86_64:  return registers();  // none
      case ArchId::Aarch64: return 31;
      case ArchId::Riscv64: return 0;
    }
    return 0;
  }
  [[nodiscard]] static std::uint64_t digest_of(const ArchVcpu& vcpu) {
    Digest digest;
    vcpu.digest(digest);
    return digest.value();
  }

 private:
  GuestOnAMachine made_;
};

TEST_P(AVcpu, ReadsBackEveryRegisterThatWasWritten) {
  start("spin");
  ASSERT_EQ(machine().run(1000).instructions, 1000u);

  for (unsigned i = 0; i < registers(); ++i) {
    ASSERT_THAT(vcpu().set_gpr(i, 0x1122'3344'5566'7700 + i), Succeeds());
  }

  for (unsigned i = 0; i < registers(); ++i) {
    const std::uint64_t want = i == zero_register() ? 0 : 0x1122'3344'5566'7700 + i;
    EXPECT_THAT(vcpu().gpr(i), SucceedsWith(want)) << "register " << i;
  }
}

TEST_P(AVcpu, RefusesRegistersThatAreNotThere) {
  start("spin");

  EXPECT_THAT(vcpu().gpr(registers()), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vcpu().set_gpr(registers(), 1), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vcpu().set_gpr(0xff, 1), FailsWith(ErrorCode::InvalidInput));
}

TEST_P(AVcpu, NamesEachRegisterOnce) {
  start("spin");

  std::set<std::string_view> names;
  for (const NamedRegister& reg : vcpu().registers()) {
    EXPECT_TRUE(names.insert(reg.name).second) << reg.name;
  }
  EXPECT_GE(names.size(), registers());
}

TEST_P(AVcpu, HasADigestThatSeesEveryRegister) {
  start("spin");
  ASSERT_EQ(machine().run(1000).instructions, 1000u);
  std::set<std::uint64_t> digests = {digest_of(vcpu())};

  for (unsigned i = 0; i < registers(); ++i) {
    if (i == zero_register()) continue;
    ASSERT_THAT(vcpu().set_gpr(i, 0xfeed'0000 + i), Succeeds());
    EXPECT_TRUE(digests.insert(digest_of(vcpu())).second) << "register " << i;
  }
}

TEST_P(AVcpu, StopsAfterExactlyAsManyInstructionsAsItWasGiven) {
  start("spin");
  std::uint64_t total = 0;

  for (std::uint64_t count = 1; count <= 300; ++count) {
    total += count;
    const RunReport report = machine().run(count);

    ASSERT_EQ(report.instructions, total);
    ASSERT_EQ(report.virtual_time_ns, total);
    ASSERT_EQ(to_string(report.reason), "budget-spent");
  }
}

TEST_P(AVcpu, IsWhereItWouldBeHadItNotStopped) {
  start("lazy");
  for (std::uint64_t i = 0; i < 500; ++i) (void)machine().run(7 + i % 11);
  const RunReport stopped = machine().run(1);
  const std::uint64_t stopped_pc = vcpu().pc();
  const std::uint64_t stopped_digest = machine().digest();

  start("lazy");
  (void)machine().run(stopped.instructions);

  EXPECT_EQ(vcpu().pc(), stopped_pc);
  EXPECT_EQ(machine().digest(), stopped_digest);
}

TEST_P(AVcpu, IsAsNewAfterAReset) {
  start("spin");
  const GuestPhys entry(vcpu().pc());
  vcpu().reset();
  const std::uint64_t fresh = digest_of(vcpu());

  vcpu().set_entry(entry, 0);
  ASSERT_EQ(machine().run(12'345).instructions, 12'345u);
  EXPECT_NE(digest_of(vcpu()), fresh);
  vcpu().reset();

  EXPECT_EQ(digest_of(vcpu()), fresh);
}

TEST_P(AVcpu, SleepsUntilSomethingHappens) {
  start("echo");

  const RunReport asleep = machine().run();
  EXPECT_EQ(to_string(asleep.reason), "deadlocked");
  EXPECT_FALSE(vcpu().wakeup_pending());
  EXPECT_TRUE(machine().type(vm(), 'q'));
  EXPECT_TRUE(vcpu().wakeup_pending());

  EXPECT_EQ(to_string(machine().run().reason), "powered-off");
}

TEST_P(AVcpu, CountsItsExits) {
  start("hello");

  const RunReport report = machine().run();

  ASSERT_EQ(to_string(report.reason), "powered-off");
  std::uint64_t exits = 0;
  for (const std::uint64_t count : vm().statistics().exits) exits += count;
  // At least one for each byte printed, and the power-off.
  EXPECT_GT(exits, machine().console_of(vm()).size());
  EXPECT_LT(exits, report.instructions);
}

TEST_P(AVcpu, CannotRunOnAMachineThatIsDown) {
  start("hello");
  ASSERT_EQ(to_string(machine().run().reason), "powered-off");

  EXPECT_THAT(vm().run_vcpu(kBootVcpu), FailsWith(ErrorCode::BadState));
}

INSTANTIATE_TEST_SUITE_P(All, AVcpu, ::testing::ValuesIn(available_archs()), arch_name);

}  // namespace
}  // namespace retrap::test
