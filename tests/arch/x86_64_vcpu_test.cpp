// Raw SVM exits to exit reasons, good and malformed, and the way back.
#include "arch/x86_64/vcpu.h"

#include <gtest/gtest.h>

#include "arch/x86_64/exit_table.h"
#include "arch/x86_64/floating_bus.h"
#include "tests/arch/x86_64_vcpu_rig.h"
#include "tests/support/matchers.h"

namespace retrap::x86_64 {
namespace {

using retrap::test::FailsWith;
using retrap::test::Succeeds;
using retrap::test::SucceedsWith;

using test::FakePort, test::kGp, test::kRip, test::kUd, test::raw, test::VcpuTest;

TEST(ExitTable, HasEveryCodeOnce) {
  for (std::size_t i = 0; i < ExitTable::kRows.size(); ++i) {
    EXPECT_FALSE(ExitTable::kRows[i].name.empty());
    for (std::size_t j = i + 1; j < ExitTable::kRows.size(); ++j) {
      EXPECT_NE(ExitTable::kRows[i].code, ExitTable::kRows[j].code);
    }
  }
}

TEST_F(VcpuTest, AnswersCpuidInside) {
  cpu.set_gpr(Gpr::Rax, 0xffff'ffff'0000'0000);
  cpu.set_gpr(Gpr::Rcx, 0);

  EXPECT_TRUE(stayed_inside(run(raw(SvmExit::Cpuid, 2))));

  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0x15u) << "the upper half is cleared";
  EXPECT_EQ(cpu.gpr(Gpr::Rbx), 0x756e'6547u);
  EXPECT_EQ(cpu.now.rip, kRip + 2);
}

TEST_F(VcpuTest, HaltsOnHltOnly) {  // X1
  EXPECT_EQ(run(raw(SvmExit::Hlt, 1)), ExitReason(exits::Halt{}));
  EXPECT_EQ(cpu.now.rip, kRip + 1);
}

TEST_F(VcpuTest, TellsCrashesFromIdling) {  // X1
  EXPECT_EQ(run(raw(SvmExit::Shutdown, 0)), ExitReason(exits::GuestCrash{0x7f, kRip}));
  EXPECT_EQ(run(raw(SvmExit::Unmodelled, 0)), ExitReason(exits::GuestCrash{0x1001, kRip}));
  EXPECT_EQ(run(raw(SvmExit::TaskSwitch, 0)), ExitReason(exits::GuestCrash{0x7d, kRip}));
  EXPECT_EQ(run(raw(SvmExit(0x12345), 0)), ExitReason(exits::GuestCrash{0x12345, kRip}));
}

TEST_F(VcpuTest, GivesTheReasonOfAFailedEntry) {  // X8
  EXPECT_EQ(run(raw(SvmExit::Invalid, 0, 0x17)), ExitReason(exits::FailEntry{0x17}));
}

TEST_F(VcpuTest, PassesHostInterruptsOn) {
  EXPECT_EQ(run(raw(SvmExit::Intr, 0, 0x33)), ExitReason(exits::ExternalInterrupt{0x33}));
}

TEST_F(VcpuTest, ReportsTheLimitAsSpentBudget) {
  EXPECT_EQ(run(raw(SvmExit::Limit, 0)), ExitReason(exits::BudgetSpent{}));
}

TEST_F(VcpuTest, CollectsAHypercall) {
  cpu.set_gpr(Gpr::Rax, 3);
  cpu.set_gpr(Gpr::Rdi, 1);
  cpu.set_gpr(Gpr::Rsi, 2);
  cpu.set_gpr(Gpr::Rdx, 3);
  cpu.set_gpr(Gpr::Rcx, 4);
  cpu.set_gpr(Gpr::R8, 5);
  cpu.set_gpr(Gpr::R9, 6);

  EXPECT_EQ(run(raw(SvmExit::Vmmcall, 3)), ExitReason(exits::Hypercall{3, {1, 2, 3, 4, 5, 6}}));

  vcpu.set_return_value(0x1234'5678'9abc);
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0x1234'5678'9abcu);
  EXPECT_EQ(cpu.now.rip, kRip + 3);
  EXPECT_EQ(vcpu.not_supported(), static_cast<std::uint64_t>(-38));
}

TEST_F(VcpuTest, RefusesHypercallsOfUserMode) {
  cpu.ring = 3;
  EXPECT_TRUE(stayed_inside(run(raw(SvmExit::Vmmcall, 3))));
  expect_fault(Event::exception(kUd));
}

TEST_F(VcpuTest, MergesPortReadsByWidth) {  // V8
  const struct {
    std::uint64_t size;
    Width width;
    std::uint64_t rax;
  } rows[] = {{ioio::kSize8, Width::Byte, 0x1111'1111'1111'11ff},
              {ioio::kSize16, Width::Half, 0x1111'1111'1111'eeff},
              {ioio::kSize32, Width::Word, 0xccdd'eeff}};
  for (const auto& row : rows) {
    cpu.set_gpr(Gpr::Rax, 0x1111'1111'1111'1111);
    const std::uint64_t info = 0x3f8ULL << 16 | ioio::kIn | row.size;

    EXPECT_EQ(run(raw(SvmExit::Ioio, 1, info)), ExitReason(exits::IoRead{0x3f8, row.width}));
    EXPECT_EQ(cpu.now.rip, kRip) << "not before it is answered";
    vcpu.complete(0xaabb'ccdd'eeff);

    EXPECT_EQ(cpu.gpr(Gpr::Rax), row.rax);
    EXPECT_EQ(cpu.now.rip, kRip + 1);
  }
}

TEST_F(VcpuTest, MasksPortWrites) {
  cpu.set_gpr(Gpr::Rax, 0x1122'3344'5566'7788);
  const std::uint64_t port = 0x604ULL << 16;
  EXPECT_EQ(run(raw(SvmExit::Ioio, 2, port | ioio::kSize16)),
            ExitReason(exits::IoWrite{0x604, Width::Half, 0x7788}));
  vcpu.complete(0);
  EXPECT_EQ(cpu.now.rip, kRip + 2);
  EXPECT_EQ(run(raw(SvmExit::Ioio, 1, port | ioio::kSize32)),
            ExitReason(exits::IoWrite{0x604, Width::Word, 0x5566'7788}));
  vcpu.complete(0);
}

TEST_F(VcpuTest, FloatsPortsThatNobodyTakes) {
  cpu.set_gpr(Gpr::Rax, 0);
  (void)run(raw(SvmExit::Ioio, 1, 0x80ULL << 16 | ioio::kIn | ioio::kSize16));
  vcpu.refuse();
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0xffffu);
  EXPECT_EQ(cpu.now.rip, kRip + 1);
  (void)run(raw(SvmExit::Ioio, 1, 0x80ULL << 16 | ioio::kSize8));
  vcpu.refuse();
  EXPECT_EQ(cpu.now.rip, kRip + 1);
}

TEST_F(VcpuTest, CrashesOnAPortExitWithoutASize) {
  EXPECT_EQ(run(raw(SvmExit::Ioio, 1, 0x80ULL << 16)), ExitReason(exits::GuestCrash{0x7b, kRip}));
}

TEST_F(VcpuTest, ReadsPortsIntoStrings) {  // X7
  cpu.set_gpr(Gpr::Rdi, 0x5000);
  cpu.set_gpr(Gpr::Rcx, 2);
  const std::uint64_t info =
      0x1f0ULL << 16 | ioio::kIn | ioio::kString | ioio::kRep | ioio::kSize16 | ioio::kAddress64;
  EXPECT_EQ(run(raw(SvmExit::Ioio, 3, info)), ExitReason(exits::IoRead{0x1f0, Width::Half}));
  vcpu.complete(0xabcd);
  EXPECT_EQ(parts.space.load<std::uint16_t>(GuestPhys(0x5000)), 0xabcd);
  EXPECT_EQ(cpu.gpr(Gpr::Rdi), 0x5002u);
  EXPECT_EQ(cpu.gpr(Gpr::Rcx), 1u);
  EXPECT_EQ(cpu.now.rip, kRip) << "REP goes on";
  cpu.set_gpr(Gpr::Rcx, 0);
  EXPECT_TRUE(stayed_inside(run(raw(SvmExit::Ioio, 3, info))));
  EXPECT_EQ(cpu.now.rip, kRip + 3);
}

TEST_F(VcpuTest, WritesPortsFromStrings) {  // X7
  ASSERT_THAT(parts.space.store<std::uint32_t>(GuestPhys(0x6000), 0x1122'3344), Succeeds());
  cpu.now.rflags = 2 | flag::kDirection;
  cpu.set_gpr(Gpr::Rsi, 0x6000);
  const std::uint64_t info = 0x3f8ULL << 16 | ioio::kString | ioio::kSize32 | ioio::kAddress32 |
                             3ULL << ioio::kSegmentShift;
  EXPECT_EQ(run(raw(SvmExit::Ioio, 1, info)),
            ExitReason(exits::IoWrite{0x3f8, Width::Word, 0x1122'3344}));
  vcpu.complete(0);
  EXPECT_EQ(cpu.gpr(Gpr::Rsi), 0x5ffcu) << "down, in 32 bits";
  EXPECT_EQ(cpu.now.rip, kRip + 1);
}

TEST_F(VcpuTest, ChecksTheStringBeforeThePort) {  // X7
  cpu.set_gpr(Gpr::Rdi, 0x5000);
  cpu.translations[0x5000] = {.kind = Translation::Kind::PageFault, .gpa = {}, .error = 2};
  const std::uint64_t info =
      0x1f0ULL << 16 | ioio::kIn | ioio::kString | ioio::kSize8 | ioio::kAddress16;
  EXPECT_TRUE(stayed_inside(run(raw(SvmExit::Ioio, 1, info))));
  expect_fault(Event::page_fault(2, 0x5000));
  cpu.translations[0x5000] = {
      .kind = Translation::Kind::NestedFault, .gpa = GuestPhys(0x7000), .error = 0};
  EXPECT_EQ(run(raw(SvmExit::Ioio, 1, info)),
            ExitReason(exits::NestedPageFault{GuestPhys(0x7000), MappingFlags::Read}));
}

TEST_F(VcpuTest, SplitsRdmsrIntoTwoHalves) {  // V9, X2
  cpu.set_gpr(Gpr::Rcx, 0x277);
  cpu.set_gpr(Gpr::Rax, ~std::uint64_t{0});
  cpu.set_gpr(Gpr::Rdx, ~std::uint64_t{0});

  EXPECT_TRUE(stayed_inside(run(raw(SvmExit::Msr, 2, 0))));

  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0x0007'0406u);
  EXPECT_EQ(cpu.gpr(Gpr::Rdx), 0x0007'0406u);
  EXPECT_EQ(cpu.now.rip, kRip + 2) << "and moves on";
}

TEST_F(VcpuTest, JoinsWrmsrFromTwoHalves) {  // X2
  cpu.set_gpr(Gpr::Rcx, 0xc000'0082);
  cpu.set_gpr(Gpr::Rax, 0xdead'beef'8000'0000);
  cpu.set_gpr(Gpr::Rdx, 0x1234'5678'ffff'ffff);

  EXPECT_TRUE(stayed_inside(run(raw(SvmExit::Msr, 2, 1))));

  EXPECT_EQ(cpu.msr(0xc000'0082), 0xffff'ffff'8000'0000u);
  EXPECT_EQ(cpu.now.rip, kRip + 2);
}

TEST_F(VcpuTest, FaultsOnMsrsThatTheTableRefuses) {
  cpu.set_gpr(Gpr::Rcx, 0x10a);
  EXPECT_TRUE(stayed_inside(run(raw(SvmExit::Msr, 2, 1))));
  expect_fault(Event::exception(kGp, 0));
}

TEST_F(VcpuTest, AsksTheMonitorForMsrsThatItDoesNotKnow) {  // X10
  cpu.set_gpr(Gpr::Rcx, 0xffff'ffff'0000'1234);
  cpu.set_gpr(Gpr::Rax, 0x5566'7788);
  cpu.set_gpr(Gpr::Rdx, 0x1122'3344);
  EXPECT_EQ(run(raw(SvmExit::Msr, 2, 0)), ExitReason(exits::SysRegRead{0x1234, 0}));
  vcpu.complete(0xaaaa'bbbb'cccc'dddd);
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0xcccc'ddddu);
  EXPECT_EQ(cpu.gpr(Gpr::Rdx), 0xaaaa'bbbbu);
  EXPECT_EQ(run(raw(SvmExit::Msr, 2, 1)),
            ExitReason(exits::SysRegWrite{0x1234, 0xaaaa'bbbb'cccc'dddd}));
  vcpu.complete(0);
  EXPECT_EQ(cpu.now.rip, kRip + 2);
}

TEST_F(VcpuTest, FaultsOnMsrsThatNobodyHas) {
  cpu.set_gpr(Gpr::Rcx, 0x1234);
  (void)run(raw(SvmExit::Msr, 2, 0));
  vcpu.refuse();
  expect_fault(Event::exception(kGp, 0));
  (void)run(raw(SvmExit::Msr, 2, 1));
  vcpu.refuse();
  expect_fault(Event::exception(kGp, 0));
}

TEST_F(VcpuTest, PrefersADeviceOfTheEmbedder) {  // X10
  struct OneRegister final : Device {
    [[nodiscard]] std::string_view name() const override { return "msr"; }
    [[nodiscard]] std::uint64_t size() const override { return 1; }
    [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access&) override { return 7; }
    [[nodiscard]] IoResult<> write(const retrap::Access&, std::uint64_t) override { return {}; }
    void reset() override {}
    void digest(Digest&) const override {}
  } device;
  ASSERT_THAT(parts.sysregs.add(0x277, device), Succeeds());
  cpu.set_gpr(Gpr::Rcx, 0x277);
  EXPECT_EQ(run(raw(SvmExit::Msr, 2, 0)), ExitReason(exits::SysRegRead{0x277, 0}));
  vcpu.complete(7);
}

TEST_F(VcpuTest, SaysWhatANestedFaultWanted) {
  const auto fault = [&](std::uint64_t info1) {
    return run(raw(SvmExit::NestedPageFault, 0, info1, 0xd000'0123));
  };
  EXPECT_EQ(fault(npf::kFinal),
            ExitReason(exits::NestedPageFault{GuestPhys(0xd000'0123), MappingFlags::Read}));
  EXPECT_EQ(fault(npf::kFinal | npf::kWrite),
            ExitReason(exits::NestedPageFault{GuestPhys(0xd000'0123), MappingFlags::Write}));
  EXPECT_EQ(fault(npf::kFinal | npf::kFetch),
            ExitReason(exits::NestedPageFault{GuestPhys(0xd000'0123), MappingFlags::Execute}));
}

TEST_F(VcpuTest, EmulatesTheFaultingInstruction) {  // X6, X14
  (void)run(raw(SvmExit::NestedPageFault, 0, npf::kFinal, 0xd000'0000));
  cpu.code = {0x8b, 0x03};  // mov eax, [rbx]
  cpu.set_gpr(Gpr::Rbx, 0xd000'0000);
  FakePort port;
  port.value = 0x1234;

  EXPECT_EQ(vcpu.emulate(port), Emulated::Retired);

  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0x1234u);
  EXPECT_EQ(cpu.now.rip, kRip + 2);
}

TEST_F(VcpuTest, GivesTheOtherOperandsFaultNext) {
  (void)run(raw(SvmExit::NestedPageFault, 0, npf::kFinal, 0xd000'0000));
  cpu.code = {0x8b, 0x03};
  cpu.translations[0] = {.kind = Translation::Kind::NestedFault,
                         .gpa = GuestPhys(0x9000),
                         .error = npf::kGuestTable | npf::kWrite};
  cpu.set_gpr(Gpr::Rbx, 0);
  FakePort port;
  EXPECT_EQ(vcpu.emulate(port), Emulated::NestedFault);
  EXPECT_TRUE(vcpu.wakeup_pending());
  EXPECT_EQ(vcpu.run(), ExitReason(exits::NestedPageFault{GuestPhys(0x9000), MappingFlags::Write}));
}

TEST_F(VcpuTest, DoesNotDecodeWhereThereIsNothingToDecode) {
  FakePort port;
  RawExit exit = raw(SvmExit::NestedPageFault, 0, npf::kFinal, 0xd000'0000);
  exit.during_delivery = true;
  (void)run(exit);
  EXPECT_EQ(vcpu.emulate(port), Emulated::NoAccess);
  (void)run(raw(SvmExit::NestedPageFault, 0, npf::kGuestTable, 0xd000'0000));
  EXPECT_EQ(vcpu.emulate(port), Emulated::NoAccess);
  (void)run(raw(SvmExit::NestedPageFault, 0, npf::kFetch, 0xd000'0000));
  EXPECT_EQ(vcpu.emulate(port), Emulated::Unknown);
}

TEST_F(VcpuTest, ReadsAllOnesWhereNothingIs) {
  const auto exit = run(raw(SvmExit::NestedPageFault, 0, npf::kFinal, 0xd000'0000));
  cpu.code = {0x8b, 0x03};
  cpu.set_gpr(Gpr::Rbx, 0xd000'0000);

  vcpu.inject_abort(std::get<exits::NestedPageFault>(exit));

  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0xffff'ffffu);
  EXPECT_EQ(cpu.now.rip, kRip + 2);
  EXPECT_FALSE(cpu.pending);
}

TEST_F(VcpuTest, DropsWritesToReadOnlyMemory) {
  const auto flags = MappingFlags::Read | MappingFlags::Execute;
  ASSERT_THAT(parts.space.map_ram(GuestPhys(0x40'0000), 0x1000, flags, MapType::Alloc,
                                  Populate::Eager, "rom"),
              Succeeds());
  ASSERT_THAT(parts.space.store<std::uint32_t>(GuestPhys(0x40'0000), 0x5555), Succeeds());
  const auto exit = run(raw(SvmExit::NestedPageFault, 0, npf::kFinal | npf::kWrite, 0x40'0000));
  cpu.code = {0x01, 0x03};  // add [rbx], eax
  cpu.set_gpr(Gpr::Rbx, 0x40'0000);
  cpu.set_gpr(Gpr::Rax, 1);

  vcpu.inject_abort(std::get<exits::NestedPageFault>(exit));

  EXPECT_EQ(parts.space.load<std::uint32_t>(GuestPhys(0x40'0000)), 0x5555u);
  EXPECT_EQ(cpu.now.rip, kRip + 2);
}

TEST_F(VcpuTest, MovesBetweenNothingAndRam) {
  const auto exit = run(raw(SvmExit::NestedPageFault, 0, npf::kFinal, 0xd000'0000));
  cpu.code = {0xa5};  // movsd
  cpu.set_gpr(Gpr::Rsi, 0xd000'0000);
  cpu.set_gpr(Gpr::Rdi, 0x5000);
  vcpu.inject_abort(std::get<exits::NestedPageFault>(exit));
  EXPECT_EQ(parts.space.load<std::uint32_t>(GuestPhys(0x5000)), 0xffff'ffffu);
}

TEST_F(VcpuTest, FaultsWhereThereAreNoInstructions) {
  const auto exit = run(raw(SvmExit::NestedPageFault, 0, npf::kFetch, 0xd000'0000));
  vcpu.inject_abort(std::get<exits::NestedPageFault>(exit));
  expect_fault(Event::exception(kUd));
}

TEST_F(VcpuTest, ChecksTheMachineOfAGuestThatWantsIt) {
  cpu.now.cr4 = 1 << 6;
  for (const std::uint64_t info :
       {npf::kFinal, npf::kFinal | npf::kWrite, npf::kFinal | npf::kFetch, npf::kGuestTable}) {
    const auto exit = run(raw(SvmExit::NestedPageFault, 0, info, 0xd000'0000));
    vcpu.inject_abort(std::get<exits::NestedPageFault>(exit));
    expect_fault(Event::exception(18));
  }
}

TEST_F(VcpuTest, CrashesWhereAnExceptionCannotBeDelivered) {
  RawExit delivery = raw(SvmExit::NestedPageFault, 0, npf::kFinal | npf::kWrite, 0xd000'0000);
  delivery.during_delivery = true;
  const auto exit = run(delivery);
  vcpu.inject_abort(std::get<exits::NestedPageFault>(exit));
  EXPECT_EQ(vcpu.run(), ExitReason(exits::GuestCrash{0x400, 0xd000'0000}));
  const auto table = run(raw(SvmExit::NestedPageFault, 0, npf::kGuestTable, 0xe000'0000));
  vcpu.inject_abort(std::get<exits::NestedPageFault>(table));
  EXPECT_EQ(vcpu.run(), ExitReason(exits::GuestCrash{0x400, 0xe000'0000}));
}

TEST_F(VcpuTest, CrashesWhereNothingCanBeEmulated) {
  const auto exit = run(raw(SvmExit::NestedPageFault, 0, npf::kFinal, 0xd000'0000));
  cpu.code = {};
  vcpu.inject_abort(std::get<exits::NestedPageFault>(exit));
  EXPECT_EQ(vcpu.run(), ExitReason(exits::GuestCrash{0x400, 0xd000'0000}));
}

TEST_F(VcpuTest, KeepsCr8InTheTaskPriority) {  // X4
  cpu.set_gpr(Gpr::R9, 5);
  EXPECT_TRUE(stayed_inside(run(raw(svm_exit(SvmExit::WriteCr0, 8), 4, cr_access::kMov | 9))));
  EXPECT_EQ(parts.interrupts.apics().apic(0).task_priority(), 0x50);
  EXPECT_EQ(cpu.now.rip, kRip + 4);
  EXPECT_TRUE(stayed_inside(run(raw(svm_exit(SvmExit::ReadCr0, 8), 4, cr_access::kMov | 3))));
  EXPECT_EQ(cpu.gpr(Gpr::Rbx), 5u);
}

TEST_F(VcpuTest, FaultsOnReservedBitsOfCr8) {  // X4
  cpu.set_gpr(Gpr::Rax, 16);
  EXPECT_TRUE(stayed_inside(run(raw(svm_exit(SvmExit::WriteCr0, 8), 4, cr_access::kMov))));
  expect_fault(Event::exception(kGp, 0));
}

TEST_F(VcpuTest, DoesNotHaveWhatCpuidDoesNotName) {  // X3
  for (const auto code :
       {SvmExit::Xsetbv, SvmExit::Monitor, SvmExit::Mwait, SvmExit::Rsm, SvmExit::Vmrun,
        SvmExit::Vmload, SvmExit::Vmsave, SvmExit::Stgi, SvmExit::Clgi, SvmExit::Skinit}) {
    EXPECT_TRUE(stayed_inside(run(raw(code, 3))));
    expect_fault(Event::exception(kUd));
  }
  EXPECT_TRUE(stayed_inside(run(raw(SvmExit::Rdpmc, 2))));
  expect_fault(Event::exception(kGp, 0));
}

TEST_F(VcpuTest, StepsOverCacheFlushesAndHints) {
  for (const auto code : {SvmExit::Wbinvd, SvmExit::Invd, SvmExit::Pause}) {
    EXPECT_TRUE(stayed_inside(run(raw(code, 2))));
    EXPECT_EQ(cpu.now.rip, kRip + 2);
  }
}

TEST_F(VcpuTest, NumbersRegistersAsTheReferenceDoes) {
  EXPECT_THAT(vcpu.set_gpr(4, 0x8000), Succeeds());
  EXPECT_EQ(cpu.gpr(Gpr::Rsp), 0x8000u);
  EXPECT_THAT(vcpu.gpr(4), SucceedsWith(0x8000u));
  EXPECT_THAT(vcpu.gpr(16), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vcpu.set_gpr(16, 0), FailsWith(ErrorCode::InvalidInput));
  EXPECT_EQ(vcpu.pc(), kRip);
}

TEST_F(VcpuTest, ResetsToPowerOn) {
  cpu.set_gpr(Gpr::Rax, 5);
  vcpu.reset();
  EXPECT_EQ(cpu.gpr(Gpr::Rax), 0u);
  EXPECT_EQ(cpu.rip(), 0xfff0u);
  EXPECT_EQ(cpu.segment(SegmentName::Cs).base, 0xffff'0000u);
}

TEST_F(VcpuTest, NamesAndDigestsItsState) {
  EXPECT_GT(vcpu.registers().size(), 2u);
  Digest before;
  vcpu.digest(before);
  cpu.set_gpr(Gpr::Rax, 99);
  Digest after;
  vcpu.digest(after);
  EXPECT_NE(before.value(), after.value());
}

using VcpuDeathTest = VcpuTest;
TEST_F(VcpuDeathTest, InsistsOnTheProtocol) {
  EXPECT_DEATH(vcpu.complete(0), "answers an exit");
  EXPECT_DEATH(vcpu.refuse(), "answers an exit");
  (void)run(raw(SvmExit::Ioio, 1, 0x80ULL << 16 | ioio::kSize8));
  EXPECT_DEATH((void)vcpu.run(), "has been answered");
}

TEST(FloatingBus, ReachesRamAndDevices) {
  test::Parts parts;
  FloatingBus bus(parts.space, parts.mmio, kBootVcpu);
  const auto read = [&](GuestPhys at, Width width) {
    std::uint64_t value = 0;
    EXPECT_TRUE(bus.read({at, width}, value));
    return value;
  };
  EXPECT_TRUE(bus.write({GuestPhys(0x100), Width::Word, 0x1234'5678}));
  EXPECT_EQ(read(GuestPhys(0x102), Width::Half), 0x1234u);
  EXPECT_EQ(read(GuestPhys(0xfee0'0030), Width::Word), 0x0005'0014u);
  EXPECT_TRUE(bus.write({GuestPhys(0xfee0'0080), Width::Word, 0x20}));
  EXPECT_EQ(parts.interrupts.apics().apic(0).task_priority(), 0x20);
  EXPECT_EQ(read(GuestPhys(0xd000'0000), Width::Byte), 0xffu);
  EXPECT_TRUE(bus.write({GuestPhys(0xd000'0000), Width::Double, 1}));
}

}  // namespace
}  // namespace retrap::x86_64
