// What hostile guests have shown: program counters and pages that should not be there.
#include "tests/sim/riscv64_hart_fixture.h"

namespace retrap::riscv64::test {
namespace {

const Code kSretToX5 = {
    0x9073, 0x1412,  // csrw sepc, t0
    0x0073, 0x1020,  // sret
};

TEST_F(AHart, HasNoBitZeroInItsProgramCounter) {
  for (const std::uint64_t target : {kRam + 0x100, kRam + 0xffe}) {
    cpu_->set_csr(Csr::Vsstatus, vsstatus::kSpp);
    cpu_->set_pc(kRam);
    cpu_->set_x(5, target + 1);
    put(kRam, kSretToX5);
    put(target, {0x0001, 0xa001});  // c.nop; c.j .

    (void)run(2);
    (void)run(2);

    EXPECT_EQ(cpu_->pc(), target + 2);
  }
  EXPECT_EQ(retired(), 8u);
}

TEST_F(AHart, RunsOnWithoutAFenceWhereItsTablesNoLongerMapItsCode) {
  for (const std::uint64_t slice : {1u, 2u, 3u, 7u}) {
    turn_paging_on({entry(kData, 0xcf)});
    put(kData, {
                   0x0001,          // c.nop
                   0x0001,          // c.nop
                   0x0001,          // c.nop
                   0x3023, 0x0003,  // sd x0, 0(t1)
                   0xf06f, 0xff7f,  // j .-10
               });
    cpu_->set_x(6, kTables + 0x2000);
    cpu_->set_pc(0x4000'0000);
    catch_traps();
    const std::uint64_t before = retired();

    while (retired() < before + 42) (void)run(slice);

    EXPECT_GE(retired(), before + 42);
    EXPECT_EQ(load(kTables + 0x2000), 0u);
  }
}

}  // namespace
}  // namespace retrap::riscv64::test
