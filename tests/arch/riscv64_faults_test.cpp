// Guest-page faults: what they report, how they are emulated, what the guest sees where they fail.
#include "tests/arch/riscv64_vcpu_fixture.h"

namespace retrap::riscv64 {
namespace {

using test::AVcpu;
using test::code;
using test::kPc;

constexpr std::uint32_t kLw = 0x00002703;       ///< transformed lw a4
constexpr std::uint32_t kSd = 0x00e03023;       ///< transformed sd a4
constexpr std::uint32_t kAmoadd = 0x0060'22af;  ///< transformed amoadd.w t0,t1

TEST_F(AVcpu, ReportsWhatALoadWanted) {
  EXPECT_EQ(load_fault(0x1000'0005, kLw, 0x4005),
            ExitReason(exits::NestedPageFault{.addr = GuestPhys(0x1000'0005),
                                              .access_flags = MappingFlags::Read}));
  EXPECT_EQ(cpu_->pc_value, kPc);
}

TEST_F(AVcpu, ReportsWhatAStoreWanted) {
  EXPECT_EQ(store_fault(0x1000'0000, kSd, 0x4000),
            ExitReason(exits::NestedPageFault{.addr = GuestPhys(0x1000'0000),
                                              .access_flags = MappingFlags::Write}));
}

TEST_F(AVcpu, ReportsThatAnAtomicWantsBoth) {
  EXPECT_EQ(
      store_fault(0x1000'0000, kAmoadd, 0x4000),
      ExitReason(exits::NestedPageFault{.addr = GuestPhys(0x1000'0000),
                                        .access_flags = MappingFlags::Read | MappingFlags::Write}));
}

// K1: a host panic in the reference.
TEST_F(AVcpu, K1ReportsAFetchThatStageTwoRefuses) {
  EXPECT_EQ(exits_with({.scause = code(Cause::InstructionGuestPageFault),
                        .stval = 0x4000,
                        .htval = 0x3000'0000 >> 2}),
            ExitReason(exits::NestedPageFault{.addr = GuestPhys(0x3000'0000),
                                              .access_flags = MappingFlags::Execute}));
}

TEST_F(AVcpu, K1RefusesAVirtualInstructionToTheGuestAndGoesOn) {
  EXPECT_EQ(refused(0x10200073, Privilege::User), ExitReason(exits::Nothing{}));  // sret
  expect_trapped(Cause::IllegalInstruction, 0x10200073);
}

TEST_F(AVcpu, ReportsThePageTableThatStageTwoRefuses) {
  EXPECT_EQ(load_fault(0x3000'0008, static_cast<std::uint32_t>(kImplicitRead), 0x4003),
            ExitReason(exits::NestedPageFault{.addr = GuestPhys(0x3000'0008),
                                              .access_flags = MappingFlags::Read}));
  EXPECT_EQ(
      load_fault(0x3000'0008, static_cast<std::uint32_t>(kImplicitWrite), 0x4003),
      ExitReason(exits::NestedPageFault{.addr = GuestPhys(0x3000'0008),
                                        .access_flags = MappingFlags::Read | MappingFlags::Write}));
}

TEST_F(AVcpu, EmulatesALoad) {
  test::FakePort port;
  port.answers[0x4004] = 0x8765'4321;
  (void)load_fault(0x4004, kLw, 0x4004);

  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);

  EXPECT_EQ(cpu_->xs[14], 0xffff'ffff'8765'4321u);
  EXPECT_EQ(cpu_->pc_value, kPc + 4);
  ASSERT_EQ(port.reads.size(), 1u);
  EXPECT_EQ(port.reads[0], (exits::MmioRead{.addr = GuestPhys(0x4004),
                                            .width = Width::Word,
                                            .reg = 14,
                                            .reg_width = Width::Double,
                                            .signed_ext = true}));
}

TEST_F(AVcpu, EmulatesACompressedStore) {
  test::FakePort port;
  cpu_->xs[14] = 0x1122'3344'5566'7788;
  (void)store_fault(0x4000, kSd & ~2u, 0x4000);

  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);

  EXPECT_EQ(cpu_->pc_value, kPc + 2);
  ASSERT_EQ(port.writes.size(), 1u);
  EXPECT_EQ(port.writes[0],
            (exits::MmioWrite{
                .addr = GuestPhys(0x4000), .width = Width::Double, .data = 0x1122'3344'5566'7788}));
}

// K8: compressed forms without htinst, atomics and floating point are unsupported there.
TEST_F(AVcpu, K8FetchesTheInstructionWhereHtinstIsZero) {
  test::FakePort port;
  port.answers[0x4004] = 7;
  cpu_->xs[13] = 0x4000;
  cpu_->put_code(kPc, 0x42d8);  // c.lw a4,4(a3)
  (void)load_fault(0x4004, 0, 0x4004);

  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);

  EXPECT_EQ(cpu_->xs[14], 7u);
  EXPECT_EQ(cpu_->pc_value, kPc + 2);
}

TEST_F(AVcpu, K8RunsTheInstructionAgainWhereItCannotBeFetched) {
  test::FakePort port;
  (void)load_fault(0x4004, 0, 0x4004);
  EXPECT_EQ(vcpu().emulate(port), Emulated::NestedFault);

  cpu_->code[kPc] = 0x2703;  // only half of it
  EXPECT_EQ(vcpu().emulate(port), Emulated::NestedFault);
  EXPECT_EQ(cpu_->pc_value, kPc);
}

TEST_F(AVcpu, K8EmulatesAnAtomic) {
  test::FakePort port;
  port.answers[0x4000] = 0xffff'fffe;
  cpu_->xs[6] = 3;
  (void)store_fault(0x4000, kAmoadd, 0x4000);

  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);

  EXPECT_EQ(cpu_->xs[5], 0xffff'ffff'ffff'fffeu);
  ASSERT_EQ(port.writes.size(), 1u);
  EXPECT_EQ(port.writes[0].data, 1u);
}

TEST_F(AVcpu, K8EmulatesFloatingPointLoads) {
  test::FakePort port;
  port.answers[0x4000] = 0x3f80'0000;
  (void)load_fault(0x4000, 0x00002507, 0x4000);  // flw fa0

  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);

  EXPECT_EQ(cpu_->fs[10], 0xffff'ffff'3f80'0000u) << "NaN-boxed";
  EXPECT_EQ(cpu_->csrs[Csr::Vsstatus] & vsstatus::kFs, vsstatus::kFs) << "dirty";
}

TEST_F(AVcpu, K8EmulatesFloatingPointStores) {
  test::FakePort port;
  cpu_->fs[10] = 0x4000'0000'0000'0000;
  (void)store_fault(0x4000, 0x00a03027, 0x4000);  // fsd fa0

  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);
  EXPECT_EQ(port.writes[0].data, 0x4000'0000'0000'0000u);
}

// K9: a load into x0 and one into a0 go where the instruction says.
TEST_F(AVcpu, K9LoadsIntoTheRegisterThatTheInstructionNames) {
  test::FakePort port;
  port.answers[0x4000] = 5;
  (void)load_fault(0x4000, 0x00002503, 0x4000);  // lw a0
  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);
  EXPECT_EQ(cpu_->xs[10], 5u);

  (void)load_fault(0x4000, 0x00002003, 0x4000);  // lw x0
  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);
  EXPECT_EQ(cpu_->xs[0], 0u);
  EXPECT_EQ(port.reads[1].reg, exits::kNoRegister);
}

TEST_F(AVcpu, SplitsAnAccessAtThePageBoundary) {
  test::FakePort port;
  cpu_->xs[14] = 0x1122'3344'5566'7788;
  // sd at 0x4ffd, refused on its second page: 3 bytes in.
  (void)store_fault(0x5000, 0x00e03023 | 3u << 15, 0x5000);

  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);

  ASSERT_EQ(port.writes.size(), 4u);
  EXPECT_EQ(port.writes[0], (exits::MmioWrite{GuestPhys(0x5000), Width::Word, 0x2233'4455}))
      << "the page that was refused comes first";
  EXPECT_EQ(port.writes[1], (exits::MmioWrite{GuestPhys(0x5004), Width::Byte, 0x11}));
  EXPECT_EQ(port.writes[2], (exits::MmioWrite{GuestPhys(0x4ffd), Width::Half, 0x7788}));
  EXPECT_EQ(port.writes[3], (exits::MmioWrite{GuestPhys(0x4fff), Width::Byte, 0x66}));
}

TEST_F(AVcpu, PutsThePartsOfACrossingLoadTogether) {
  test::FakePort port;
  port.answers[0x4ffe] = 0x2211;
  port.answers[0x5000] = 0x4433;
  (void)load_fault(0x4ffe, kLw, 0x4ffe);

  EXPECT_EQ(vcpu().emulate(port), Emulated::Retired);
  EXPECT_EQ(cpu_->xs[14], 0x4433'2211u);
}

TEST_F(AVcpu, LeavesTheInstructionAloneWhereThePortRefuses) {
  test::FakePort port;
  port.refuses_reads = true;
  (void)load_fault(0x4000, kLw, 0x4000);
  EXPECT_EQ(vcpu().emulate(port), Emulated::NoAccess);
  (void)store_fault(0x4000, kAmoadd, 0x4000);
  EXPECT_EQ(vcpu().emulate(port), Emulated::NoAccess);

  port.refuses_reads = false;
  port.refuses_writes = true;
  EXPECT_EQ(vcpu().emulate(port), Emulated::NoAccess) << "an atomic that may only read";
  (void)store_fault(0x4000, kSd, 0x4000);
  EXPECT_EQ(vcpu().emulate(port), Emulated::NoAccess);
  EXPECT_EQ(cpu_->pc_value, kPc);
}

TEST_F(AVcpu, HasNoReservationsOnDevices) {
  test::FakePort port;
  (void)load_fault(0x4000, 0x1000'22af, 0x4000);  // lr.w
  EXPECT_EQ(vcpu().emulate(port), Emulated::NoAccess);
  (void)store_fault(0x4000, 0x1860'22af, 0x4000);  // sc.w
  EXPECT_EQ(vcpu().emulate(port), Emulated::NoAccess);
}

TEST_F(AVcpu, DoesNotEmulateWhatIsNoAccessOfAnInstruction) {
  test::FakePort port;
  (void)load_fault(0x3000'0000, static_cast<std::uint32_t>(kImplicitRead), 0x4000);
  EXPECT_EQ(vcpu().emulate(port), Emulated::Unknown);
  (void)exits_with({.scause = code(Cause::InstructionGuestPageFault), .stval = 0x4000});
  EXPECT_EQ(vcpu().emulate(port), Emulated::Unknown);
  (void)exits_with({.scause = code(Cause::EcallFromVs)});
  EXPECT_EQ(vcpu().emulate(port), Emulated::Unknown);
  cpu_->put_code(kPc, 0x00150513);  // addi
  (void)load_fault(0x4000, 0, 0x4000);
  EXPECT_EQ(vcpu().emulate(port), Emulated::Unknown);
  (void)load_fault(0x4000, kLw | 31u << 15, 0x4000);  // an offset beyond the access
  EXPECT_EQ(vcpu().emulate(port), Emulated::Unknown);
}

TEST_F(AVcpu, TranslatesTheOtherPageByTheGuestsTables) {
  test::FakePort port;
  // Sv39: root at 0x1000, pages 0x4000'0000 -> 0x9000 and 0x4000'1000 not there.
  cpu_->csrs[Csr::Vsatp] = 8ull << 60 | 1;
  port.answers[0x1008] = 0x2000 >> 2 | 1;
  port.answers[0x2000] = 0x3000 >> 2 | 1;
  port.answers[0x3000] = 0x9000 >> 2 | 0xc7;
  (void)store_fault(0x9ffc, kSd, 0x4000'0ffc);

  EXPECT_EQ(vcpu().emulate(port), Emulated::GuestFault);

  expect_trapped(Cause::StorePageFault, 0x4000'1000);
  EXPECT_TRUE(port.writes.empty());
}

TEST_F(AVcpu, TakesATableThatIsNotThereForAnAccessFault) {
  test::FakePort port;
  port.refuses_reads = true;
  cpu_->csrs[Csr::Vsatp] = 8ull << 60 | 1;
  (void)load_fault(0x9ffe, kLw, 0x4000'0ffe);

  EXPECT_EQ(vcpu().emulate(port), Emulated::GuestFault);
  expect_trapped(Cause::LoadAccessFault, 0x4000'0ffe);
}

TEST_F(AVcpu, InjectsTheAccessFaultOfTheAccess) {
  const auto inject = [&](Cause cause) {
    cpu_->mode = Privilege::User;
    (void)exits_with({.scause = code(cause), .stval = 0x4567, .privilege = Privilege::User});
    vcpu().inject_abort({.addr = GuestPhys(0), .access_flags = MappingFlags::Read});
  };
  inject(Cause::InstructionGuestPageFault);
  expect_trapped(Cause::InstructionAccessFault, 0x4567);
  inject(Cause::LoadGuestPageFault);
  expect_trapped(Cause::LoadAccessFault, 0x4567);
  inject(Cause::StoreGuestPageFault);
  expect_trapped(Cause::StoreAccessFault, 0x4567);
  EXPECT_EQ(cpu_->csrs[Csr::Vsstatus] & vsstatus::kSpp, 0u) << "it came from U-mode";
}

TEST_F(AVcpu, InjectsByTheFlagsWhereTheExitSaysNothing) {
  const exits::NestedPageFault fetch{GuestPhys(0), MappingFlags::Execute};
  const exits::NestedPageFault store{GuestPhys(0), MappingFlags::Write};
  (void)exits_with({.scause = code(Cause::VirtualInstruction), .stval = kWfi});
  cpu_->pc_value = kPc;
  vcpu().inject_abort(fetch);
  expect_trapped(Cause::InstructionAccessFault, kWfi);
  cpu_->pc_value = kPc;
  vcpu().inject_abort(store);
  expect_trapped(Cause::StoreAccessFault, kWfi);
}

TEST_F(AVcpu, SavesWhetherInterruptsWereEnabled) {
  cpu_->csrs[Csr::Vsstatus] = vsstatus::kSie;
  (void)load_fault(0x4000, kLw, 0x4000);
  vcpu().inject_abort({.addr = GuestPhys(0x4000), .access_flags = MappingFlags::Read});

  EXPECT_EQ(cpu_->csrs[Csr::Vsstatus], vsstatus::kSpie | vsstatus::kSpp);
}

TEST_F(AVcpu, CrashesWhereTheHandlerItselfCannotBegin) {
  cpu_->csrs[Csr::Vstvec] = kPc;
  (void)exits_with({.scause = code(Cause::InstructionGuestPageFault), .stval = kPc});
  vcpu().inject_abort({.addr = GuestPhys(0x4000), .access_flags = MappingFlags::Execute});

  EXPECT_EQ(vcpu().run(), ExitReason(exits::GuestCrash{.cause = 1, .address = kPc}));
  EXPECT_EQ(vcpu().run(), ExitReason(exits::GuestCrash{.cause = 1, .address = kPc}));
}

}  // namespace
}  // namespace retrap::riscv64
