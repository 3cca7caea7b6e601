// The simulated hart where a block that is cut short by the end of a slice traps instead.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/riscv64_hart_fixture.h"

namespace retrap::riscv64 {
namespace {

using test::AHart;
using test::code;
using test::Code;
using test::kA0;
using test::kA1;
using test::kA3;

constexpr std::uint64_t kUserCode = 0x4000'0000;  ///< the first page of turn_paging_on()
constexpr std::uint64_t kUserData = kUserCode + 0x1000;

/// In user mode, on a page that the handler could not fetch from.
class AHartInUserMode : public AHart {
 public:
  void start(const Code& user, const Code& handler) {
    put(kRam, user);
    put(kHandler, handler);
    turn_paging_on({entry(kRam, 0xdf), entry(kData, 0xd7)});
    cpu_->set_csr(Csr::Vstvec, kHandler);
    cpu_->set_privilege(Privilege::User);
    cpu_->set_pc(kUserCode);
    cpu_->set_x(kA3, kUserData + 4);
  }
  /// Until there is another exit than the end of a slice.
  const RawExit& run_in_slices(std::uint64_t slice) {
    for (unsigned i = 0; i < 100; ++i) {
      const RawExit& exit = run(slice);
      if (exit.scause != kTimer) return exit;
    }
    return cpu_->last_exit();
  }
};

/// The length of a slice.
class AHartInSlices : public AHartInUserMode, public ::testing::WithParamInterface<unsigned> {};

const Code kMisalignedAtomic = {
    0x0505,          // c.addi a0, 1
    0xb72f, 0x0006,  // amoadd.d a4, zero, (a3)
    0x0585,          // c.addi a1, 1
    0xbfe5,          // c.j .-8 (to the first)
};

TEST_P(AHartInSlices, DoublesATrapByALoadAtTheSameCount) {
  start(kMisalignedAtomic, Code{
                               0x2503, 0x0080,  // lw a0, 8(zero)
                           });

  const RawExit& exit = run_in_slices(GetParam());

  EXPECT_EQ(exit.scause, code(Cause::DoubleTrap));
  EXPECT_EQ(exit.htval, code(Cause::LoadPageFault));
  EXPECT_EQ(exit.stval, 8u);
  EXPECT_EQ(retired(), 1u);
}

TEST_P(AHartInSlices, DoublesATrapByABreakpointAtTheSameCount) {
  start(kMisalignedAtomic, Code{
                               0x9002,  // c.ebreak
                           });

  const RawExit& exit = run_in_slices(GetParam());

  EXPECT_EQ(exit.scause, code(Cause::DoubleTrap));
  EXPECT_EQ(exit.htval, code(Cause::Breakpoint));
  EXPECT_EQ(retired(), 1u);
}

TEST_P(AHartInSlices, RunsTheWholeBlockOnceItsTrapHasBeenHandled) {
  start(kMisalignedAtomic, Code{
                               0x9ae1,          // c.andi a3, -8
                               0x0073, 0x1020,  // sret
                           });

  while (retired() < 2 + 4 * 12) {
    ASSERT_EQ(run(std::min<std::uint64_t>(GetParam(), 2 + 4 * 12 - retired())).scause, kTimer);
  }

  EXPECT_EQ(cpu_->pc(), kUserCode);
  EXPECT_EQ(cpu_->privilege(), Privilege::User);
  EXPECT_EQ(x(kA0), 12u);
  EXPECT_EQ(x(kA1), 12u);
}

TEST_F(AHart, RunsWhatItHasPutInThePlaceOfACounter) {
  put(kRam, Code{
                0xc28c,          // c.sw a1, 0(a3)
                0x0001,          // c.nop
                0x2573, 0xc000,  // rdcycle a0
                0x0073, 0x0000,  // ecall
            });
  cpu_->set_x(kA1, 0x0010'0513);  // li a0, 1
  cpu_->set_x(kA3, kRam + 4);

  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

  EXPECT_EQ(x(kA0), 1u);
  EXPECT_EQ(retired(), 3u);
}

INSTANTIATE_TEST_SUITE_P(OfEveryLength, AHartInSlices, ::testing::Range(1u, 9u));

}  // namespace
}  // namespace retrap::riscv64
