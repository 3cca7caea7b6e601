// The simulated hart's MMU: the guest's own stage, both stages together, and what is remembered.
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
using test::kT0;
using test::kT1;
using test::kT2;

constexpr std::uint64_t kPage = 0x4000'0000;  ///< the first page of turn_paging_on()

/// Runs one instruction at the start of RAM and expects a page fault.
class ThePagingHart : public AHart {
 public:
  void expect_fault(const Code& code, Cause cause, std::uint64_t value) {
    put(kRam, code);
    cpu_->set_pc(kRam);
    (void)run(1);
    expect_trapped(cause, kRam, value);
  }
  void expect_works(const Code& code) {
    put(kRam, code);
    cpu_->set_pc(kRam);
    (void)run(1);
    EXPECT_EQ(cpu_->pc(), kRam + 4);
  }
  std::uint64_t leaf(unsigned index) { return load(kTables + 0x2000 + 8 * index); }

  const Code kLoad = Code{
      0xa503, 0x0086,  // lw a0, 8(a3)
  };
  const Code kStore = Code{
      0xa423, 0x00a6,  // sw a0, 8(a3)
  };
};

TEST_F(ThePagingHart, SetsAccessedAndDirtyBits) {
  turn_paging_on({entry(kData, 0x07)});
  catch_traps();
  cpu_->set_x(kA3, kPage);

  expect_works(kLoad);
  EXPECT_EQ(leaf(0), entry(kData, 0x47));
  expect_works(kStore);
  EXPECT_EQ(leaf(0), entry(kData, 0xc7));
}

TEST_F(ThePagingHart, FaultsWithTheAddressOfTheAccess) {
  turn_paging_on({entry(kData, 0x43), 0});
  catch_traps();
  cpu_->set_x(kA3, kPage);
  expect_fault(kStore, Cause::StorePageFault, kPage + 8);

  cpu_->set_x(kA3, kPage + 0x1000);
  expect_fault(kLoad, Cause::LoadPageFault, kPage + 0x1008);

  cpu_->set_x(kA3, 0x40'0000'0000);
  expect_fault(kLoad, Cause::LoadPageFault, 0x40'0000'0008);
}

TEST_F(ThePagingHart, FaultsAtTheSecondPageOfACrossingLoad) {
  turn_paging_on({entry(kData, 0x43), 0});
  catch_traps();
  cpu_->set_x(kA3, kPage + 0xffe - 8);

  expect_fault(kLoad, Cause::LoadPageFault, kPage + 0x1000);
}

TEST_F(ThePagingHart, TakesAtomicsForStores) {
  turn_paging_on({entry(kData, 0x43), 0});
  catch_traps();
  cpu_->set_x(kA3, kPage);
  expect_fault(
      Code{
          0xb72f, 0x00e6,  // amoadd.d a4, a4, (a3)
      },
      Cause::StorePageFault, kPage);

  cpu_->set_x(kA3, kPage + 0x1000);
  expect_fault(
      Code{
          0xb72f, 0x00e6,  // amoadd.d a4, a4, (a3)
      },
      Cause::StorePageFault, kPage + 0x1000);
  expect_fault(
      Code{
          0xb72f, 0x1006,  // lr.d a4, (a3)
      },
      Cause::LoadPageFault, kPage + 0x1000);
}

TEST_F(ThePagingHart, GuardsUserPagesBySum) {
  turn_paging_on({entry(kData, 0xd7)});
  catch_traps();
  cpu_->set_x(kA3, kPage);
  expect_fault(kLoad, Cause::LoadPageFault, kPage + 8);

  cpu_->set_csr(Csr::Vsstatus, vsstatus::kSum);
  expect_works(kLoad);

  cpu_->set_csr(Csr::Vsstatus, 0);
  expect_fault(kLoad, Cause::LoadPageFault, kPage + 8);
}

TEST_F(ThePagingHart, ReadsExecutablePagesByMxr) {
  turn_paging_on({entry(kData, 0x49)});
  catch_traps();
  cpu_->set_x(kA3, kPage);
  expect_fault(kLoad, Cause::LoadPageFault, kPage + 8);

  cpu_->set_csr(Csr::Vsstatus, vsstatus::kMxr);
  expect_works(kLoad);
}

TEST_F(ThePagingHart, ReadsExecutablePagesByMxrInUserModeToo) {
  turn_paging_on({entry(kRam, 0x59), entry(kData, 0x59)});
  catch_traps();
  put(kRam, kLoad);
  cpu_->set_x(kA3, kPage + 0x1000);
  cpu_->set_csr(Csr::Vsstatus, vsstatus::kMxr);
  cpu_->set_privilege(Privilege::User);
  cpu_->set_pc(kPage);
  (void)run(1);
  EXPECT_EQ(cpu_->pc(), kPage + 4);

  cpu_->set_csr(Csr::Vsstatus, 0);
  cpu_->set_pc(kPage);
  (void)run(1);
  expect_trapped(Cause::LoadPageFault, kPage, kPage + 0x1008);
}

TEST_F(ThePagingHart, KeepsUserModeOffTheKernel) {
  turn_paging_on({entry(kRam, 0xdf)});
  catch_traps();
  put(kRam, kLoad);
  cpu_->set_x(kA3, kData);
  cpu_->set_privilege(Privilege::User);
  cpu_->set_pc(kPage);

  (void)run(1);

  expect_trapped(Cause::LoadPageFault, kPage, kData + 8);
  EXPECT_EQ(cpu_->privilege(), Privilege::Supervisor);
  EXPECT_EQ(cpu_->csr(Csr::Vsstatus) & vsstatus::kSpp, 0u);
}

TEST_F(ThePagingHart, FaultsAtTheSecondHalfOfAnInstruction) {
  turn_paging_on({entry(kData, 0x4b), 0});
  catch_traps();
  // c.nop at ..ffc, and at ..ffe the first half of a 32-bit nop.
  put(kData + 0xffc, {0x0001, 0x0013});
  cpu_->set_pc(kPage + 0xffc);
  const std::uint64_t before = retired();

  (void)run(2);

  expect_trapped(Cause::InstructionPageFault, kPage + 0xffe, kPage + 0x1000);
  EXPECT_EQ(retired(), before + 2) << "c.nop, and one of the handler";
}

TEST_F(ThePagingHart, RunsAnInstructionAcrossTwoPages) {
  turn_paging_on({entry(kData, 0xcf), entry(kData + 0x3000, 0xcf)});
  // addi a0,a0,5 with its halves on pages that are not neighbours.
  put(kData + 0xffe, {0x0513});
  put(kData + 0x3000, {0x0055, 0x0001, 0x0001});
  cpu_->set_pc(kPage + 0xffe);

  EXPECT_EQ(run(2).scause, kTimer);

  EXPECT_EQ(x(kA0), 5u);
  EXPECT_EQ(cpu_->pc(), kPage + 0x1004);
}

TEST_F(ThePagingHart, ReportsAPageTableThatStageTwoDoesNotHave) {
  turn_paging_on({});
  store(kTables + 8, entry(0x3000'0000, 1));
  cpu_->flush_tlb();
  cpu_->set_x(kA3, kPage);
  put(kRam, kLoad);

  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, code(Cause::LoadGuestPageFault));
  EXPECT_EQ(exit.stval, kPage + 8);
  EXPECT_EQ(exit.htval, 0x3000'0000u >> 2);
  EXPECT_EQ(exit.htinst, kImplicitRead);
}

TEST_F(ThePagingHart, ReportsAPageTableThatItMayNotMark) {
  turn_paging_on({});
  const auto frame = frames_.allocate(4096, 4096, {.vm = VmId{1}, .use = FrameUse::Shared});
  ASSERT_TRUE(frame);
  memory_.store64(*frame, entry(kData, 0x07));
  constexpr std::uint64_t kReadOnly = 0x5000'0000;
  EXPECT_THAT(space_.map_linear(GuestPhys(kReadOnly), *frame, 4096, MappingFlags::Read, "ro"),
              retrap::test::Succeeds());
  store(kTables + 0x1000, entry(kReadOnly, 1));
  cpu_->set_x(kA3, kPage);
  put(kRam, kLoad);

  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, code(Cause::LoadGuestPageFault));
  EXPECT_EQ(exit.htval, kReadOnly >> 2);
  EXPECT_EQ(exit.htinst, kImplicitWrite);
}

// ---- What is remembered -----------------------------------------------------------------------

TEST_F(ThePagingHart, SeesANewMappingAfterItsFence) {
  turn_paging_on({entry(kData, 0xc7)});
  store(kData, 1);
  store(kData + 0x1000, 2);
  cpu_->set_x(kA3, kPage);
  cpu_->set_x(kT0, kTables + 0x2000);
  cpu_->set_x(kT1, entry(kData + 0x1000, 0xc7));
  for (const Code& fence : {Code{
                                0x8073, 0x1206,  // sfence.vma a3
                            },
                            Code{
                                0x0073, 0x1200,  // sfence.vma
                            }}) {
    store(kTables + 0x2000, entry(kData, 0xc7));
    cpu_->flush_tlb();
    Code program = Code{
        0x6288,          // ld a0, 0(a3)
        0xb023, 0x0062,  // sd t1, 0(t0)
    };
    program.insert(program.end(), fence.begin(), fence.end());
    const Code rest = Code{
        0x628c,          // ld a1, 0(a3)
        0x0073, 0x0000,  // ecall
    };
    program.insert(program.end(), rest.begin(), rest.end());
    put(kRam, program);
    cpu_->set_pc(kRam);

    EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

    EXPECT_EQ(x(kA0), 1u);
    EXPECT_EQ(x(kA1), 2u);
  }
}

TEST_F(ThePagingHart, SeesALargePageChangeAfterAFenceAnywhereInIt) {
  // A gigapage of the guest at 0x1'0000'0000, seen through two of its pages.
  turn_paging_on({});
  store(kTables + 32, entry(kRam, 0xc7));
  cpu_->flush_tlb();
  store(kData, 1);
  cpu_->set_x(kA3, 0x1'0000'0000 + (kData - kRam));
  cpu_->set_x(kA4, 0x1'0000'0000);
  cpu_->set_x(kT0, kTables + 32);
  put(kRam, Code{
                0x6288,          // ld a0, 0(a3)
                0xb023, 0x0002,  // sd zero, 0(t0)
                0x0073, 0x1207,  // sfence.vma a4
                0x628c,          // ld a1, 0(a3)
                0x0073, 0x0000,  // ecall
            });
  catch_traps();
  (void)run(5);

  EXPECT_EQ(x(kA0), 1u);
  EXPECT_EQ(cpu_->csr(Csr::Vscause), code(Cause::LoadPageFault));
}

TEST_F(ThePagingHart, SwitchesBetweenAddressSpaces) {
  turn_paging_on({entry(kData, 0xc7)});
  const std::uint64_t first = cpu_->csr(Csr::Vsatp);
  // A second set of tables next to the first.
  constexpr std::uint64_t kOther = kTables + 0x8000;
  store(kOther + 16, entry(kRam, 0xcf));
  store(kOther + 8, entry(kOther + 0x1000, 1));
  store(kOther + 0x1000, entry(kOther + 0x2000, 1));
  store(kOther + 0x2000, entry(kData + 0x1000, 0xc7));
  store(kData, 1);
  store(kData + 0x1000, 2);
  cpu_->set_x(kT0, first);
  cpu_->set_x(kT1, 8ull << 60 | kOther >> 12);
  cpu_->set_x(kA3, kPage);
  put(kRam, Code{
                0x6288,          // ld a0, 0(a3)
                0x1773, 0x1803,  // csrrw a4, satp, t1
                0x628c,          // ld a1, 0(a3)
                0x9073, 0x1802,  // csrw satp, t0
                0x6290,          // ld a2, 0(a3)
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

  EXPECT_EQ(x(kA0), 1u);
  EXPECT_EQ(x(kA1), 2u);
  EXPECT_EQ(x(kA2), 1u);
  EXPECT_EQ(x(kA4), first);
}

TEST_F(ThePagingHart, TurnsPagingOffWithoutAFence) {
  turn_paging_on({entry(kData, 0xc7)});
  cpu_->set_x(kA3, kPage);
  put(kRam, Code{
                0x6288,          // ld a0, 0(a3)
                0x1073, 0x1800,  // csrw satp, zero
                0xb503, 0x0006,  // ld a0, 0(a3)
            });
  const RawExit& exit = run();

  EXPECT_EQ(exit.scause, code(Cause::LoadGuestPageFault));
  EXPECT_EQ(exit.htval, kPage >> 2);
}

TEST_F(ThePagingHart, ForgetsMemoryThatTheMonitorTookAway) {
  put(kRam, kLoad);
  cpu_->set_x(kA3, kData);
  (void)run(1);
  EXPECT_THAT(space_.unmap(GuestPhys(kData), 4096), retrap::test::Succeeds());
  cpu_->set_pc(kRam);

  EXPECT_EQ(run().scause, code(Cause::LoadGuestPageFault));
  EXPECT_EQ(cpu_->last_exit().htval, (kData + 8) >> 2);
}

TEST_F(ThePagingHart, ObeysTheRightsOfStageTwo) {
  const auto frame = frames_.allocate(4096, 4096, {.vm = VmId{1}, .use = FrameUse::Shared});
  ASSERT_TRUE(frame);
  EXPECT_THAT(space_.map_linear(GuestPhys(kPage), *frame, 4096, MappingFlags::Read, "rom"),
              retrap::test::Succeeds());
  cpu_->set_x(kA3, kPage);
  put(kRam, kLoad);
  (void)run(1);
  EXPECT_EQ(cpu_->pc(), kRam + 4);

  put(kRam, kStore);
  cpu_->set_pc(kRam);
  EXPECT_EQ(run().scause, code(Cause::StoreGuestPageFault));
  cpu_->set_pc(kPage);
  EXPECT_EQ(run().scause, code(Cause::InstructionGuestPageFault));
}

TEST_F(ThePagingHart, MarksThePagesThatItMayWrite) {
  cpu_->set_x(kA3, kData);
  put(kRam, kStore);
  const HostPhys page = *space_.translate(GuestPhys(kData));
  EXPECT_EQ(memory_.flags(page) & HostMemory::kWritten, 0);

  (void)run(1);

  EXPECT_NE(memory_.flags(page) & HostMemory::kWritten, 0);
  EXPECT_NE(memory_.flags(*space_.translate(GuestPhys(kRam))) & HostMemory::kCode, 0);
}

TEST_F(ThePagingHart, TranslatesWithSv48) {
  turn_paging_on({entry(kData, 0xc7)});
  constexpr std::uint64_t kTop = kTables + 0x9000;
  store(kTop, entry(kTables, 1));
  cpu_->set_csr(Csr::Vsatp, 9ull << 60 | kTop >> 12);
  store(kData + 8, 42);
  cpu_->set_x(kA3, kPage);
  put(kRam, kLoad);

  (void)run(1);

  EXPECT_EQ(x(kA0), 42u);
}

// ---- Code -------------------------------------------------------------------------------------

TEST_F(ThePagingHart, RunsCodeThatItHasJustWritten) {
  cpu_->set_x(kT0, kData);
  put(kData, Code{
                 0x0513, 0x0030,  // li a0, 3
                 0x8067, 0x0000,  // ret
             });
  cpu_->set_x(kT1, 0x00700513);  // li a0,7
  put(kRam, Code{
                0x9282,          // jalr t0
                0x85aa,          // mv a1, a0
                0xa023, 0x0062,  // sw t1, 0(t0)
                0x100f, 0x0000,  // fence.i
                0x9282,          // jalr t0
                0x862a,          // mv a2, a0
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

  EXPECT_EQ(x(kA1), 3u);
  EXPECT_EQ(x(kA2), 7u);
}

TEST_F(ThePagingHart, RunsCodeThatWasWrittenThroughAnotherAddress) {
  turn_paging_on({entry(kData, 0xcb), entry(kData, 0xc7)});
  cpu_->set_x(kT0, kPage);           // executable
  cpu_->set_x(kT2, kPage + 0x1000);  // writable
  cpu_->set_x(kA3, 0x00700513);      // li a0,7
  cpu_->set_x(kA4, 0x00008067);      // ret
  cpu_->set_x(kA5, 0x00900513);      // li a0,9
  put(kRam, Code{
                0xa023, 0x00d3,  // sw a3, 0(t2)
                0xa223, 0x00e3,  // sw a4, 4(t2)
                0x100f, 0x0000,  // fence.i
                0x9282,          // jalr t0
                0x85aa,          // mv a1, a0
                0xa023, 0x00f3,  // sw a5, 0(t2)
                0x100f, 0x0000,  // fence.i
                0x9282,          // jalr t0
                0x862a,          // mv a2, a0
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

  EXPECT_EQ(x(kA1), 7u);
  EXPECT_EQ(x(kA2), 9u);
}

TEST_F(ThePagingHart, DoesNotExecuteThroughTheAddressThatIsForWriting) {
  turn_paging_on({entry(kData, 0xcb), entry(kData, 0xc7)});
  catch_traps();
  put(kData, Code{
                 0x451d,  // c.li a0, 7
                 0x8082,  // c.jr ra
             });
  cpu_->set_x(kT0, kPage);
  cpu_->set_x(kT2, kPage + 0x1000);
  put(kRam, Code{
                0x9282,          // jalr t0 # the page holds code now
                0xa023, 0x0403,  // sw zero, 64(t2) # this entry is executable to the engine
                0x8382,          // jr t2
            });
  (void)run(6);

  expect_trapped(Cause::InstructionPageFault, kPage + 0x1000, kPage + 0x1000);
}

TEST_F(ThePagingHart, CountsCodeThatChangesItsLengths) {
  cpu_->set_x(kT0, kData);
  put(kData, Code{
                 0x0013, 0x0000,  // nop
                 0x8067, 0x0000,  // ret
             });
  cpu_->set_x(kT1, 0x00010001);  // c.nop; c.nop: as long, and one instruction more
  put(kRam, Code{
                0x9282,          // jalr t0
                0xa023, 0x0062,  // sw t1, 0(t0)
                0x100f, 0x0000,  // fence.i
                0x9282,          // jalr t0
                0x0073, 0x0000,  // ecall
            });
  EXPECT_EQ(run().scause, code(Cause::EcallFromVs));

  EXPECT_EQ(retired(), 4u + 2 + 3);
}

TEST_F(ThePagingHart, RunsCodeThatTheMonitorHasChanged) {
  put(kRam, Code{
                0x4515,          // c.li a0, 5
                0x0073, 0x0000,  // ecall
            });
  (void)run();
  EXPECT_EQ(x(kA0), 5u);

  put(kRam, Code{
                0x4519,          // c.li a0, 6
                0x0073, 0x0000,  // ecall
            });
  cpu_->set_pc(kRam);
  (void)run();

  EXPECT_EQ(x(kA0), 6u);
}

TEST_F(ThePagingHart, FetchesForTheMonitorAsTheGuestWould) {
  turn_paging_on({entry(kData, 0x4b), entry(kData, 0xc7)});
  put(kData, {0x1234});
  EXPECT_EQ(cpu_->fetch(kPage), 0x1234);
  EXPECT_EQ(cpu_->fetch(kPage + 1), std::nullopt);
  EXPECT_EQ(cpu_->fetch(kPage + 0x1000), std::nullopt) << "not executable";
  EXPECT_EQ(cpu_->fetch(0x3000'0000), std::nullopt);
}

}  // namespace
}  // namespace retrap::riscv64
