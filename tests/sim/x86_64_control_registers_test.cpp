// Control registers: every way to read and write them, and what is refused (X4 of the reference).
#include <string>

#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

constexpr std::uint64_t kTaskSwitched = 8;

TEST(ControlRegisters, X4_AreReadAndWrittenInEveryForm) {
  CpuRig rig;
  CpuState state = CpuRig::long_mode();
  const std::uint64_t cr0 = state.cr0 | kTaskSwitched;
  state.cr0 = cr0;
  rig.cpu().set_state(state);
  rig.code({0x0f, 0x20, 0xc0,        // mov rax, cr0
            0x0f, 0x20, 0xdb,        // mov rbx, cr3
            0x0f, 0x20, 0xe1,        // mov rcx, cr4
            0x0f, 0x06,              // clts
            0x0f, 0x01, 0xe2,        // smsw edx
            0x0f, 0x22, 0xdb,        // mov cr3, rbx
            0x0f, 0x22, 0xe1,        // mov cr4, rcx
            0x0f, 0x01, 0xf0,        // lmsw ax
            0x0f, 0x20, 0xc6,        // mov rsi, cr0
            0x48, 0x83, 0xe0, 0xf7,  // and rax, ~8
            0x0f, 0x22, 0xc0,        // mov cr0, rax
            0xf4});                  // hlt

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), CpuRig::kTables);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rcx), 0x620u);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rdx), cr0 & ~kTaskSwitched) << "clts, smsw";
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rsi), cr0) << "lmsw";
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rax), cr0 & ~kTaskSwitched);
  EXPECT_EQ(rig.cpu().state().cr0, cr0 & ~kTaskSwitched);
}

struct Refused {
  std::string name;
  std::vector<std::uint8_t> bytes;
  unsigned ring;
  unsigned vector;
  friend void PrintTo(const Refused& row, std::ostream* out) { *out << row.name; }
};

class ABadAccessToAControlRegister : public testing::TestWithParam<Refused> {};

TEST_P(ABadAccessToAControlRegister, X4_IsTheGuestsException) {
  CpuRig rig;
  rig.gate(GetParam().vector);
  rig.store<std::uint64_t>(CpuRig::kTss + 4, CpuRig::kStack);  // RSP0
  rig.cpu().set_state(CpuRig::long_mode(GetParam().ring));
  rig.cpu().set_gpr(Gpr::Rax, 0x8000'0000'0000'0000);
  std::uint64_t at = CpuRig::kCode;
  for (const std::uint8_t byte : GetParam().bytes) rig.store(at++, byte);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(GetParam().vector));
  EXPECT_EQ(rig.cpu().state().cr0, CpuRig::long_mode().cr0);
  EXPECT_EQ(rig.cpu().state().cr3, CpuRig::kTables);
}

INSTANTIATE_TEST_SUITE_P(
    All, ABadAccessToAControlRegister,
    testing::Values(Refused{"mov from CR0 in user mode", {0x0f, 0x20, 0xc0}, 3, 13},
                    Refused{"mov from CR3 in user mode", {0x0f, 0x20, 0xd8}, 3, 13},
                    Refused{"mov to CR0 in user mode", {0x0f, 0x22, 0xc0}, 3, 13},
                    Refused{"mov to CR3 in user mode", {0x0f, 0x22, 0xd8}, 3, 13},
                    Refused{"mov to CR4 in user mode", {0x0f, 0x22, 0xe0}, 3, 13},
                    Refused{"mov to CR8 in user mode", {0x44, 0x0f, 0x22, 0xc0}, 3, 13},
                    Refused{"clts in user mode", {0x0f, 0x06}, 3, 13},
                    Refused{"lmsw in user mode", {0x0f, 0x01, 0xf0}, 3, 13},
                    Refused{"CR1", {0x0f, 0x22, 0xc8}, 0, 6},
                    Refused{"CR5", {0x0f, 0x22, 0xe8}, 0, 6},
                    Refused{"bits of CR0 that do not exist", {0x0f, 0x22, 0xc0}, 0, 13},
                    Refused{"bits of CR4 that do not exist", {0x0f, 0x22, 0xe0}, 0, 13}));

}  // namespace
}  // namespace retrap::test
