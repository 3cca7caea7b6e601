// The run loop: what it does instead of the defects of the reference.
#include <gmock/gmock.h>

#include "tests/support/matchers.h"
#include "tests/support/scripted_vm.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using scripted::Aborted;
using scripted::Answer;
using scripted::Completed;
using test::FailsWith;
using test::Succeeds;
using test::SucceedsWith;
using ::testing::ElementsAre;

constexpr auto kRead = MappingFlags::Read;
constexpr auto kWrite = MappingFlags::Write;
const ExitReason kOver = exits::SystemDown{};

class RunLoop : public ::testing::Test, public test::ScriptedVm {
 public:
  [[nodiscard]] const VmStatistics& statistics() const { return vm->statistics(); }
};

// The catalogue of defects, chapter 2.1.

TEST_F(RunLoop, DefectV6_UnbindsWhateverTheDeviceSays) {
  plug(0x0900'0000_gpa, 8).error = IoError::NoRegister;

  EXPECT_THAT(does({{exits::MmioRead{0x0900'0000_gpa, Width::Word}}, {exits::Halt{}}}), Succeeds());
  EXPECT_EQ((*vm->vcpu(kBootVcpu))->state(), VcpuState::Free);
  EXPECT_THAT(vm->run_vcpu(kBootVcpu), Succeeds());
}

TEST_F(RunLoop, DefectV7_ExtendsALoadByItsWidthAndSign) {
  plug(0x0900'0000_gpa, 8).value = 0xffff'ffff'ffff'ff80;

  EXPECT_THAT(does({{exits::MmioRead{0x0900'0000_gpa, Width::Byte, 1, Width::Double, true}},
                    {exits::MmioRead{0x0900'0000_gpa, Width::Byte, 2, Width::Word, true}},
                    {exits::MmioRead{0x0900'0000_gpa, Width::Byte, 3, Width::Double, false}},
                    {exits::MmioRead{0x0900'0000_gpa, Width::Word, 4, Width::Double, false}}}),
              SucceedsWith(kOver));

  EXPECT_EQ(*cpu().gpr(1), 0xffff'ffff'ffff'ff80u);
  EXPECT_EQ(*cpu().gpr(2), 0x0000'0000'ffff'ff80u);
  EXPECT_EQ(*cpu().gpr(3), 0x80u);
  EXPECT_EQ(*cpu().gpr(4), 0xffff'ff80u);
}

TEST_F(RunLoop, DefectV8_PortReadKeepsTheUpperBitsOfTheRegister) {
  plug_port(0x3f8, 8).value = 0x11223344;
  constexpr std::uint64_t kBefore = 0xaaaa'aaaa'bbbb'bbbb;
  const auto after = [&](Width width) {
    EXPECT_THAT((*vm->vcpu(kBootVcpu))->set_gpr(0, kBefore), Succeeds());
    EXPECT_THAT(does({{exits::IoRead{0x3f8, width}}}), Succeeds());
    return *cpu().gpr(0);
  };

  EXPECT_EQ(after(Width::Byte), 0xaaaa'aaaa'bbbb'bb44u);
  EXPECT_EQ(after(Width::Half), 0xaaaa'aaaa'bbbb'3344u);
  EXPECT_EQ(after(Width::Word), 0x0000'0000'1122'3344u);
}

TEST_F(RunLoop, DefectV9_SystemRegistersArriveWhole) {
  plug_sysreg(0xc000'0080, 1).value = 0xfedc'ba98'7654'3210;

  EXPECT_THAT(does({{exits::SysRegRead{0xc000'0080, 0}}}), SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Completed{0xfedc'ba98'7654'3210})));
}

TEST_F(RunLoop, DefectV10_TurnsAnUnhandledFaultIntoAnAbortAndNotIntoALoop) {
  const exits::NestedPageFault fault{0x7000'0000_gpa, kRead};

  EXPECT_THAT(does({{fault}}), SucceedsWith(kOver));

  EXPECT_THAT(answers(), ElementsAre(Answer(Aborted{fault})));
  EXPECT_EQ(cpu().runs(), 2u);
}

TEST_F(RunLoop, DefectV12_WritesExactlyTheBytesOfAnObject) {
  ASSERT_THAT(vm->write_to_guest_of(0x4000'0ffb_gpa, std::uint64_t{0xffff'ffff'ffff'ffff}),
              Succeeds());

  EXPECT_THAT(vm->read_from_guest_of<std::uint8_t>(0x4000'0ffa_gpa), SucceedsWith(0));
  EXPECT_THAT(vm->read_from_guest_of<std::uint8_t>(0x4000'1002_gpa), SucceedsWith(0xff));
  EXPECT_THAT(vm->read_from_guest_of<std::uint8_t>(0x4000'1003_gpa), SucceedsWith(0));
}

TEST_F(RunLoop, DefectV13_ReadsObjectsAtAnyAlignment) {
  ASSERT_THAT(vm->write_to_guest_of(0x4000'0001_gpa, std::uint32_t{0x1234'5678}), Succeeds());

  EXPECT_THAT(vm->read_from_guest_of<std::uint32_t>(0x4000'0001_gpa), SucceedsWith(0x1234'5678u));
}

TEST_F(RunLoop, DefectV14_InjectsIntoAnyVcpuFromAnywhere) {
  EXPECT_THAT(vm->inject_interrupt_to_vcpu(VcpuId{1}, 0x30), Succeeds());
  EXPECT_THAT(vm->inject_interrupt_to_vcpu(VcpuId{2}, 0x30), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm->inject_interrupt_to_vcpu(VcpuId{1}, 0x100), FailsWith(ErrorCode::InvalidInput));

  EXPECT_THAT(board().interrupts().injections(),
              ElementsAre(scripted::ScriptedInterrupts::Injection{VcpuId{1}, 0x30}));
}

TEST_F(RunLoop, DefectD1_NeverFailsOnAnAddressThatTheGuestChose) {
  scripted::Script script;
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{0x4000'0000}, ~std::uint64_t{0},
                                 ~std::uint64_t{7}, std::uint64_t{1} << 48}) {
    for (const Width width : {Width::Byte, Width::Half, Width::Word, Width::Double}) {
      script.push_back({exits::MmioRead{GuestPhys(at), width}});
      script.push_back({exits::MmioWrite{GuestPhys(at), width, ~std::uint64_t{0}}});
      script.push_back({exits::NestedPageFault{GuestPhys(at), kWrite}});
      script.push_back({exits::NestedPageFault{GuestPhys(at), MappingFlags::None}});
      script.push_back({exits::SysRegRead{at, 0xff}});
      script.push_back({exits::SysRegWrite{at, at}});
      script.push_back({exits::IoRead{static_cast<std::uint16_t>(at & 0xffff), width}});
    }
  }

  EXPECT_THAT(does(std::move(script)), SucceedsWith(kOver));
}

}  // namespace
}  // namespace retrap
