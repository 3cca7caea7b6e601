// Every exit of the simulated CPU: code, information, precision.
#include <string>

#include "tests/sim/x86_64_cpu_rig.h"

namespace retrap::test {
namespace {

struct InstructionCase {
  std::string name;
  std::vector<std::uint8_t> bytes;
  SvmExit code;
  std::uint64_t info1 = 0;
  friend void PrintTo(const InstructionCase& c, std::ostream* out) { *out << c.name; }
};

class AnInterceptedInstruction : public testing::TestWithParam<InstructionCase> {};

TEST_P(AnInterceptedInstruction, ExitsBeforeItDoesAnything) {
  CpuRig rig;
  rig.code({0x90, 0x90});  // nop; nop
  std::uint64_t at = CpuRig::kCode + 2;
  for (const std::uint8_t byte : GetParam().bytes) rig.store(at++, byte);
  rig.cpu().set_gpr(Gpr::Rcx, GetParam().code == SvmExit::Monitor ? 0 : 0x10);
  rig.cpu().set_gpr(Gpr::Rdx, 0x3f8);
  const CpuState before = rig.cpu().state();

  const RawExit& exit = rig.run();

  EXPECT_EQ(exit.code, GetParam().code);
  EXPECT_EQ(exit.info1, GetParam().info1);
  EXPECT_EQ(exit.next_rip, CpuRig::kCode + 2 + GetParam().bytes.size());
  EXPECT_EQ(rig.clock.retired(), 2u);
  CpuState expected = before;
  expected.rip = CpuRig::kCode + 2;
  EXPECT_TRUE(rig.cpu().state() == expected);
}

constexpr std::uint64_t io(std::uint64_t port, std::uint64_t flags) {
  return port << ioio::kPortShift | flags;
}

INSTANTIATE_TEST_SUITE_P(
    All, AnInterceptedInstruction,
    testing::Values(
        InstructionCase{"hlt", {0xf4}, SvmExit::Hlt},
        InstructionCase{"cpuid", {0x0f, 0xa2}, SvmExit::Cpuid},
        InstructionCase{"rdmsr", {0x0f, 0x32}, SvmExit::Msr, 0},
        InstructionCase{"wrmsr", {0x0f, 0x30}, SvmExit::Msr, 1},
        InstructionCase{"vmmcall", {0x0f, 0x01, 0xd9}, SvmExit::Vmmcall},
        InstructionCase{"vmcall", {0x0f, 0x01, 0xc1}, SvmExit::Vmmcall},
        InstructionCase{"rdpmc", {0x0f, 0x33}, SvmExit::Rdpmc},
        InstructionCase{"monitor", {0x0f, 0x01, 0xc8}, SvmExit::Monitor},
        InstructionCase{"vmrun", {0x0f, 0x01, 0xd8}, SvmExit::Vmrun},
        InstructionCase{"vmload", {0x0f, 0x01, 0xda}, SvmExit::Vmload},
        InstructionCase{"vmsave", {0x0f, 0x01, 0xdb}, SvmExit::Vmsave},
        InstructionCase{"stgi", {0x0f, 0x01, 0xdc}, SvmExit::Stgi},
        InstructionCase{"clgi", {0x0f, 0x01, 0xdd}, SvmExit::Clgi},
        InstructionCase{"mov cr8, rax", {0x44, 0x0f, 0x22, 0xc0}, SvmExit{0x18}, cr_access::kMov},
        InstructionCase{
            "mov r9, cr8", {0x45, 0x0f, 0x20, 0xc1}, SvmExit{0x08}, cr_access::kMov | 9},
        InstructionCase{"in al, dx", {0xec}, SvmExit::Ioio, io(0x3f8, ioio::kIn | ioio::kSize8)},
        InstructionCase{
            "in ax, 0x60", {0x66, 0xe5, 0x60}, SvmExit::Ioio, io(0x60, ioio::kIn | ioio::kSize16)},
        InstructionCase{"out 0x80, al", {0xe6, 0x80}, SvmExit::Ioio, io(0x80, ioio::kSize8)},
        InstructionCase{"out dx, eax", {0xef}, SvmExit::Ioio, io(0x3f8, ioio::kSize32)},
        InstructionCase{"rep outsb",
                        {0xf3, 0x6e},
                        SvmExit::Ioio,
                        io(0x3f8, ioio::kString | ioio::kRep | ioio::kSize8 | ioio::kAddress64 |
                                      3 << ioio::kSegmentShift)}),
    [](const auto& each) { return "n" + std::to_string(each.index); });

TEST(ANestedFault, TellsAddressAccessAndSize) {
  CpuRig rig;
  rig.code({0x89, 0x58, 0x04});  // mov [rax+4], ebx
  rig.cpu().set_gpr(Gpr::Rax, CpuRig::kNowhere);

  const RawExit& exit = rig.run();

  EXPECT_EQ(exit.code, SvmExit::NestedPageFault);
  EXPECT_EQ(exit.info1, npf::kFinal | npf::kUser | npf::kWrite);
  EXPECT_EQ(exit.info2, CpuRig::kNowhere + 4);
  EXPECT_EQ(exit.linear, CpuRig::kNowhere + 4);
  EXPECT_EQ(exit.size, 4);
  EXPECT_EQ(rig.cpu().rip(), CpuRig::kCode);
  EXPECT_EQ(rig.clock.retired(), 0u);
}

TEST(ANestedFault, OfAReadModifyWriteIsAWrite) {
  CpuRig rig;
  rig.code({0xf0, 0xff, 0x00});  // lock inc dword [rax]
  rig.cpu().set_gpr(Gpr::Rax, CpuRig::kNowhere);

  EXPECT_EQ(rig.run().info1, npf::kFinal | npf::kUser | npf::kWrite);
}

TEST(ANestedFault, OfAFetchIsAFetch) {
  CpuRig rig;
  rig.code({0xff, 0xe0});  // jmp rax
  rig.cpu().set_gpr(Gpr::Rax, CpuRig::kNowhere + 0x123);

  const RawExit& exit = rig.run();

  EXPECT_EQ(exit.code, SvmExit::NestedPageFault);
  EXPECT_EQ(exit.info1, npf::kFinal | npf::kUser | npf::kFetch);
  EXPECT_EQ(exit.info2, CpuRig::kNowhere + 0x123);
  EXPECT_EQ(rig.clock.retired(), 1u);
}

TEST(ANestedFault, OfAGuestTableNamesTheEntry) {
  CpuRig rig;
  rig.store<std::uint64_t>(CpuRig::kTables + 0x2000 + 3 * 8, CpuRig::kNowhere | 7);
  rig.code({0x8b, 0x04, 0x25, 0x08, 0x10, 0x60, 0x00});  // mov eax, [0x601008]

  const RawExit& exit = rig.run();

  EXPECT_EQ(exit.code, SvmExit::NestedPageFault);
  EXPECT_EQ(exit.info1, npf::kGuestTable | npf::kUser | npf::kWrite);
  EXPECT_EQ(exit.info2, CpuRig::kNowhere + 8);
}

TEST(ANestedFault, IsGoneOnceThePageIsThere) {
  CpuRig rig(1, Populate::Lazy);
  rig.code({0x8b, 0x03, 0xf4});  // mov eax, [rbx]; hlt
  rig.cpu().set_gpr(Gpr::Rbx, 0x60'0000);

  const RawExit first = rig.run();
  ASSERT_EQ(first.code, SvmExit::NestedPageFault);
  ASSERT_EQ(rig.space.handle_fault(GuestPhys(first.info2), MappingFlags::Read),
            FaultOutcome::Populated);

  EXPECT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.clock.retired(), 1u);
}

TEST(ANestedFault, OfAStoreToReadOnlyMemoryLeavesReadsAlone) {
  CpuRig rig;
  ASSERT_TRUE(rig.space.unmap(GuestPhys(0x60'0000), 0x1000));
  ASSERT_TRUE(rig.space.map_ram(GuestPhys(0x60'0000), 0x1000, MappingFlags::Read, MapType::Alloc,
                                Populate::Eager, "rom"));
  rig.code({0x8b, 0x03, 0x89, 0x03, 0xf4});  // mov eax, [rbx]; mov [rbx], eax; hlt
  rig.cpu().set_gpr(Gpr::Rbx, 0x60'0000);

  const RawExit& exit = rig.run();

  EXPECT_EQ(exit.code, SvmExit::NestedPageFault);
  EXPECT_EQ(exit.info1, npf::kFinal | npf::kUser | npf::kWrite | npf::kPresent);
  EXPECT_EQ(exit.info2, 0x60'0000u);
  EXPECT_EQ(rig.clock.retired(), 1u);
}

TEST(AStoreAcrossAPageEnd, ChangesNothingWhereTheSecondPageFaults) {
  CpuRig rig;
  ASSERT_TRUE(rig.space.unmap(GuestPhys(0x60'1000), 0x1000));
  rig.store<std::uint64_t>(0x60'0ff8, 0x1122'3344'5566'7788);
  rig.code({0x48, 0x89, 0x18});  // mov [rax], rbx
  rig.cpu().set_gpr(Gpr::Rax, 0x60'0ffd);
  rig.cpu().set_gpr(Gpr::Rbx, ~std::uint64_t{0});

  const RawExit& exit = rig.run();

  EXPECT_EQ(exit.code, SvmExit::NestedPageFault);
  EXPECT_EQ(exit.info2, 0x60'1000u);
  EXPECT_EQ(rig.load(0x60'0ff8), 0x1122'3344'5566'7788u);
}

TEST(AnUnmappedPage, StopsBeingVisibleAtOnce) {
  CpuRig rig;
  rig.code({0x8b, 0x03, 0xf4, 0x8b, 0x03, 0xf4});  // mov eax, [rbx]; hlt; mov eax, [rbx]; hlt
  rig.cpu().set_gpr(Gpr::Rbx, 0x60'0000);
  ASSERT_EQ(rig.run().code, SvmExit::Hlt);
  rig.cpu().advance(1);

  ASSERT_TRUE(rig.space.unmap(GuestPhys(0x60'0000), 0x1000));

  EXPECT_EQ(rig.run().code, SvmExit::NestedPageFault);
}

TEST(ScratchPages, CompleteAnInstructionWithoutMemory) {
  CpuRig rig;
  rig.code({0xf0, 0x48, 0x0f, 0xc1, 0x18, 0xf4});  // lock xadd [rax], rbx; hlt
  rig.cpu().set_gpr(Gpr::Rax, CpuRig::kNowhere + 8);
  rig.cpu().set_gpr(Gpr::Rbx, 5);
  ASSERT_EQ(rig.run().code, SvmExit::NestedPageFault);
  std::array<std::byte, 4096> page{};
  page[8] = std::byte{7};
  const std::array pages = {ScratchPage{GuestPhys(CpuRig::kNowhere), page}};

  EXPECT_EQ(rig.cpu().complete_on(pages), Completion::Retired);

  EXPECT_EQ(page[8], std::byte{12});
  EXPECT_EQ(rig.cpu().gpr(Gpr::Rbx), 7u);
  EXPECT_EQ(rig.clock.retired(), 1u);
  EXPECT_EQ(rig.run().code, SvmExit::Hlt);
}

TEST(ScratchPages, ServeCmpxchg16b) {
  CpuRig rig;
  rig.code({0xf0, 0x48, 0x0f, 0xc7, 0x08, 0xf4});  // lock cmpxchg16b [rax]; hlt
  rig.cpu().set_gpr(Gpr::Rax, 0);
  rig.cpu().set_gpr(Gpr::Rdx, 0);
  rig.cpu().set_gpr(Gpr::Rbx, 0x77);
  rig.store<std::uint8_t>(CpuRig::kCode + 4, 0x0e);  // ... [rsi]
  rig.cpu().set_gpr(Gpr::Rsi, CpuRig::kNowhere);
  ASSERT_EQ(rig.run().code, SvmExit::NestedPageFault);
  std::array<std::byte, 4096> page{};
  const std::array pages = {ScratchPage{GuestPhys(CpuRig::kNowhere), page}};

  EXPECT_EQ(rig.cpu().complete_on(pages), Completion::Retired);

  EXPECT_EQ(page[0], std::byte{0x77});
  EXPECT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.clock.retired(), 1u);
}

TEST(ScratchPages, RetireNothingWhereTheOperandReachesBeyondThem) {
  CpuRig rig;
  constexpr std::uint64_t kAt = CpuRig::kNowhere + 0xff0;
  rig.code({0xdd, 0x30});  // fsave [rax]
  rig.cpu().set_gpr(Gpr::Rax, kAt);
  ASSERT_EQ(rig.run().code, SvmExit::NestedPageFault);
  std::array<std::byte, 4096> page{};
  const std::array pages = {ScratchPage{GuestPhys(CpuRig::kNowhere), page}};

  for (unsigned i = 0; i < 1000; ++i) {
    ASSERT_EQ(rig.cpu().complete_on(pages), Completion::NestedFault);
    ASSERT_EQ(rig.cpu().last_exit().info2, CpuRig::kNowhere + 0x1000);
  }

  EXPECT_EQ(rig.clock.retired(), 0u);
  EXPECT_EQ(rig.cpu().rip(), CpuRig::kCode);
}

TEST(PortIo, IsRefusedInUserModeWithoutPermission) {
  CpuRig rig;
  rig.gate(13);
  rig.code({0xec});  // in al, dx
  rig.cpu().set_state(CpuRig::long_mode(3));

  EXPECT_EQ(rig.run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu().rip(), CpuRig::handler(13));
}

TEST(PortIo, IsAllowedInUserModeByThePermissionMap) {
  CpuRig rig;
  CpuState state = CpuRig::long_mode(3);
  state.segment(SegmentName::Tr).limit = 0x68 + 0x100;
  state.gpr[2] = 0x60;
  rig.cpu().set_state(state);
  rig.code({0xec});  // in al, dx

  EXPECT_EQ(rig.run().code, SvmExit::Ioio);
}

TEST(ATripleFault, IsShutdown) {
  CpuRig rig;
  CpuState state = CpuRig::long_mode();
  state.idtr.limit = 0;
  rig.cpu().set_state(state);
  rig.code({0x0f, 0x0b});  // ud2

  EXPECT_EQ(rig.run().code, SvmExit::Shutdown);
}

TEST(Hardware, RefusesNoCpusAndTooMany) {
  CpuRig rig;
  EXPECT_FALSE(rig.hardware->create(0, rig.space));
  EXPECT_FALSE(rig.hardware->create(kMaxVcpus + 1, rig.space));
}

TEST(TwoCpusOfOneVm, KeepTheirRegistersApart) {
  CpuRig rig(2);
  rig.code({0xff, 0xc0, 0xf4});  // inc eax; hlt
  rig.cpu(1).set_state(CpuRig::long_mode());
  rig.cpu(1).set_gpr(Gpr::Rax, 41);

  rig.clock.set_slice_end(100);
  EXPECT_EQ(rig.cpu(0).run().code, SvmExit::Hlt);
  EXPECT_EQ(rig.cpu(1).run().code, SvmExit::Hlt);

  EXPECT_EQ(rig.cpu(0).gpr(Gpr::Rax), 1u);
  EXPECT_EQ(rig.cpu(1).gpr(Gpr::Rax), 42u);
  EXPECT_EQ(rig.clock.retired(), 2u);
}

}  // namespace
}  // namespace retrap::test
