// The simulated hart's exits, in machine code: counts, stops, CSRs, traps and device accesses.
#include <gtest/gtest.h>

#include "tests/sim/riscv64_hart_fixture.h"

namespace retrap::riscv64 {
namespace {

using test::AHart;
using test::code;
using test::Code;
using test::kA0;
using test::kA1;
using test::kA2;
using test::kA3;
using test::kA4;
using test::kA5;
using test::kS0;
using test::kS1;
using test::kT0;
using test::kT1;

// ---- Counting and stopping --------------------------------------------------------------------

TEST_F(AHart, CountsInstructionsOfBothLengths) {
  put(kRam, Code{
                0x4505,          // c.li a0, 1
                0x0513, 0x0025,  // addi a0, a0, 2
                0x050d,          // c.addi a0, 3
                0x0073, 0x0000,  // ecall
            });

  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

  EXPECT_EQ(x(kA0), 6u);
  EXPECT_EQ(retired(), 3u) << "an ecall does not retire";
  EXPECT_EQ(cpu_->pc(), kRam + 8);
}

TEST_F(AHart, StopsExactlyWhereItIsTold) {
  put(kRam, Code{
                0x0505,          // c.addi a0, 1
                0x8593, 0x0015,  // addi a1, a1, 1
                0x0605,          // c.addi a2, 1
                0xbfe5,          // c.j loop
            });
  for (std::uint64_t step = 1; step < 12; ++step) {
    const std::uint64_t before = retired();

    const RawExit& exit = run(step);

    EXPECT_EQ(exit.scause, kTimer);
    EXPECT_EQ(retired(), before + step);
  }
  const std::uint64_t total = retired();
  EXPECT_EQ(x(kA0), (total + 3) / 4);
  EXPECT_EQ(x(kA1), (total + 2) / 4);
  EXPECT_EQ(x(kA2), (total + 1) / 4);
}

TEST_F(AHart, DoesNotRunAtAllWithoutABudget) {
  put(kRam, Code{
                0x4505,  // c.li a0, 1
            });

  EXPECT_EQ(run(0).scause, kTimer);

  EXPECT_EQ(x(kA0), 0u);
}

TEST_F(AHart, CountsWhatABlockRetiredBeforeItFaulted) {
  put(kRam, Code{
                0x0001,          // c.nop
                0x0001,          // c.nop
                0x06b7, 0x1000,  // lui a3, 0x10000
                0x42d8,          // lw a4, 4(a3)
                0x0001,          // c.nop
                0x0001,          // c.nop
                0x0073, 0x0000,  // ecall
            });

  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, code(Cause::LoadGuestPageFault));
  EXPECT_EQ(retired(), 3u);
}

// ---- Time and counters ------------------------------------------------------------------------

TEST_F(AHart, ReadsVirtualTime) {
  clock_.skip_to(5'000);
  put(kRam, Code{
                0x2573, 0xc010,  // rdtime a0
                0x0073, 0x0000,  // ecall
            });
  (void)run();

  EXPECT_EQ(x(kA0), 5'000 / kNsPerTick);
  EXPECT_EQ(retired(), 1u);
}

TEST_F(AHart, NeverRunsACounterNatively) {
  for (const Code& counter : {Code{
                                  0x2573, 0xc000,  // rdcycle a0
                              },
                              Code{
                                  0x2573, 0xc020,  // rdinstret a0
                              },
                              Code{
                                  0x2573, 0xc030,  // csrr a0, hpmcounter3
                              }}) {
    cpu_->set_pc(kRam);
    Code program = {0x0001, 0x0001};  // c.nop; c.nop
    program.insert(program.end(), counter.begin(), counter.end());
    put(kRam, program);
    const std::uint64_t before = retired();

    const RawExit exit = run();

    EXPECT_EQ(exit.scause, code(Cause::VirtualInstruction));
    EXPECT_EQ(exit.sepc, kRam + 4);
    EXPECT_EQ(exit.stval, counter[0] | std::uint64_t{counter[1]} << 16);
    EXPECT_EQ(retired(), before + 2);
    EXPECT_EQ(x(kA0), 0u);
  }
}

TEST_F(AHart, StopsInFrontOfACounterAtTheEndOfItsBudget) {
  put(kRam, Code{
                0x0001,          // c.nop
                0x2573, 0xc000,  // rdcycle a0
                0x0073, 0x0000,  // ecall
            });

  EXPECT_EQ(run(1).scause, kTimer);
  EXPECT_EQ(cpu_->pc(), kRam + 2);
  EXPECT_EQ(run(1).scause, code(Cause::VirtualInstruction));
}

TEST_F(AHart, HidesTimeFromUserModeWithoutScounteren) {
  put(kRam, Code{
                0x2573, 0xc010,  // rdtime a0
                0x0073, 0x0000,  // ecall
            });
  turn_paging_on({entry(kRam, 0xdf)});
  catch_traps();
  cpu_->set_privilege(Privilege::User);
  cpu_->set_pc(0x4000'0000);

  EXPECT_EQ(run().scause, code(Cause::VirtualInstruction));
  EXPECT_EQ(cpu_->last_exit().privilege, Privilege::User);

  cpu_->set_csr(Csr::Scounteren, 2);
  (void)run(2);
  expect_trapped(Cause::EcallFromU, 0x4000'0004, 0);
}

// ---- Instructions that are refused ------------------------------------------------------------

TEST_F(AHart, SaysWhoRefusesACsr) {
  struct Case {
    Code code;
    Cause cause;
  };
  for (const Case& row : std::vector<Case>{{Code{
                                                0x22f3, 0x14d0,  // csrr t0, 0x14d # stimecmp
                                            },
                                            Cause::IllegalInstruction},
                                           {Code{
                                                0x22f3, 0x10a0,  // csrr t0, 0x10a # senvcfg
                                            },
                                            Cause::IllegalInstruction},
                                           {Code{
                                                0x22f3, 0x6000,  // csrr t0, 0x600 # hstatus
                                            },
                                            Cause::VirtualInstruction},
                                           {Code{
                                                0x9073, 0x2002,  // csrw 0x200, t0 # vsstatus
                                            },
                                            Cause::VirtualInstruction},
                                           {Code{
                                                0x22f3, 0x3000,  // csrr t0, mstatus
                                            },
                                            Cause::IllegalInstruction},
                                           {Code{
                                                0x22f3, 0x5c00,  // csrr t0, 0x5c0 # custom
                                            },
                                            Cause::IllegalInstruction},
                                           {Code{
                                                0x9073, 0xc002,  // csrw cycle, t0
                                            },
                                            Cause::IllegalInstruction}}) {
    put(kRam, row.code);
    cpu_->set_pc(kRam);

    const RawExit& exit = run();

    EXPECT_EQ(exit.scause, code(row.cause)) << std::hex << row.code[1];
    EXPECT_EQ(exit.stval, row.code[0] | std::uint64_t{row.code[1]} << 16);
    EXPECT_EQ(exit.sepc, kRam);
    EXPECT_EQ(cpu_->pc(), kRam);
  }
}

TEST_F(AHart, GivesIllegalInstructionsOfBothLengths) {
  put(kRam, {0xffff, 0xffff});
  EXPECT_EQ(run().stval, 0xffff'ffffu);
  EXPECT_EQ(cpu_->last_exit().scause, code(Cause::IllegalInstruction));

  put(kRam, {0x0000});
  EXPECT_EQ(run().stval, 0u);
  EXPECT_EQ(cpu_->last_exit().sepc, kRam);
  EXPECT_EQ(retired(), 0u);
}

TEST_F(AHart, TrapsOnWfi) {
  put(kRam, Code{
                0x0001,          // c.nop
                0x0073, 0x1050,  // wfi
            });
  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, code(Cause::VirtualInstruction));
  EXPECT_EQ(exit.stval, 0x1050'0073u);
  EXPECT_EQ(exit.sepc, kRam + 2);
}

TEST_F(AHart, IgnoresASatpModeThatItDoesNotHave) {
  put(kRam, Code{
                0x42a9,          // li t0, 10 # Sv57
                0x12f2,          // slli t0, t0, 60
                0x9073, 0x1802,  // csrw satp, t0
                0x2573, 0x1800,  // csrr a0, satp
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));
  EXPECT_EQ(x(kA0), 0u);
}

// ---- Exceptions of the guest's own ------------------------------------------------------------

TEST_F(AHart, DeliversBreakpoints) {
  catch_traps();
  put(kRam, Code{
                0x0001,  // c.nop
                0x9002,  // c.ebreak
            });
  (void)run(3);
  expect_trapped(Cause::Breakpoint, kRam + 2, kRam + 2);

  cpu_->set_pc(kRam);
  put(kRam, Code{
                0x0073, 0x0010,  // ebreak
            });
  (void)run(1);
  expect_trapped(Cause::Breakpoint, kRam, kRam);
}

TEST_F(AHart, DeliversMisalignedAtomicsWithTheirAddress) {
  catch_traps();
  cpu_->set_x(kT1, kData + 2);
  put(kRam, Code{
                0x22af, 0x0053,  // amoadd.w t0, t0, (t1)
            });
  (void)run(1);
  expect_trapped(Cause::StoreMisaligned, kRam, kData + 2);

  put(kRam, Code{
                0x22af, 0x1003,  // lr.w t0, (t1)
            });
  cpu_->set_pc(kRam);
  (void)run(1);
  expect_trapped(Cause::LoadMisaligned, kRam, kData + 2);
}

TEST_F(AHart, DoublesATrapInTheFirstInstructionOfItsHandler) {
  cpu_->set_csr(Csr::Vstvec, kRam);
  put(kRam, Code{
                0x9002,  // c.ebreak
            });
  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, code(Cause::DoubleTrap));
  EXPECT_EQ(exit.htval, code(Cause::Breakpoint));
  EXPECT_EQ(exit.sepc, kRam);
}

// ---- Devices ----------------------------------------------------------------------------------

struct DeviceCase {
  const char* name;
  Code code;
  std::uint64_t scause;
  std::uint64_t stval;
  std::uint64_t htinst;
};

void PrintTo(const DeviceCase& row, std::ostream* out) {
  *out << row.name;
}

class ADeviceAccess : public AHart, public ::testing::WithParamInterface<DeviceCase> {};

TEST_P(ADeviceAccess, ExitsWithWhatTheInstructionWanted) {
  const DeviceCase& want = GetParam();
  Code program = {0x0001};  // c.nop
  program.insert(program.end(), want.code.begin(), want.code.end());
  put(kRam, program);
  cpu_->set_x(kA3, kDevice);
  cpu_->set_x(test::kSp, kDevice);
  cpu_->set_x(kA4, 0x1122'3344'5566'7788);
  cpu_->set_csr(Csr::Vsstatus, vsstatus::kFs);

  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, want.scause);
  EXPECT_EQ(exit.sepc, kRam + 2);
  EXPECT_EQ(exit.stval, want.stval);
  EXPECT_EQ(exit.htval, want.stval >> 2);
  EXPECT_EQ(exit.htinst, want.htinst);
  EXPECT_EQ(cpu_->pc(), kRam + 2);
  EXPECT_EQ(retired(), 1u);
  EXPECT_EQ(x(kA4), 0x1122'3344'5566'7788u);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(OfEveryForm, ADeviceAccess, ::testing::Values(
    DeviceCase{"lb",  Code{
      0x8703, 0x0016,  // lb a4, 1(a3)
  }, 21, 0x1000'0001, 0x00000703},
    DeviceCase{"lhu", Code{
      0xd703, 0x0026,  // lhu a4, 2(a3)
  }, 21, 0x1000'0002, 0x00005703},
    DeviceCase{"ld",  Code{
      0xb703, 0x0086,  // ld a4, 8(a3)
  }, 21, 0x1000'0008, 0x00003703},
    DeviceCase{"c_lw", Code{
      0x42d8,  // c.lw a4, 4(a3)
  }, 21, 0x1000'0004, 0x00002701},
    DeviceCase{"c_ldsp", Code{
      0x6742,  // c.ldsp a4, 16(sp)
  }, 21, 0x1000'0010, 0x00003701},
    DeviceCase{"sb",  Code{
      0x80a3, 0x00e6,  // sb a4, 1(a3)
  }, 23, 0x1000'0001, 0x00e00023},
    DeviceCase{"sd_misaligned",  Code{
      0xb1a3, 0x00e6,  // sd a4, 3(a3)
  }, 23, 0x1000'0003, 0x00e03023},
    DeviceCase{"c_sdsp", Code{
      0xe83a,  // c.sdsp a4, 16(sp)
  }, 23, 0x1000'0010, 0x00e03021},
    DeviceCase{"flw", Code{
      0xa507, 0x0046,  // flw fa0, 4(a3)
  }, 21, 0x1000'0004, 0x00002507},
    DeviceCase{"fsd", Code{
      0xb427, 0x00a6,  // fsd fa0, 8(a3)
  }, 23, 0x1000'0008, 0x00a03027},
    DeviceCase{"c_fld", Code{
      0x269c,  // c.fld fa5, 8(a3)
  }, 21, 0x1000'0008, 0x00003785},
    DeviceCase{"amoadd_w", Code{
      0xa2af, 0x0066,  // amoadd.w t0, t1, (a3)
  }, 23, 0x1000'0000, 0x006022af},
    DeviceCase{"amoswap_d", Code{
      0xb2af, 0x0866,  // amoswap.d t0, t1, (a3)
  }, 23, 0x1000'0000, 0x086032af},
    DeviceCase{"lr_w", Code{
      0xa2af, 0x1006,  // lr.w t0, (a3)
  }, 21, 0x1000'0000, 0x100022af}),
    [](const auto& row) { return std::string(row.param.name); });
// clang-format on

TEST_F(AHart, FailsAStoreConditionalWithoutTouchingADevice) {
  cpu_->set_x(kA3, kDevice);
  put(kRam, Code{
                0xa2af, 0x1866,  // sc.w t0, t1, (a3)
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));
  EXPECT_EQ(x(kT0), 1u);
}

TEST_F(AHart, SaysWhichPageOfACrossingAccessIsMissing) {
  constexpr std::uint64_t kEnd = kRam + kRamSize;
  cpu_->set_x(kA3, kEnd - 4);
  store(kEnd - 8, 0);
  cpu_->set_x(kA4, ~std::uint64_t{0});
  put(kRam, Code{
                0xb023, 0x00e6,  // sd a4, 0(a3)
            });
  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, code(Cause::StoreGuestPageFault));
  EXPECT_EQ(exit.stval, kEnd);
  EXPECT_EQ(exit.htval, kEnd >> 2);
  EXPECT_EQ(exit.htinst, 0x00e23023u) << "4 bytes into the access";
  EXPECT_EQ(load(kEnd - 8), 0u) << "nothing of it was stored";
}

TEST_F(AHart, CrossesPagesOfMemory) {
  cpu_->set_x(kA3, kData + 0xffd);
  cpu_->set_x(kA4, 0x1122'3344'5566'7788);
  put(kRam, Code{
                0xe298,          // sd a4, 0(a3)
                0x6288,          // ld a0, 0(a3)
                0xa583, 0x0026,  // lw a1, 2(a3)
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));
  EXPECT_EQ(x(kA0), 0x1122'3344'5566'7788u);
  EXPECT_EQ(x(kA1), 0x3344'5566u);
}

TEST_F(AHart, ReportsAFetchFromWhereNothingIs) {
  cpu_->set_pc(0x3000'0122);

  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, code(Cause::InstructionGuestPageFault));
  EXPECT_EQ(exit.stval, 0x3000'0122u);
  EXPECT_EQ(exit.htval, 0x3000'0122u >> 2);
  EXPECT_EQ(exit.htinst, 0u);
}

// ---- Atomics and floating point ---------------------------------------------------------------

TEST_F(AHart, PairsLoadReservedWithStoreConditional) {
  cpu_->set_x(kT0, kData);
  put(kRam, Code{
                0x4315,          // li t1, 5
                0xb023, 0x0062,  // sd t1, 0(t0)
                0xb52f, 0x1002,  // lr.d a0, (t0)
                0x0505,          // addi a0, a0, 1
                0xb5af, 0x18a2,  // sc.d a1, a0, (t0)
                0xb62f, 0x18a2,  // sc.d a2, a0, (t0)
                0xb683, 0x0002,  // ld a3, 0(t0)
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));
  EXPECT_EQ(x(kA1), 0u);
  EXPECT_EQ(x(kA2), 1u) << "the reservation is used up";
  EXPECT_EQ(x(kA3), 6u);
}

TEST_F(AHart, KeepsAReservationAcrossAStop) {
  cpu_->set_x(kT0, kData);
  put(kRam, Code{
                0xb52f, 0x1002,  // lr.d a0, (t0)
                0x0001,          // c.nop
                0xb5af, 0x18a2,  // sc.d a1, a0, (t0)
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run(2).scause, kTimer);
  (void)cpu_->hvip();
  (void)cpu_->registers();
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));
  EXPECT_EQ(x(kA1), 0u);
}

// Unicorn keeps bit 0 of sepc, and SRET would go to an odd address.
TEST_F(AHart, ReturnsToAnEvenAddress) {
  for (const std::uint64_t slice : {1000u, 1u}) {
    put(kRam, {0x1073, 0x1415, 0x0073, 0x1020});  // csrw sepc, a0; sret
    put(kData, {0xa001});                         // j .
    cpu_->set_pc(kRam);
    cpu_->set_privilege(Privilege::Supervisor);
    cpu_->set_csr(Csr::Vsstatus, vsstatus::kSpp);
    cpu_->set_x(kA0, kData + 1);

    for (int i = 0; i < 4; ++i) run(slice);

    EXPECT_EQ(cpu_->csr(Csr::Vsepc), kData);
    EXPECT_EQ(cpu_->pc(), kData);
  }
}

TEST_F(AHart, KeepsFloatingPointFlags) {
  cpu_->set_csr(Csr::Vsstatus, vsstatus::kFs);
  put(kRam, Code{
                0x4285,          // li t0, 1
                0xf553, 0xd222,  // fcvt.d.l fa0, t0
                0x428d,          // li t0, 3
                0xf5d3, 0xd222,  // fcvt.d.l fa1, t0
                0x7653, 0x1ab5,  // fdiv.d fa2, fa0, fa1
                0x0073, 0x0000,  // ecall
            });
  (void)run();
  EXPECT_EQ(cpu_->csr(Csr::Fflags), 1u) << "inexact";
  EXPECT_EQ(cpu_->csr(Csr::Fflags), 1u) << "reading changes nothing";
}

}  // namespace
}  // namespace retrap::riscv64
