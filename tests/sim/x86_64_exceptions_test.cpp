// Exceptions and interrupts: what the guest's handlers find.
#include <string>

#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

/// The stack frame in front of a handler of `rig`, read where it stopped at its HLT.
struct Frame {
  std::uint64_t error, rip, cs, rflags, rsp, ss;
};
Frame frame_of(CpuRig& rig, bool has_error) {
  std::uint64_t at = rig.cpu().gpr(Gpr::Rsp);
  Frame frame{};
  if (has_error) {
    frame.error = rig.load(at);
    at += 8;
  }
  frame.rip = rig.load(at);
  frame.cs = rig.load(at + 8);
  frame.rflags = rig.load(at + 16);
  frame.rsp = rig.load(at + 24);
  frame.ss = rig.load(at + 32);
  return frame;
}

struct FaultCase {
  std::string name;
  std::vector<std::uint8_t> bytes;
  unsigned vector;
  bool has_error = false;
  std::uint64_t error = 0;
  std::uint64_t rip = 0;  ///< saved, from the start of the bytes
  friend void PrintTo(const FaultCase& c, std::ostream* out) { *out << c.name; }
};

class AnX86Exception : public testing::TestWithParam<FaultCase> {};

TEST_P(AnX86Exception, ReachesItsHandler) {
  CpuRig rig;
  rig.gate(GetParam().vector, 3);
  std::uint64_t at = CpuRig::kCode;
  for (const std::uint8_t byte : GetParam().bytes) rig.store(at++, byte);
  rig.cpu().set_gpr(Gpr::Rax, 0x8000'0000'0000'0000);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  ASSERT_EQ(rig.cpu().rip(), CpuRig::handler(GetParam().vector));
  const Frame frame = frame_of(rig, GetParam().has_error);
  EXPECT_EQ(frame.error, GetParam().error);
  EXPECT_EQ(frame.rip, CpuRig::kCode + GetParam().rip);
  EXPECT_EQ(frame.cs, 0x10u);
  EXPECT_EQ(frame.rsp, CpuRig::kStack);
}

INSTANTIATE_TEST_SUITE_P(
    All, AnX86Exception,
    testing::Values(
        FaultCase{"divide error", {0x90, 0x31, 0xc9, 0xf7, 0xf1}, 0, false, 0, 3},
        FaultCase{"ud2", {0x90, 0x0f, 0x0b}, 6, false, 0, 1},
        FaultCase{"int3", {0x90, 0xcc}, 3, false, 0, 2},
        FaultCase{"int 0x80", {0x90, 0xcd, 0x80}, 0x80, false, 0, 3},
        FaultCase{"icebp", {0x90, 0xf1}, 1, false, 0, 2},
        FaultCase{"a selector beyond the table",
                  {0xb8, 0x38, 0x12, 0, 0, 0x8e, 0xd8},
                  13,
                  true,
                  0x1238,
                  5},
        FaultCase{"an absent segment", {0xb8, 0x38, 0, 0, 0, 0x8e, 0xd8}, 11, true, 0x38, 5},
        FaultCase{"an absent stack segment", {0xb8, 0x38, 0, 0, 0, 0x8e, 0xd0}, 12, true, 0x38, 5},
        FaultCase{"a non-canonical load", {0x90, 0x8b, 0x18}, 13, true, 0, 1},
        FaultCase{"a non-canonical push", {0x48, 0x89, 0xc5, 0x8b, 0x5d, 0}, 12, true, 0, 3},
        FaultCase{"a bit of CR4 that does not exist",
                  {0x48, 0xc7, 0xc1, 0, 0, 0, 0x40, 0x0f, 0x22, 0xe1},
                  13,
                  true,
                  0,
                  7},
        FaultCase{"CR4 without PAE", {0x31, 0xc9, 0x0f, 0x22, 0xe1}, 13, true, 0, 2},
        FaultCase{"CR0 without PE", {0xb9, 0, 0, 0, 0x80, 0x0f, 0x22, 0xc1}, 13, true, 0, 5},
        FaultCase{"xgetbv", {0x0f, 0x01, 0xd0}, 6, false, 0, 0},
        FaultCase{"a vector instruction of AVX", {0xc5, 0xfc, 0x58, 0xc1}, 6, false, 0, 0}),
    [](const auto& each) { return "n" + std::to_string(each.index); });

struct PageFaultCase {
  std::string name;
  std::vector<std::uint8_t> bytes;
  std::uint64_t entry;  ///< of the page at 0x600000
  unsigned dpl;
  std::uint64_t error;
  std::uint64_t cr2;
  friend void PrintTo(const PageFaultCase& c, std::ostream* out) { *out << c.name; }
};

class APageFault : public testing::TestWithParam<PageFaultCase> {};

TEST_P(APageFault, HasAddressAndErrorCode) {
  CpuRig rig;
  rig.gate(14);
  const std::uint64_t table = rig.split(0x60'0000);
  rig.store(table, GetParam().entry);
  std::uint64_t at = CpuRig::kCode;
  for (const std::uint8_t byte : GetParam().bytes) rig.store(at++, byte);
  CpuState state = CpuRig::long_mode(GetParam().dpl);
  state.gpr[static_cast<unsigned>(Gpr::Rax)] = 0x60'0123;
  if (GetParam().dpl == 0) state.cr4 |= 1U << 20 | 1U << 21;  // SMEP, SMAP
  rig.cpu().set_state(state);
  // Code, stack and handlers: for the supervisor only where SMEP and SMAP are on.
  rig.store<std::uint64_t>(CpuRig::kTables + 0x2000, GetParam().dpl == 0 ? 0xe3 : 0xe7);
  rig.store<std::uint64_t>(CpuRig::kTables + 0x2000 + 3 * 8, table | 7);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  const CpuState after = rig.cpu().state();
  EXPECT_EQ(after.rip, CpuRig::handler(14));
  EXPECT_EQ(after.cr2, GetParam().cr2);
  EXPECT_EQ(frame_of(rig, true).error, GetParam().error);
}

constexpr std::uint64_t kNx = std::uint64_t{1} << 63;
INSTANTIATE_TEST_SUITE_P(
    All, APageFault,
    testing::Values(
        // mov ebx, [rax+4]
        PageFaultCase{"read of an absent page", {0x8b, 0x58, 4}, 0, 0, 0, 0x60'0127},
        // mov [rax], ebx
        PageFaultCase{"write to an absent page", {0x89, 0x18}, 0, 0, 2, 0x60'0123},
        // lock inc dword [rax]
        PageFaultCase{"read-modify-write", {0xf0, 0xff, 0x00}, 0, 0, 2, 0x60'0123},
        PageFaultCase{"write to a read-only page", {0x89, 0x18}, 0x60'0061, 0, 3, 0x60'0123},
        PageFaultCase{"SMAP", {0x8b, 0x18}, 0x60'0067, 0, 1, 0x60'0123},
        // jmp rax
        PageFaultCase{"SMEP", {0xff, 0xe0}, 0x60'0067, 0, 0x11, 0x60'0123},
        PageFaultCase{"no execution", {0xff, 0xe0}, 0x60'0063 | kNx, 0, 0x11, 0x60'0123},
        PageFaultCase{"fetch from an absent page", {0xff, 0xe0}, 0, 0, 0x10, 0x60'0123},
        PageFaultCase{"user read of a supervisor page", {0x8b, 0x18}, 0x60'0063, 3, 5, 0x60'0123},
        PageFaultCase{"user write to a read-only page", {0x89, 0x18}, 0x60'0065, 3, 7, 0x60'0123},
        PageFaultCase{"user fetch", {0xff, 0xe0}, 0x60'0067 | kNx, 3, 0x15, 0x60'0123}),
    [](const auto& each) { return "n" + std::to_string(each.index); });

TEST(AReservedBit, IsAPageFaultOfItsOwn) {
  CpuRig rig;
  rig.gate(14);
  rig.store<std::uint64_t>(CpuRig::kTables + 0x2000 + 3 * 8, 0x60'20e3);  // 2 MiB, bit 13
  rig.code({0x8b, 0x18});                                                 // mov ebx, [rax]
  rig.cpu().set_gpr(Gpr::Rax, 0x60'0000);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(14));
  EXPECT_EQ(frame_of(rig, true).error, 9u);
}

TEST(APageFaultBehindAPageEnd, LetsTheInstructionsInFrontOfItRun) {
  CpuRig rig;
  rig.gate(14);
  const std::uint64_t table = rig.split(0x60'0000);
  rig.store<std::uint64_t>(table + 8, 0);
  // nop; inc ebx; mov ecx, imm32 whose last two bytes lie on the absent page
  rig.code({0x90, 0xff, 0xc3, 0xb9, 0x11, 0x22}, 0x60'0ffa);
  rig.cpu().set_rip(0x60'0ffa);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().state().cr2, 0x60'1000u);
  EXPECT_EQ(frame_of(rig, true).rip, 0x60'0ffdu);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), 1u);
  EXPECT_EQ(rig.clock.retired(), 2u);
}

TEST(ATranslation, SetsAccessedAndDirtyBits) {
  CpuRig rig;
  const std::uint64_t table = rig.split(0x60'0000);
  rig.store<std::uint64_t>(table, 0x60'0007);
  rig.store<std::uint64_t>(table + 8, 0x60'1007);
  rig.code({0x8b, 0x18, 0x89, 0x99, 0, 0, 0, 0, 0xf4});  // mov ebx, [rax]; mov [rcx], ebx; hlt
  rig.cpu().set_gpr(Gpr::Rax, 0x60'0000);
  rig.cpu().set_gpr(Gpr::Rcx, 0x60'1000);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.load(table), 0x60'0027u);
  EXPECT_EQ(rig.load(table + 8), 0x60'1067u);
}

TEST(ADoubleFault, ArrivesWithErrorCodeZero) {
  CpuRig rig;
  rig.gate(8);
  rig.code({0x31, 0xc9, 0xf7, 0xf1});  // xor ecx, ecx; div ecx: no gate for #DE, none for #NP

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(8));
  EXPECT_EQ(frame_of(rig, true).error, 0u);
}

TEST(AnIstGate, SwitchesTheStack) {
  CpuRig rig;
  rig.gate(6, 0, 1);
  rig.code({0x0f, 0x0b});  // ud2

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().gpr(Gpr::Rsp), CpuRig::kStack - 0x2000 - 40);
}

TEST(AnExceptionOfAUser, GoesToTheStackOfTheTss) {
  CpuRig rig;
  rig.gate(6);
  rig.cpu().set_state(CpuRig::long_mode(3));
  rig.code({0x0f, 0x0b});  // ud2

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().cpl(), 0u);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rsp), CpuRig::kStack - 0x1000 - 40);
  EXPECT_EQ(frame_of(rig, false).ss, 0x2bu);
}

TEST(ASoftwareInterrupt, OfAUserNeedsAGateForUsers) {
  CpuRig rig;
  rig.gate(13);
  rig.gate(0x80, 0);
  rig.cpu().set_state(CpuRig::long_mode(3));
  rig.code({0xcd, 0x80});  // int 0x80

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(13));
  EXPECT_EQ(frame_of(rig, true).error, 0x80u * 8 + 2);
  EXPECT_EQ(frame_of(rig, true).rip, CpuRig::kCode);
  EXPECT_EQ(rig.clock.retired(), 0u);
}

TEST(AnInterrupt, IsDeliveredBeforeTheNextInstruction) {
  CpuRig rig;
  rig.gate(0x40);
  rig.code({0x90, 0xf4});
  rig.cpu().inject(Event::interrupt(0x40));

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(0x40));
  EXPECT_EQ(frame_of(rig, false).rip, CpuRig::kCode);
  EXPECT_EQ(rig.clock.retired(), 0u);
}

TEST(AnInterrupt, WhoseStackIsNotThereExitsAndIsDeliveredLater) {
  CpuRig rig(1, Populate::Lazy);
  rig.gate(0x40);
  rig.code({0x90, 0xf4});
  rig.cpu().set_gpr(Gpr::Rsp, 0x70'0000);
  rig.cpu().inject(Event::interrupt(0x40));

  const RawExit first = rig.run();
  ASSERT_EQ(first.code, SvmExit::NestedPageFault);
  EXPECT_TRUE(first.during_delivery);
  ASSERT_EQ(rig.space.handle_fault(GuestPhys(first.info2), MappingFlags::Write),
            FaultOutcome::Populated);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(0x40));
}

TEST(TheInterruptWindow, OpensOneInstructionBehindSti) {
  CpuRig rig;
  rig.code({0xfa, 0x90, 0xfb, 0x90, 0x90, 0xf4});  // cli; nop; sti; nop; nop; hlt
  rig.cpu().request_windows(true, false);

  EXPECT_EQ(rig.run().code, SvmExit::Vintr);

  EXPECT_EQ(rig.cpu().rip(), CpuRig::kCode + 4);
  EXPECT_EQ(rig.clock.retired(), 4u);
  EXPECT_TRUE(rig.cpu().can_take_interrupt());
}

TEST(TheInterruptWindow, OpensOneInstructionBehindMovSs) {
  CpuRig rig;
  rig.code({0x8c, 0xd0, 0xfb, 0x8e, 0xd0, 0x90, 0x90, 0xf4});  // mov eax, ss; sti; mov ss, eax; ...
  rig.cpu().request_windows(true, false);

  EXPECT_EQ(rig.run().code, SvmExit::Vintr);

  // STI opens it behind the next instruction, which is MOV SS. Two shadows in a row are one.
  EXPECT_EQ(rig.cpu().rip(), CpuRig::kCode + 5);
}

TEST(TheNmiWindow, OpensBetweenAnEventAndItsHandler) {
  CpuRig rig;
  rig.gate(6);
  rig.code({0x90, 0xf4});
  rig.cpu().inject(Event::exception(6));
  rig.cpu().request_windows(false, true);

  EXPECT_EQ(rig.run().code, SvmExit::Vintr);

  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(6));
  EXPECT_EQ(rig.clock.retired(), 0u);
}

TEST(Iret, ExitsBeforeItHasDoneAnythingWhereThatIsWanted) {
  for (const std::uint64_t slice : {1U, 2U, 1000U}) {
    SCOPED_TRACE(slice);
    CpuRig rig;
    rig.gate(0x40);
    rig.code({0x90, 0x48, 0xcf}, CpuRig::handler(0x40));  // nop; iretq
    rig.code({0x90, 0x90, 0xf4});
    rig.cpu().inject(Event::interrupt(0x40));
    rig.cpu().intercept_iret(true);
    ASSERT_EQ(rig.run(100, slice).code, SvmExit::Iret);
    EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(0x40) + 1);
    EXPECT_EQ(rig.clock.retired(), 1u);

    rig.cpu().intercept_iret(false);
    EXPECT_EQ(rig.cpu().complete_on({}), Completion::Retired);

    EXPECT_EQ(rig.cpu().rip(), CpuRig::kCode);
    EXPECT_EQ(rig.clock.retired(), 2u);
    EXPECT_EQ(rig.run(100, slice).code, SvmExit::Hlt);
  }
}

TEST(TheInterruptShadow, EndsWhenAnInstructionIsEmulated) {
  CpuRig rig;
  rig.code({0xfb, 0xf4, 0x90});  // sti; hlt
  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_FALSE(rig.cpu().can_take_interrupt());

  rig.cpu().advance(1);

  EXPECT_TRUE(rig.cpu().can_take_interrupt());
}

TEST(Syscall, EntersTheKernel) {
  CpuRig rig;
  rig.cpu().set_state(CpuRig::long_mode(3));
  rig.cpu().set_msr(0xc000'0081, 0x0020'0010ULL << 32);
  rig.cpu().set_msr(0xc000'0082, CpuRig::handler(0x90));
  rig.cpu().set_msr(0xc000'0084, 0x200);
  rig.store<std::uint8_t>(CpuRig::handler(0x90), 0xf4);
  rig.code({0x90, 0x0f, 0x05});  // nop; syscall

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(0x90));
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rcx), CpuRig::kCode + 3);
  EXPECT_EQ(rig.cpu().cpl(), 0u);
  EXPECT_EQ(rig.clock.retired(), 2u);
}

TEST(Syscall, IsUndefinedWhereEferHasNoSce) {
  CpuRig rig;
  rig.gate(6);
  rig.cpu().set_efer(0xd00);
  rig.code({0x0f, 0x05});

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(6));
}

TEST(RealMode, DeliversThroughTheVectorTable) {
  CpuRig rig;
  CpuState state;
  state.segment(SegmentName::Cs) = {0x100, 0x9b, 0xffff, 0x1000};
  state.rip = 0;
  state.gpr[static_cast<unsigned>(Gpr::Rsp)] = 0x8000;
  state.idtr = {0, 0x3ff};
  rig.cpu().set_state(state);
  rig.code({0xb8, 0x34, 0x12, 0xcd, 0x21, 0xf4}, 0x1000);  // mov ax, 0x1234; int 21h; hlt
  rig.code({0x43, 0xcf}, 0x2000);                          // inc bx; iret
  rig.store<std::uint32_t>(0x21 * 4, 0x0000'2000);

  ASSERT_EQ(rig.run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu().rip(), 5u);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), 1u);
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rsp), 0x8000u);
  EXPECT_EQ(rig.clock.retired(), 4u);
}

TEST(ATaskGate, IsNotModelled) {
  CpuRig rig;
  CpuState state;
  state.segment(SegmentName::Cs) = {0x10, 0xc9b, ~0U, 0};
  state.segment(SegmentName::Ss) = CpuRig::data();
  state.rip = CpuRig::kCode;
  state.cr0 = 0x11;
  state.gdtr = {CpuRig::kGdt, 0x4f};
  state.idtr = {CpuRig::kIdt, 0x7ff};
  rig.cpu().set_state(state);
  rig.store<std::uint64_t>(CpuRig::kIdt + 6 * 8, 0x0000'8500'0040'0000);
  rig.code({0x0f, 0x0b});  // ud2

  EXPECT_EQ(rig.run().code, SvmExit::Unmodelled);
}

}  // namespace
}  // namespace retrap::test
