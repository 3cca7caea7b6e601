// Segments that guests set up in ways that no compiler does.
#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

constexpr std::uint16_t kBased = 0x48;  ///< a 64-bit code segment whose descriptor has a base

struct ABaseOf64BitCode : testing::Test {
  CpuRig rig;
  ABaseOf64BitCode() { rig.store<std::uint64_t>(CpuRig::kGdt + kBased, 0x12af'9b34'5678'ffff); }

  void expect_halt_at(std::uint64_t rip) {
    EXPECT_EQ(rig.run(1000).code, SvmExit::Hlt);
    EXPECT_EQ(rig.cpu().rip(), rip);
    EXPECT_EQ(rig.cpu().segment(SegmentName::Cs).base, 0u);
  }
};

TEST_F(ABaseOf64BitCode, MeansNothingAfterAFarReturn) {
  rig.code({0x6a, kBased, 0x68, 0x00, 0x20, 0x10, 0x00, 0x48, 0xcb});  // push; push; retfq
  rig.code({0x90, 0xf4}, 0x10'2000);                                   // nop; hlt

  expect_halt_at(0x10'2001);

  EXPECT_EQ(rig.clock.retired(), 4u);
}

TEST_F(ABaseOf64BitCode, MeansNothingAfterEveryFarReturn) {
  // again: push; push next; retfq; next: dec ecx; jnz again; hlt
  rig.code({0x6a, kBased, 0x68, 0x09, 0x00, 0x10, 0x00, 0x48, 0xcb, 0xff, 0xc9, 0x75, 0xf3, 0xf4});
  rig.cpu().set_gpr(Gpr::Rcx, 5);

  expect_halt_at(CpuRig::kCode + 13);

  EXPECT_EQ(rig.clock.retired(), 25u);
}

TEST_F(ABaseOf64BitCode, MeansNothingInTheHandlerOfAGate) {
  rig.gate(6);
  rig.store<std::uint16_t>(CpuRig::kIdt + 6 * 16 + 2, kBased);
  rig.code({0x0f, 0x0b});  // ud2

  expect_halt_at(CpuRig::handler(6));
}

TEST_F(ABaseOf64BitCode, MeansNothingInAnInitialState) {
  CpuState state = CpuRig::long_mode();
  state.segment(SegmentName::Cs).base = 0x1234'5678;
  rig.cpu().set_state(state);
  rig.code({0xf4});

  expect_halt_at(CpuRig::kCode);
}

}  // namespace
}  // namespace retrap::test
