// Exception returns that may not return: AArch32, levels that are not there, PSTATE.IL.
#include <gtest/gtest.h>

#include "tests/sim/aarch64_machine.h"

namespace retrap::aarch64::test {
namespace {

constexpr std::uint64_t kUnmapped = SmallMachine::kData;
constexpr std::uint64_t kTarget = SmallMachine::kCode + 0x800;
constexpr std::uint32_t kFlags = 0xa000'0000 | pstate::kF;  // N, C; F masked
constexpr std::uint64_t kReadableByAll = bit(6) | bit(7);   // AP: EL0 fetches, nobody writes
constexpr std::uint32_t kEl1hMasked = 5 | pstate::kDaif;

struct Case {
  const char* name;
  std::uint64_t spsr;
  std::uint64_t elr;
  ExceptionClass ec;
  std::uint64_t reported_elr;
  std::uint64_t reported_spsr;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class AnOddReturn : public ::testing::TestWithParam<Case> {};

/// What the guest's vector finds.
struct Seen {
  std::optional<unsigned> vector;
  std::uint64_t esr, elr, spsr, retired;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen run(const Case& c, std::uint64_t slice) {
  SmallMachine m(
      {{"msr spsr_el1, x0", 0xd5184000}, {"msr elr_el1, x1", 0xd5184021}, {"eret", 0xd69f03e0}});
  m.load(kTarget, {{"add x9, x9, #1", 0x91000529}, {"hvc #7", 0xd40000e2}});
  m.enable_stage1(kReadableByAll,
                  [](std::uint64_t page) { return page == kUnmapped ? 0 : page | 0x403; });
  m.cpu().set_x(0, c.spsr);
  m.cpu().set_x(1, c.elr);
  RawExit exit = m.run(slice);
  for (int i = 0; i < 100 && exit.kind == RawExit::Kind::Stopped; ++i) exit = m.run(slice);
  EXPECT_EQ(m.cpu().x(9), 0u);
  return {.vector = hvc_of(exit),
          .esr = m.cpu().sysreg(SysReg::ESR_EL1),
          .elr = m.cpu().sysreg(SysReg::ELR_EL1),
          .spsr = m.cpu().sysreg(SysReg::SPSR_EL1),
          .retired = m.clock.retired()};
}

TEST_P(AnOddReturn, IsAnExceptionAtItsTarget) {
  const Case& c = GetParam();

  const Seen seen = run(c, 1000);

  EXPECT_EQ(seen.vector, 0x104u);
  EXPECT_EQ(class_of(seen.esr), c.ec);
  EXPECT_EQ(seen.elr, c.reported_elr);
  EXPECT_EQ(seen.spsr, c.reported_spsr);
  EXPECT_EQ(seen.retired, 5u);  // the exception counts as one, and the vector's hvc
}

TEST_P(AnOddReturn, IsTheSameInSlices) {
  const Seen whole = run(GetParam(), 1000);

  for (const std::uint64_t slice : {1u, 2u, 3u}) EXPECT_EQ(run(GetParam(), slice), whole) << slice;
}

constexpr std::uint32_t kIllegal = kFlags | pstate::kIl | 5;
const std::array kCases = {
    Case{"to A32", kFlags | 0x10, kTarget, ExceptionClass::IllegalState, kTarget, kIllegal},
    Case{"to T32", kFlags | 0x30, kTarget, ExceptionClass::IllegalState, kTarget, kIllegal},
    Case{"to T32 at half a word", kFlags | 0x30, kTarget + 2, ExceptionClass::IllegalState, kTarget,
         kIllegal},
    Case{"to A32 at the eret itself", kFlags | 0x10, SmallMachine::kCode + 8,
         ExceptionClass::IllegalState, SmallMachine::kCode + 8, kIllegal},
    Case{"to A32 where nothing is", kFlags | 0x10, kUnmapped, ExceptionClass::InstructionAbortSame,
         kUnmapped, kIllegal},
    Case{"to an AArch32 mode of EL1", kFlags | 0x13, kTarget, ExceptionClass::IllegalState, kTarget,
         kIllegal},
    Case{"to EL0h", kFlags | 1, kTarget, ExceptionClass::IllegalState, kTarget, kIllegal},
    Case{"to a reserved stack", kFlags | 6, kTarget, ExceptionClass::IllegalState, kTarget,
         kIllegal},
    Case{"to EL2", kFlags | 9, kTarget, ExceptionClass::IllegalState, kTarget, kIllegal},
    Case{"to EL3", kFlags | 13, kTarget, ExceptionClass::IllegalState, kTarget, kIllegal},
    Case{"to EL2 at half a word", kFlags | 9, kTarget + 2, ExceptionClass::PcAlignment, kTarget + 2,
         kIllegal},
    Case{"with IL", kFlags | pstate::kIl | 5, kTarget, ExceptionClass::IllegalState, kTarget,
         kIllegal},
};
INSTANTIATE_TEST_SUITE_P(OfEveryKind, AnOddReturn, ::testing::ValuesIn(kCases));

TEST(AnOddReturn, WithIlToEl0LeavesEl1) {
  const Seen seen = run({"", kFlags | pstate::kIl, kTarget, {}, 0, 0}, 1000);

  EXPECT_EQ(seen.vector, 0x108u);
  EXPECT_EQ(class_of(seen.esr), ExceptionClass::IllegalState);
  EXPECT_EQ(seen.spsr, kFlags | pstate::kIl);
}

TEST(AnOddReturn, ThatIsNotMadeChangesNothing) {
  SmallMachine m({{"msr spsr_el1, x0", 0xd5184000},
                  {"msr elr_el1, x1", 0xd5184021},
                  {"mrs x2, spsr_el1", 0xd5384002},
                  {"msr spsr_el1, x3", 0xd5184003},
                  {"eret", 0xd69f03e0}});
  m.load(kTarget, {{"hvc #7", 0xd40000e2}});
  m.cpu().set_x(0, 0x1f);
  m.cpu().set_x(1, kTarget);
  m.cpu().set_x(3, kEl1hMasked);

  const RawExit exit = m.run();

  EXPECT_EQ(hvc_of(exit), 7u);
  EXPECT_EQ(m.cpu().x(2), 0x1fu);
  EXPECT_EQ(m.cpu().pstate(), kEl1hMasked);
}

}  // namespace
}  // namespace retrap::aarch64::test
