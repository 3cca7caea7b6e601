// Messages between APICs, the IO-APIC, and how lines reach CPUs.
#include "arch/x86_64/interrupts.h"

#include "tests/arch/x86_64_device_rig.h"
#include "tests/support/matchers.h"

namespace retrap::x86_64 {
namespace {

using retrap::test::FailsSaying;
using retrap::test::Succeeds;
using test::DeviceRig;

constexpr std::uint32_t kFixed = 0x000, kLowest = 0x100, kNmi = 0x400, kInit = 0x4500,
                        kStartup = 0x600, kLogical = 0x800;
constexpr std::uint32_t kSelf = 1 << 18, kAll = 2 << 18, kOthers = 3 << 18;

struct InterruptsTest : testing::Test {
  explicit InterruptsTest(const std::vector<std::uint64_t>& apic_ids = {0, 1, 2, 3})
      : all(apic_ids) {}

  Interrupts all;
  LocalApics& apics = all.apics();
  DeviceRig apic{apics};
  DeviceRig ioapic{all.ioapic()};

  void SetUp() override {
    for (std::uint32_t cpu = 0; cpu < 4; ++cpu) {
      write(cpu, apic::kSpurious, 0x1ff);
      write(cpu, apic::kLogicalDestination, 1U << (24 + cpu));
    }
  }
  void write(std::uint32_t cpu, std::uint32_t offset, std::uint32_t value) {
    apic.vcpu = VcpuId{cpu};
    apic.out(offset, value, Width::Word);
  }
  void send(std::uint32_t cpu, std::uint32_t destination, std::uint32_t low) {
    write(cpu, apic::kCommandHigh, destination << 24);
    write(cpu, apic::kCommandLow, low);
  }
  std::string pending(std::uint8_t vector) {
    std::string who;
    for (std::uint32_t cpu = 0; cpu < 4; ++cpu) {
      if (apics.apic(cpu).pending() == vector) who += std::to_string(cpu);
    }
    return who;
  }
  void redirect(unsigned pin, std::uint64_t entry) {
    ioapic.out(0x00, 0x10 + 2 * pin + 1, Width::Word);
    ioapic.out(0x10, entry >> 32, Width::Word);
    ioapic.out(0x00, 0x10 + 2 * pin, Width::Word);
    ioapic.out(0x10, entry & 0xffff'ffff, Width::Word);
  }
  std::uint64_t redirection(unsigned pin) {
    ioapic.out(0x00, 0x10 + 2 * pin, Width::Word);
    const std::uint64_t low = ioapic.in(0x10, Width::Word);
    ioapic.out(0x00, 0x10 + 2 * pin + 1, Width::Word);
    return low | ioapic.in(0x10, Width::Word) << 32;
  }
};

TEST_F(InterruptsTest, SendsToOneByIdOrLogically) {  // X11, X12
  send(0, 2, kFixed | 0x41);
  EXPECT_EQ(pending(0x41), "2");
  send(1, 0b1010, kLogical | 0x52);
  EXPECT_EQ(pending(0x52), "13");
  send(1, 0xff, kFixed | 0x63);
  EXPECT_EQ(pending(0x63), "0123");
}

TEST_F(InterruptsTest, KnowsTheShorthands) {  // X11
  send(1, 0, kSelf | 0x41);
  EXPECT_EQ(pending(0x41), "1");
  send(1, 0, kOthers | 0x52);
  EXPECT_EQ(pending(0x52), "023");
  send(1, 0, kAll | 0x63);
  EXPECT_EQ(pending(0x63), "0123");
}

TEST_F(InterruptsTest, GivesTheLowestPriorityToTheIdlest) {  // X11
  write(0, apic::kTaskPriority, 0x20);
  write(1, apic::kTaskPriority, 0x30);
  send(3, 0b0011, kLogical | kLowest | 0x41);
  EXPECT_EQ(pending(0x41), "0");
  write(0, apic::kTaskPriority, 0x40);
  send(3, 0b0011, kLogical | kLowest | 0x52);
  EXPECT_EQ(pending(0x52), "1");
}

TEST_F(InterruptsTest, SendsNonMaskableOnes) {  // X11
  apics.signals(0).waits_for_startup = false;
  send(1, 0, kNmi);
  EXPECT_TRUE(apics.signals(0).nmi);
  send(0, 2, kNmi);
  EXPECT_FALSE(apics.signals(2).nmi) << "a CPU that waits for its SIPI has none";
}

TEST_F(InterruptsTest, StartsCpusWithInitAndSipi) {  // X11
  send(0, 0, kOthers | kInit);
  send(0, 0, kOthers | 0x8500);  // level de-assert: nothing
  EXPECT_FALSE(apics.has_startup());
  send(0, 0, kOthers | kStartup | 0x9a);
  for (std::uint32_t cpu = 1; cpu < 4; ++cpu) {
    const auto startup = apics.take_startup();
    ASSERT_TRUE(startup);
    EXPECT_EQ(startup->target, cpu);
    EXPECT_EQ(startup->vector, 0x9a);
  }
  send(0, 1, kStartup | 0x9b);
  EXPECT_FALSE(apics.take_startup()) << "the second SIPI is ignored";
}

TEST_F(InterruptsTest, KeepsTheSipiOfACpuThatHasYetToStop) {
  apics.signals(1).waits_for_startup = false;
  send(0, 1, kInit);
  EXPECT_TRUE(apics.signals(1).init);
  send(0, 1, kStartup | 0x10);
  send(0, 1, kStartup | 0x11);
  EXPECT_EQ(apics.signals(1).startup, 0x10);
  EXPECT_FALSE(apics.has_startup());
}

/// Four CPUs whose APIC ids are no vCPU numbers, or those of others.
struct ApicIdsTest : InterruptsTest {
  ApicIdsTest() : InterruptsTest({2, 0, 9, 0xfe}) {}
};

TEST_F(ApicIdsTest, AreInTheIdRegisterInBothModes) {
  constexpr std::array<std::uint32_t, 4> kIds = {2, 0, 9, 0xfe};
  for (std::uint32_t cpu = 0; cpu < 4; ++cpu) {
    apic.vcpu = VcpuId{cpu};
    EXPECT_EQ(apic.in(apic::kId, Width::Word), kIds[cpu] << 24);
    Lapic& own = apics.apic(cpu);
    EXPECT_EQ((own.base() & apic::kBaseBsp) != 0, cpu == 0) << "vCPU 0 boots, whatever its id";
    own.set_base(own.base() | apic::kBaseX2);
    EXPECT_EQ(own.read(apic::kId, 0), kIds[cpu]);
    EXPECT_EQ(own.read(apic::kLogicalDestination, 0),
              (kIds[cpu] >> 4) << 16 | 1U << (kIds[cpu] & 15));
  }
}

TEST_F(ApicIdsTest, StayAfterInitAndReset) {
  send(0, 9, kInit);
  EXPECT_EQ(apics.apic(2).id(), 9u);
  all.reset();
  EXPECT_EQ(apics.apic(2).id(), 9u);
  EXPECT_NE(apics.apic(0).base() & apic::kBaseBsp, 0u);
  EXPECT_EQ(apics.apic(1).base() & apic::kBaseBsp, 0u);
  EXPECT_EQ(apics.highest_id(), 0xfeu);
}

TEST_F(ApicIdsTest, AreWhereMessagesGo) {
  send(0, 2, kFixed | 0x41);
  EXPECT_EQ(pending(0x41), "0");
  send(2, 0, kFixed | 0x42);
  EXPECT_EQ(pending(0x42), "1");
  send(2, 0xfe, kFixed | 0x43);
  EXPECT_EQ(pending(0x43), "3");
  send(2, 1, kFixed | 0x44);
  EXPECT_EQ(pending(0x44), "") << "nobody has id 1";
  send(2, 0xff, kFixed | 0x45);
  EXPECT_EQ(pending(0x45), "0123");
  send(1, 0b1010, kLogical | 0x46);
  EXPECT_EQ(pending(0x46), "13") << "logical destinations are what the guest writes";
  send(1, 0, kOthers | 0x47);
  EXPECT_EQ(pending(0x47), "023");
  send(1, 0, kSelf | 0x48);
  EXPECT_EQ(pending(0x48), "1");
}

TEST_F(ApicIdsTest, AreWhereLinesGo) {
  redirect(5, 9ull << 56 | 0x51);
  all.set_line(5, true);
  EXPECT_EQ(pending(0x51), "2");
  redirect(6, 0xffull << 56 | 0x62);
  all.set_line(6, true);
  EXPECT_EQ(pending(0x62), "0123");
  redirect(7, 1ull << 56 | 0x73);
  all.set_line(7, true);
  EXPECT_EQ(pending(0x73), "");
}

TEST_F(ApicIdsTest, AreWhatASipiStarts) {
  send(0, 0xfe, kInit);
  send(0, 0xfe, kStartup | 0x9a);
  const auto startup = apics.take_startup();
  ASSERT_TRUE(startup);
  EXPECT_EQ(startup->target, 3u) << "the vCPU";
  send(0, 3, kStartup | 0x9a);
  EXPECT_FALSE(apics.take_startup());
}

TEST_F(InterruptsTest, RefusesToSendVectorsThatAreNone) {
  send(0, 1, kFixed | 5);
  write(0, apic::kErrorStatus, 0);
  apic.vcpu = VcpuId{0};
  EXPECT_EQ(apic.in(apic::kErrorStatus, Width::Word), apic::kSendIllegalVector);
}

TEST_F(InterruptsTest, DropsModesThatNobodyHears) {
  send(0, 1, 0x241);  // SMI
  send(0, 1, 0x341);  // reserved
  send(0, 1, 0x741);  // ExtINT
  EXPECT_EQ(pending(0x41), "");
}

TEST_F(InterruptsTest, ClearsTheDeliveryStatus) {
  send(0, 1, kFixed | 0x1041);
  EXPECT_EQ(apic.in(apic::kCommandLow, Width::Word), 0x41u);
}

TEST_F(InterruptsTest, ReachesX2ApicRegistersByMsr) {
  Lapic& own = apics.apic(0);
  EXPECT_FALSE(apics.read_msr(0, 0x802, 0)) << "not in x2APIC mode";
  own.set_base(own.base() | apic::kBaseX2);
  EXPECT_EQ(apics.read_msr(0, 0x802, 0), 0u);
  apic.vcpu = kBootVcpu;
  EXPECT_EQ(apic.try_in(apic::kId, Width::Word).error(), IoError::NoRegister) << "the page is gone";
  EXPECT_TRUE(apics.write_msr(0, 0x80f, 0x1ff, 0));
  EXPECT_TRUE(apics.write_msr(0, 0x83f, 0x44, 0)) << "self IPI";
  EXPECT_EQ(pending(0x44), "0");
  own.acknowledge(0x44);
  EXPECT_TRUE(apics.write_msr(0, 0x80b, 0, 0)) << "EOI";
  EXPECT_EQ(apics.read_msr(0, 0x812, 0), 0u);
  EXPECT_TRUE(apics.write_msr(0, 0x830, std::uint64_t{2} << 32 | 0x55, 0));
  EXPECT_EQ(pending(0x55), "2");
  EXPECT_EQ(apics.read_msr(0, 0x830, 0), std::uint64_t{2} << 32 | 0x55);
  EXPECT_TRUE(apics.write_msr(0, 0x808, 0x20, 0));
  EXPECT_EQ(apics.read_msr(0, 0x808, 0), 0x20u);
}

TEST_F(InterruptsTest, RefusesX2ApicRegistersThatFault) {
  Lapic& own = apics.apic(0);
  EXPECT_FALSE(apics.write_msr(0, 0x808, 0, 0));
  own.set_base(own.base() | apic::kBaseX2);
  for (const std::uint32_t absent : {0x800U, 0x80eU, 0x831U, 0x840U, 0x8ffU}) {
    EXPECT_FALSE(apics.read_msr(0, absent, 0)) << std::hex << absent;
    EXPECT_FALSE(apics.write_msr(0, absent, 0, 0)) << std::hex << absent;
  }
  EXPECT_FALSE(apics.write_msr(0, 0x802, 0, 0)) << "id";
  EXPECT_FALSE(apics.write_msr(0, 0x80d, 0, 0)) << "logical destination";
  EXPECT_FALSE(apics.write_msr(0, 0x80b, 1, 0)) << "EOI takes zero only";
  EXPECT_FALSE(apics.write_msr(0, 0x808, 0x100, 0)) << "reserved bits";
  EXPECT_FALSE(apics.write_msr(0, 0x83e, 0x10, 0));
  EXPECT_FALSE(apics.write_msr(0, 0x832, std::uint64_t{1} << 32, 0));
  EXPECT_FALSE(apics.read_msr(0, 0x80b, 0)) << "EOI is write-only";
  EXPECT_FALSE(apics.write_msr(0, 0x803, 0, 0)) << "version is read-only";
}

TEST_F(InterruptsTest, NamesItsIoApic) {
  ioapic.out(0, 1, Width::Word);
  EXPECT_EQ(ioapic.in(0x10, Width::Word), 0x0017'0011u);
  ioapic.out(0, 0, Width::Word);
  ioapic.out(0x10, 0xffff'ffff, Width::Word);
  EXPECT_EQ(ioapic.in(0x10, Width::Word), 0x0f00'0000u);
  EXPECT_EQ(ioapic.in(0x00, Width::Word), 0u);
  ioapic.out(0, 0x7f, Width::Word);
  ioapic.out(0x10, 1, Width::Word);
  EXPECT_EQ(ioapic.in(0x10, Width::Word), 0u) << "no such register";
  EXPECT_EQ(ioapic.try_in(0x20, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(ioapic.try_out(0x20, 0, Width::Word).error(), IoError::NoRegister);
  EXPECT_EQ(ioapic.try_in(0x10, Width::Byte).error(), IoError::BadWidth);
  EXPECT_EQ(ioapic.try_out(0x10, 0, Width::Double).error(), IoError::BadWidth);
}

TEST_F(InterruptsTest, StartsWithEveryPinMasked) {
  for (unsigned pin = 0; pin < IoApic::kPins; ++pin) EXPECT_EQ(redirection(pin), 0x1'0000u);
}

TEST_F(InterruptsTest, RedirectsEdges) {
  redirect(4, std::uint64_t{1} << 56 | 0x41);
  all.set_line(4, true);
  EXPECT_EQ(pending(0x41), "1");
  apics.apic(1).acknowledge(0x41);
  all.set_line(4, true);
  EXPECT_EQ(pending(0x41), "") << "no new edge";
  all.set_line(4, false);
  all.set_line(4, true);
  EXPECT_EQ(apics.apic(1).pending(), std::nullopt) << "in service";
  write(1, apic::kEoi, 0);
  EXPECT_EQ(pending(0x41), "1");
}

TEST_F(InterruptsTest, LosesEdgesOnMaskedPins) {
  redirect(4, 0x1'0041);
  all.set_line(4, true);
  redirect(4, 0x41);
  EXPECT_EQ(pending(0x41), "");
}

TEST_F(InterruptsTest, KeepsLevelsUntilTheyAreServed) {
  redirect(9, std::uint64_t{0b0100} << 56 | kLogical | 0x8000 | 0x41);
  all.set_line(9, true);
  EXPECT_EQ(pending(0x41), "2");
  EXPECT_EQ(redirection(9) & 0x4000, 0x4000u) << "remote IRR";
  apics.apic(2).acknowledge(0x41);
  write(2, apic::kEoi, 0);
  EXPECT_EQ(pending(0x41), "2") << "still asserted: again";
  apics.apic(2).acknowledge(0x41);
  all.set_line(9, false);
  write(2, apic::kEoi, 0);
  EXPECT_EQ(pending(0x41), "");
  EXPECT_EQ(redirection(9) & 0x4000, 0u);
}

TEST_F(InterruptsTest, DeliversALevelThatWasMasked) {
  redirect(9, 0x1'8041);
  all.set_line(9, true);
  EXPECT_EQ(pending(0x41), "");
  redirect(9, 0x8041);
  EXPECT_EQ(pending(0x41), "0");
}

TEST_F(InterruptsTest, ForgetsRemoteIrrWithTheEdgeMode) {
  redirect(9, 0x8041);
  all.set_line(9, true);
  redirect(9, 0x1'0041);
  EXPECT_EQ(redirection(9), 0x1'0041u);
}

TEST_F(InterruptsTest, WiresTheTimerToPinTwo) {
  redirect(2, 0x30);
  all.set_line(0, true);
  EXPECT_EQ(pending(0x30), "0");
  EXPECT_FALSE(all.has_line(2)) << "the cascade";
  EXPECT_TRUE(all.has_line(23));
  EXPECT_FALSE(all.has_line(24));
  all.set_line(24, true);
  all.set_line(2, true);
}

TEST_F(InterruptsTest, PassesThePicThroughLint0) {
  DeviceRig pic{all.pics().master()};
  pic.out(0, 0x13);
  pic.out(1, 0x20);
  pic.out(1, 1);
  all.set_line(4, true);
  EXPECT_TRUE(all.pending(0));
  EXPECT_FALSE(all.pending(1)) << "only the boot processor has the wire";
  write(0, apic::kLvtLint0, 0x1'0700);
  EXPECT_FALSE(all.pending(0));
  write(0, apic::kLvtLint0, 0x700);
  EXPECT_EQ(all.acknowledge(0), 0x24);
  EXPECT_EQ(all.acknowledge(0), std::nullopt);
}

TEST_F(InterruptsTest, InjectsVectors) {
  EXPECT_THAT(all.inject(VcpuId{1}, 0x80), Succeeds());
  EXPECT_EQ(all.acknowledge(1), 0x80);
  EXPECT_THAT(all.inject(VcpuId{1}, 2), Succeeds());
  EXPECT_TRUE(apics.signals(1).nmi);
}

TEST_F(InterruptsTest, InjectsWithoutTheApicWhereItIsOff) {
  write(1, apic::kSpurious, 0xff);
  EXPECT_THAT(all.inject(VcpuId{1}, 0x80), Succeeds());
  EXPECT_TRUE(all.pending(1));
  EXPECT_EQ(all.acknowledge(1), 0x80);
  EXPECT_FALSE(all.pending(1));
}

TEST_F(InterruptsTest, RefusesVectorsThatAreNoInterrupts) {  // X9: vector 0 is no panic
  for (const std::uint64_t vector : {0ULL, 1ULL, 15ULL, 256ULL, ~0ULL}) {
    EXPECT_THAT(all.inject(kBootVcpu, vector),
                FailsSaying(ErrorCode::InvalidInput, "cannot be injected"));
  }
  EXPECT_THAT(all.inject(VcpuId{4}, 0x80), FailsSaying(ErrorCode::InvalidInput, "no vcpu 4"));
}

TEST_F(InterruptsTest, Resets) {
  all.set_line(4, true);
  redirect(4, 0x41);
  all.reset();
  EXPECT_EQ(redirection(4), 0x1'0000u);
  EXPECT_TRUE(apics.signals(1).waits_for_startup);
  EXPECT_FALSE(apics.signals(0).waits_for_startup);
  const std::uint64_t fresh = test::digest_of(all.ioapic());
  redirect(4, 0x41);
  EXPECT_NE(test::digest_of(all.ioapic()), fresh);
}

}  // namespace
}  // namespace retrap::x86_64
