// The vCPU's states: every state with every operation.
#include "vmm/vcpu.h"

#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "sim/scripted/scripted_vcpu.h"
#include "tests/support/matchers.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::Succeeds;

constexpr std::array kStates = {VcpuState::Created, VcpuState::Free, VcpuState::Ready,
                                VcpuState::Running};

/// Calls back while the guest "runs": the only way to see a vCPU that is Running.
class ReentrantVcpu final : public ArchVcpu {
 public:
  std::function<void()> while_running = [] {};

  ExitReason run() override {
    // Only once: what it calls may run this vCPU again.
    std::exchange(while_running, [] {})();
    return exits::Halt{};
  }
  void complete(std::uint64_t) override {}
  void refuse() override {}
  Emulated emulate(AccessPort&) override { return Emulated::Unknown; }
  void inject_abort(const exits::NestedPageFault&) override {}
  void reset() override { ++changes; }
  void set_entry(GuestPhys, std::uint64_t) override { ++changes; }
  Result<std::uint64_t> gpr(unsigned) const override { return 0; }
  Result<> set_gpr(unsigned, std::uint64_t) override {
    ++changes;
    return {};
  }
  std::uint64_t pc() const override { return 0; }
  void set_return_value(std::uint64_t) override {}
  std::uint64_t not_supported() const override { return 0; }
  bool wakeup_pending() const override { return false; }
  std::vector<NamedRegister> registers() const override { return {}; }
  void digest(Digest&) const override {}

  int changes = 0;
};

struct Operation {
  std::string name;
  std::function<bool(Vcpu&)> apply;
  std::map<VcpuState, VcpuState> moves;  ///< the states from which it is allowed
};

std::vector<Operation> operations() {
  using enum VcpuState;
  return {
      {"setup", [](Vcpu& vcpu) { return vcpu.setup().has_value(); }, {{Created, Free}}},
      {"bind", [](Vcpu& vcpu) { return vcpu.bind().has_value(); }, {{Free, Ready}}},
      {"unbind", [](Vcpu& vcpu) { return vcpu.unbind().has_value(); }, {{Ready, Free}}},
      {"run", [](Vcpu& vcpu) { return vcpu.run().has_value(); }, {{Ready, Ready}}},
      {"set_entry",
       [](Vcpu& vcpu) { return vcpu.set_entry(0x1000_gpa, 2).has_value(); },
       {{Free, Free}}},
      {"set_gpr",
       [](Vcpu& vcpu) { return vcpu.set_gpr(1, 2).has_value(); },
       {{Created, Created}, {Free, Free}, {Ready, Ready}}},
      {"reset",
       [](Vcpu& vcpu) { return vcpu.reset().has_value(); },
       {{Created, Free}, {Free, Free}, {Ready, Free}}},
  };
}

/// Brings a new vCPU to `state` and lets `look` see it there.
void in_state(VcpuState state, const std::function<void(Vcpu&, ReentrantVcpu&)>& look) {
  ReentrantVcpu arch;
  Vcpu vcpu(VcpuId{1}, arch);
  if (state != VcpuState::Created) {
    ASSERT_THAT(vcpu.setup(), Succeeds());
  }
  if (state == VcpuState::Ready || state == VcpuState::Running) {
    ASSERT_THAT(vcpu.bind(), Succeeds());
  }
  if (state != VcpuState::Running) {
    look(vcpu, arch);
    return;
  }
  arch.while_running = [&] { look(vcpu, arch); };
  ASSERT_THAT(vcpu.run(), Succeeds());
}

TEST(Vcpu, MovesOnlyAsTheTableSays) {
  for (const Operation& operation : operations()) {
    for (const VcpuState from : kStates) {
      in_state(from, [&](Vcpu& vcpu, ReentrantVcpu&) {
        ASSERT_EQ(vcpu.state(), from);
        const auto move = operation.moves.find(from);
        const bool done = operation.apply(vcpu);
        EXPECT_EQ(done, move != operation.moves.end()) << operation.name << to_string(from);
        EXPECT_EQ(vcpu.state(), done ? move->second : from) << operation.name << to_string(from);
      });
    }
  }
}

TEST(Vcpu, IsReadyAgainAfterARun) {
  in_state(VcpuState::Running,
           [](Vcpu& vcpu, ReentrantVcpu&) { EXPECT_EQ(vcpu.state(), VcpuState::Running); });
}

TEST(Vcpu, KnowsTheBootProcessor) {
  ReentrantVcpu arch;

  EXPECT_TRUE(Vcpu(VcpuId{0}, arch).is_bsp());
  EXPECT_FALSE(Vcpu(VcpuId{1}, arch).is_bsp());
}

// The catalogue of defects, chapter 2.2.

TEST(Vcpu, DefectC1_StaysUsableAfterARefusedTransition) {
  ReentrantVcpu arch;
  Vcpu vcpu(VcpuId{4}, arch);
  ASSERT_THAT(vcpu.setup(), Succeeds());

  EXPECT_THAT(vcpu.unbind(), FailsSaying(ErrorCode::BadState, "it is Free, and not Ready"));

  EXPECT_THAT(vcpu.bind(), Succeeds());
  EXPECT_THAT(vcpu.run(), Succeeds());
}

TEST(Vcpu, DefectC2_RefusesToRunTwiceAtOnce) {
  in_state(VcpuState::Running, [](Vcpu& vcpu, ReentrantVcpu&) {
    EXPECT_THAT(vcpu.run(), FailsWith(ErrorCode::BadState));
    EXPECT_EQ(vcpu.state(), VcpuState::Running);
  });
}

TEST(Vcpu, DefectC3_ShowsItsStateWhileItRuns) {
  in_state(VcpuState::Running,
           [](Vcpu& vcpu, ReentrantVcpu&) { EXPECT_EQ(to_string(vcpu.state()), "Running"); });
}

TEST(Vcpu, DefectC4_TakesNoRegisterWhileItRuns) {
  in_state(VcpuState::Running, [](Vcpu& vcpu, ReentrantVcpu& arch) {
    const int before = arch.changes;
    EXPECT_THAT(vcpu.set_gpr(0, 1), FailsWith(ErrorCode::BadState));
    EXPECT_THAT(vcpu.set_entry(0_gpa, 1), FailsWith(ErrorCode::BadState));
    EXPECT_THAT(vcpu.reset(), FailsWith(ErrorCode::BadState));
    EXPECT_EQ(arch.changes, before);
  });
}

TEST(Vcpu, DefectC7_ShowsItsRegistersAndItsProgramCounter) {
  Clock clock;
  scripted::ScriptedVcpu arch(clock);
  Vcpu vcpu(kBootVcpu, arch);
  ASSERT_THAT(vcpu.setup(), Succeeds());
  ASSERT_THAT(vcpu.set_entry(0x8000_gpa, 7), Succeeds());

  EXPECT_EQ(vcpu.arch().pc(), 0x8000u);
  EXPECT_EQ(*vcpu.arch().gpr(0), 7u);
  EXPECT_THAT(vcpu.arch().gpr(16), FailsWith(ErrorCode::InvalidInput));
  EXPECT_EQ(vcpu.arch().registers().back().name, "pc");
}

}  // namespace
}  // namespace retrap
