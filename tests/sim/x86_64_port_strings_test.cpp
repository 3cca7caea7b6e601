// INS: nothing in memory changes before the port has been read, whatever the operand is.
#include <string>

#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

constexpr std::uint64_t kPattern = 0x1122'3344'5566'7788;
constexpr std::uint64_t kIns = ioio::kIn | ioio::kString | ioio::kAddress64;

struct InsCase {
  std::string name;
  std::vector<std::uint8_t> bytes;
  std::uint64_t flags;  ///< of EXITINFO1, beside kIns
  friend void PrintTo(const InsCase& c, std::ostream* out) { *out << c.name; }
};

class PortToMemory : public testing::TestWithParam<InsCase> {
 protected:
  /// The instruction, with its operand at `operand` and two turns to go.
  void prepare(CpuRig& rig, std::uint64_t operand) {
    std::uint64_t at = CpuRig::kCode;
    for (const std::uint8_t byte : GetParam().bytes) rig.store(at++, byte);
    rig.cpu().set_gpr(Gpr::Rdi, operand);
    rig.cpu().set_gpr(Gpr::Rcx, 2);
    rig.cpu().set_gpr(Gpr::Rdx, 0x3f8);
  }
  [[nodiscard]] static std::uint64_t info() {
    return std::uint64_t{0x3f8} << ioio::kPortShift | kIns | GetParam().flags;
  }
};

TEST_P(PortToMemory, ExitsBeforeMemoryChanges) {
  CpuRig rig;
  rig.store(CpuRig::kData, kPattern);
  prepare(rig, CpuRig::kData);

  const RawExit& exit = rig.run();

  EXPECT_EQ(exit.code, SvmExit::Ioio);
  EXPECT_EQ(exit.info1, info());
  EXPECT_EQ(rig.clock.retired(), 0u);
  EXPECT_EQ(rig.load(CpuRig::kData), kPattern);
}

TEST_P(PortToMemory, ThatIsTheInstructionItselfExitsInTheSameWay) {
  CpuRig whole;
  CpuRig sliced;
  for (CpuRig* const rig : {&whole, &sliced}) {
    prepare(*rig, CpuRig::kCode);

    const RawExit& exit = rig->run(100, rig == &whole ? ~std::uint64_t{0} : 1);

    EXPECT_EQ(exit.code, SvmExit::Ioio);
    EXPECT_EQ(exit.info1, info());
    EXPECT_EQ(exit.next_rip, CpuRig::kCode + GetParam().bytes.size());
    EXPECT_EQ(rig->clock.retired(), 0u);
    for (std::size_t i = 0; i < GetParam().bytes.size(); ++i) {
      EXPECT_EQ(rig->load<std::uint8_t>(CpuRig::kCode + i), GetParam().bytes[i]);
    }
  }
  EXPECT_EQ(sliced.digest(), whole.digest());
}

TEST_P(PortToMemory, IsRefusedInUserModeBeforeMemoryChanges) {
  CpuRig rig;
  rig.gate(13);
  rig.cpu().set_state(CpuRig::long_mode(3));
  rig.store(CpuRig::kData, kPattern);
  prepare(rig, CpuRig::kData);

  EXPECT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().state().rip, CpuRig::handler(13));
  EXPECT_EQ(rig.load(CpuRig::kData), kPattern);
}

INSTANTIATE_TEST_SUITE_P(All, PortToMemory,
                         testing::Values(InsCase{"insb", {0x6c}, ioio::kSize8},
                                         InsCase{"insw", {0x66, 0x6d}, ioio::kSize16},
                                         InsCase{"insd", {0x6d}, ioio::kSize32},
                                         InsCase{
                                             "rep insb", {0xf3, 0x6c}, ioio::kSize8 | ioio::kRep},
                                         InsCase{"repne insd, three times over",
                                                 {0xf2, 0xf2, 0xf2, 0x6d},
                                                 ioio::kSize32 | ioio::kRep}),
                         [](const auto& each) { return "n" + std::to_string(each.index); });

TEST(RepeatedIns, WithNothingLeftRetires) {
  for (const std::uint64_t slice : {std::uint64_t{1}, ~std::uint64_t{0}}) {
    CpuRig rig;
    rig.code({0xf3, 0x6c, 0xf4});        // rep insb; hlt
    rig.cpu().set_gpr(Gpr::Rdi, 0x123);  // and rcx = 0

    EXPECT_EQ(rig.run(100, slice).code, SvmExit::Hlt);

    EXPECT_EQ(rig.clock.retired(), 1u);
    EXPECT_EQ(rig.cpu().gpr(Gpr::Rdi), 0x123u);
  }
}

TEST(RepeatedIns, CountsWithTheWidthOfItsAddress) {
  CpuRig rig;
  rig.code({0xf3, 0x67, 0x6c, 0xf4});  // rep insb by edi and ecx; hlt
  rig.cpu().set_gpr(Gpr::Rcx, std::uint64_t{1} << 32);

  EXPECT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.clock.retired(), 1u);
}

TEST(Ins, ShowsTheFlagsOfTheInstructionsBeforeIt) {
  constexpr std::uint64_t kZero = 1U << 6, kDirection = 1U << 10;
  for (const std::uint64_t slice : {std::uint64_t{1}, ~std::uint64_t{0}}) {
    CpuRig rig;
    rig.code({0xfd, 0x31, 0xc0, 0x6c});  // std; xor eax, eax; insb
    rig.cpu().set_gpr(Gpr::Rdi, CpuRig::kData);

    EXPECT_EQ(rig.run(100, slice).code, SvmExit::Ioio);

    EXPECT_EQ(rig.clock.retired(), 2u);
    EXPECT_EQ(rig.cpu().rflags() & (kZero | kDirection), kZero | kDirection);
  }
}

}  // namespace
}  // namespace retrap::test
