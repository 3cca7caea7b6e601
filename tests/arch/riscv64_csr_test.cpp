// Who answers for a CSR: enumerated over all of them.
#include "arch/riscv64/csr.h"

#include <gtest/gtest.h>

namespace retrap::riscv64 {
namespace {

CsrInstruction reading(std::uint16_t csr) {
  return {.csr = csr, .operation = CsrOperation::Set, .immediate = false, .rd = 5, .source = 0};
}
CsrInstruction writing(std::uint16_t csr) {
  return {.csr = csr, .operation = CsrOperation::Write, .immediate = false, .rd = 0, .source = 5};
}

constexpr std::uint64_t kAllCounters = 0xffff'ffff;

TEST(CsrInstruction, IsTakenApart) {
  EXPECT_EQ(
      decode_csr(0x5c0362f3),  // csrrsi t0,0x5c0,6
      (CsrInstruction{
          .csr = 0x5c0, .operation = CsrOperation::Set, .immediate = true, .rd = 5, .source = 6}));
  EXPECT_EQ(decode_csr(0xc00022f3), reading(0xc00));  // rdcycle t0
}

TEST(CsrInstruction, IsNotWfiNorEcallNorALoad) {
  for (const std::uint32_t word : {kWfi, 0x73u, 0x0046a703u, 0x12000073u, 0x100f0000u}) {
    EXPECT_FALSE(decode_csr(word));
  }
}

TEST(CsrInstruction, ReadsAndWritesAsTheManualSays) {
  EXPECT_FALSE(writing(0).reads());
  EXPECT_TRUE(writing(0).writes());
  EXPECT_TRUE(reading(0).reads());
  EXPECT_FALSE(reading(0).writes());
}

TEST(CsrInstruction, WritesSetsAndClears) {
  CsrInstruction access = writing(0);
  EXPECT_EQ(access.apply(0b1100, 0b1010), 0b1010u);
  access.operation = CsrOperation::Set;
  EXPECT_EQ(access.apply(0b1100, 0b1010), 0b1110u);
  access.operation = CsrOperation::Clear;
  EXPECT_EQ(access.apply(0b1100, 0b1010), 0b0100u);
}

TEST(Csrs, OfTheGuestNeedNoExit) {
  for (const std::uint16_t csr : std::initializer_list<std::uint16_t>{
           0x001, 0x003, 0x100, 0x104, 0x105, 0x106, 0x140, 0x144, 0x180}) {
    EXPECT_EQ(csr_trap(writing(csr), Privilege::Supervisor, 0), std::nullopt) << std::hex << csr;
  }
}

TEST(Csrs, OfTheSupervisorAreVirtualInstructionsInUserMode) {
  EXPECT_EQ(csr_trap(reading(0x100), Privilege::User, 0), Cause::VirtualInstruction);
  EXPECT_EQ(csr_trap(reading(0x003), Privilege::User, 0), std::nullopt);
}

TEST(Csrs, OfTheHypervisorAreVirtualInstructions) {
  for (const std::uint16_t csr : std::initializer_list<std::uint16_t>{
           0x200, 0x205, 0x244, 0x280, 0x600, 0x605, 0x643, 0x680, 0xe12}) {
    EXPECT_EQ(csr_trap(reading(csr), Privilege::Supervisor, 0), Cause::VirtualInstruction)
        << std::hex << csr;
  }
}

TEST(Csrs, OfTheMachineAreIllegal) {
  for (const std::uint16_t csr :
       std::initializer_list<std::uint16_t>{0x300, 0x304, 0x341, 0xb00, 0xf14, 0x7a0, 0x3b0}) {
    EXPECT_EQ(csr_trap(reading(csr), Privilege::Supervisor, 0), Cause::IllegalInstruction)
        << std::hex << csr;
  }
}

TEST(Csrs, ThatNobodyHasAreIllegal) {
  for (const std::uint16_t csr : std::initializer_list<std::uint16_t>{
           0x000, 0x004, 0x10a, 0x14d, 0x5a8, 0x601, 0x7ff, 0xc20, 0xfff}) {
    EXPECT_EQ(csr_trap(reading(csr), Privilege::Supervisor, 0), Cause::IllegalInstruction)
        << std::hex << csr;
  }
}

TEST(Csrs, ForCustomUseAreIllegalToTheHardware) {
  for (const std::uint16_t csr :
       std::initializer_list<std::uint16_t>{0x5c0, 0x5ff, 0x800, 0x8ff, 0x9c0, 0xcc0, 0xdc0}) {
    ASSERT_NE(find_csr(csr), nullptr);
    EXPECT_EQ(find_csr(csr)->kind, CsrKind::Custom);
    EXPECT_EQ(csr_trap(reading(csr), Privilege::Supervisor, 0), Cause::IllegalInstruction);
  }
}

TEST(Counters, ExitButForTime) {
  EXPECT_EQ(csr_trap(reading(0xc00), Privilege::Supervisor, 0), Cause::VirtualInstruction);
  EXPECT_EQ(csr_trap(reading(0xc02), Privilege::Supervisor, 0), Cause::VirtualInstruction);
  EXPECT_EQ(csr_trap(reading(0xc1f), Privilege::Supervisor, 0), Cause::VirtualInstruction);
  EXPECT_EQ(csr_trap(reading(0xc01), Privilege::Supervisor, 0), std::nullopt);
}

TEST(Counters, AreShownToUserModeByScounteren) {
  EXPECT_EQ(csr_trap(reading(0xc01), Privilege::User, 0), Cause::VirtualInstruction);
  EXPECT_EQ(csr_trap(reading(0xc01), Privilege::User, kAllCounters), std::nullopt);
  EXPECT_TRUE(counter_is_visible(0xc1f, Privilege::User, 1u << 31));
  EXPECT_FALSE(counter_is_visible(0xc1f, Privilege::User, 1u << 30));
  EXPECT_TRUE(counter_is_visible(0xc02, Privilege::Supervisor, 0));
}

TEST(Counters, CannotBeWritten) {
  for (const std::uint16_t csr :
       std::initializer_list<std::uint16_t>{0xc00, 0xc01, 0xc02, 0xc10, 0xe12, 0xcc0}) {
    EXPECT_EQ(csr_trap(writing(csr), Privilege::Supervisor, kAllCounters),
              Cause::IllegalInstruction);
  }
}

// Every number has exactly one answer, and a row agrees with what the number says of privilege.
TEST(Csrs, HaveAnAnswerForEveryNumber) {
  for (unsigned number = 0; number < 0x1000; ++number) {
    const auto csr = static_cast<std::uint16_t>(number);
    const CsrRow* row = find_csr(csr);
    const auto trap = csr_trap(reading(csr), Privilege::Supervisor, kAllCounters);
    if (row == nullptr) {
      EXPECT_EQ(trap, Cause::IllegalInstruction) << std::hex << number;
      continue;
    }
    EXPECT_LE(row->first, csr);
    EXPECT_GE(row->last, csr);
    if (row->kind == CsrKind::Hypervisor) {
      EXPECT_EQ(csr_privilege(csr), 2u) << std::hex << number;
    }
    if (row->kind == CsrKind::Guest) {
      EXPECT_LE(csr_privilege(csr), 1u) << std::hex << number;
    }
  }
}

}  // namespace
}  // namespace retrap::riscv64
