// Exits in forms that make no sense: whatever the guest or the hardware says, there is an answer.
#include <gtest/gtest.h>

#include <ostream>

#include "tests/arch/riscv64_vcpu_fixture.h"

namespace retrap::riscv64::test {
namespace {

constexpr std::uint64_t kLw = 0x0000'2703;  // lw a4, transformed
constexpr std::uint64_t kSd = 0x00e0'3023;  // sd a4, transformed
constexpr std::uint32_t kNoCode = 0;

/// A guest-page fault that a device covers, and what emulating it comes to.
struct Malformed {
  const char* form;
  Cause cause;
  std::uint64_t htinst;
  std::uint32_t code;  ///< at sepc; kNoCode: it cannot be fetched
  std::uint64_t stval;
  Emulated outcome;
};
void PrintTo(const Malformed& row, std::ostream* out) {
  *out << row.form;
}

class AMalformedAccess : public AVcpu, public ::testing::WithParamInterface<Malformed> {};

TEST_P(AMalformedAccess, ChangesNothingAndHasAnOutcome) {
  const Malformed& row = GetParam();
  test::FakePort port;
  cpu_->xs.fill(0x9000);
  cpu_->xs[0] = 0;
  const auto before = cpu_->xs;
  if (row.code != kNoCode) cpu_->put_code(kPc, row.code);
  (void)exits_with(
      {.scause = code(row.cause), .stval = row.stval, .htval = 0x4000 >> 2, .htinst = row.htinst});

  EXPECT_EQ(vcpu().emulate(port), row.outcome);

  EXPECT_EQ(cpu_->xs, before);
  EXPECT_EQ(cpu_->pc_value, kPc);
  EXPECT_EQ(cpu_->retired, 0u);
  EXPECT_TRUE(port.reads.empty());
  EXPECT_TRUE(port.writes.empty());
}

constexpr Cause kLoad = Cause::LoadGuestPageFault;
constexpr Cause kStore = Cause::StoreGuestPageFault;
constexpr Cause kFetch = Cause::InstructionGuestPageFault;
// clang-format off
INSTANTIATE_TEST_SUITE_P(OfEachForm, AMalformedAccess, ::testing::Values(
    // Without a transformed access in htinst, the instruction is fetched.
    Malformed{"htinst is an addition",          kLoad,  0x00c5'8533,       kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"htinst is wider than 32 bits",   kLoad,  1ull << 32 | kLw,  kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"htinst is all ones",             kLoad,  ~0ull,             kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"a load of reserved width",       kLoad,  0x0000'7703,       kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"a store of reserved width",      kStore, 0x00e0'7023,       kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"a float load of a byte",         kLoad,  0x0000'0507,       kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"an atomic of a byte",            kStore, 0x0060'02af,       kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"an atomic of 128 bits",          kStore, 0x0060'42af,       kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"an atomic that does not exist",  kStore, 0xf860'22af,       kNoCode,     0x4000, Emulated::NestedFault},
    Malformed{"lr with a source register",      kLoad,  0x1010'22af,       kNoCode,     0x4000, Emulated::NestedFault},
    // What is fetched is not what faulted.
    Malformed{"an addition at sepc",            kLoad,  0,                 0x00c5'8533, 0x4000, Emulated::Unknown},
    Malformed{"all ones at sepc",               kLoad,  0,                 0xffff'ffff, 0x4000, Emulated::Unknown},
    Malformed{"c.lwsp zero",                    kLoad,  0,                 0x4002,      0x4000, Emulated::Unknown},
    Malformed{"c.ldsp zero",                    kLoad,  0,                 0x6002,      0x4000, Emulated::Unknown},
    Malformed{"a reserved compressed form",     kStore, 0,                 0x8000,      0x4000, Emulated::Unknown},
    Malformed{"a base register elsewhere",      kLoad,  0,                 0x0006'a703, 0x4000, Emulated::Unknown},
    Malformed{"one byte behind the access",     kLoad,  0,                 0x0006'a703, 0x9004, Emulated::Unknown},
    Malformed{"one byte before the access",     kLoad,  0,                 0x0006'a703, 0x8fff, Emulated::Unknown},
    // stval and the offset in htinst do not fit together.
    Malformed{"an offset behind a word",        kLoad,  kLw | 4u << 15,    kNoCode,     0x4000, Emulated::Unknown},
    Malformed{"an offset behind a doubleword",  kStore, kSd | 8u << 15,    kNoCode,     0x4000, Emulated::Unknown},
    Malformed{"the greatest offset",            kStore, kSd | 31u << 15,   kNoCode,     0x4000, Emulated::Unknown},
    // Not the guest's own access.
    Malformed{"an implicit read",               kLoad,  kImplicitRead,     0x0006'a703, 0x9000, Emulated::Unknown},
    Malformed{"an implicit write",              kStore, kImplicitWrite,    0x0006'a703, 0x9000, Emulated::Unknown},
    Malformed{"a fetch",                        kFetch, kLw,               0x0006'a703, 0x9000, Emulated::Unknown}));
// clang-format on

/// An exit, and the exit reason or the exception that it comes to.
struct OddExit {
  const char* form;
  RawExit exit;
  ExitReason reason = exits::Nothing{};
  std::optional<Cause> trap = std::nullopt;
  std::uint64_t value = 0;  ///< stval of the trap
};
void PrintTo(const OddExit& row, std::ostream* out) {
  *out << row.form;
}

class AnOddExit : public AVcpu, public ::testing::WithParamInterface<OddExit> {};

TEST_P(AnOddExit, HasAReasonOrIsAnException) {
  const OddExit& row = GetParam();
  cpu_->mode = row.exit.privilege;

  EXPECT_EQ(exits_with(row.exit), row.reason);

  if (row.trap) {
    expect_trapped(*row.trap, row.value);
  } else {
    EXPECT_EQ(cpu_->pc_value, kPc);
  }
}

constexpr auto kVirtual = static_cast<std::uint64_t>(Cause::VirtualInstruction);
constexpr auto kIllegal = static_cast<std::uint64_t>(Cause::IllegalInstruction);

ExitReason crash(std::uint64_t cause) {
  return exits::GuestCrash{.cause = cause, .address = kPc};
}
OddExit refused_as(const char* form, std::uint64_t scause, std::uint64_t stval,
                   Privilege privilege = Privilege::Supervisor) {
  return {.form = form,
          .exit = {.scause = scause, .stval = stval, .privilege = privilege},
          .trap = Cause::IllegalInstruction,
          .value = stval & 0xffff'ffff};
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(OfEachForm, AnOddExit, ::testing::Values(
    OddExit{"a reserved cause",              {.scause = 14},              crash(14)},
    OddExit{"a cause beyond all",            {.scause = 1ull << 40},      crash(1ull << 40)},
    OddExit{"a delegated exception",         {.scause = 8},               crash(8)},
    OddExit{"an ecall from HS-mode",         {.scause = 9},               crash(9)},
    OddExit{"a software interrupt",          {.scause = kInterrupt | 1},  crash(kInterrupt | 1)},
    OddExit{"an interrupt without a number", {.scause = kInterrupt},      crash(kInterrupt)},
    OddExit{"an address above all tables",   {.scause = static_cast<std::uint64_t>(kLoad), .stval = 3, .htval = ~0ull},
            exits::NestedPageFault{.addr = GuestPhys(~0ull), .access_flags = MappingFlags::Read}},
    refused_as("a virtual addition",             kVirtual, 0x00c5'8533),
    refused_as("a virtual compressed form",      kVirtual, 0x4002),
    refused_as("an instruction of 64 bits",      kIllegal, 0x1234'5678'ffff'ffff),
    refused_as("a custom CSR, in HS-mode's row", kVirtual, 0x6c00'22f3),
    refused_as("a write of cycle",               kVirtual, 0xc000'1073),
    refused_as("set bits of instret",            kVirtual, 0xc023'22f3),
    refused_as("clear bits of hpmcounter31",     kVirtual, 0xc1f2'f2f3),
    refused_as("function 4 of SYSTEM",           kIllegal, 0x5c00'42f3),
    refused_as("wfi with a register",            kVirtual, 0x1050'0f73),
    refused_as("wfi in user mode",               kVirtual, kWfi, Privilege::User),
    refused_as("sfence.vma in user mode",        kVirtual, 0x1200'0073, Privilege::User),
    refused_as("hfence.gvma",                    kVirtual, 0x6200'0073),
    refused_as("hlv.w",                          kVirtual, 0x6805'45f3),
    refused_as("sret in user mode",              kVirtual, 0x1020'0073, Privilege::User),
    refused_as("mret",                           kIllegal, 0x3020'0073),
    refused_as("a supervisor CSR in user mode",  kVirtual, 0x1000'22f3, Privilege::User),
    refused_as("a custom CSR in user mode",      kIllegal, 0x5c00'22f3, Privilege::User)));
// clang-format on

}  // namespace
}  // namespace retrap::riscv64::test
