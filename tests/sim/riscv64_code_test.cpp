// Code that somebody else changes: another VM that shares the page, or the monitor.
#include <gtest/gtest.h>

#include "tests/sim/riscv64_hart_fixture.h"

namespace retrap::riscv64::test {
namespace {

using retrap::test::Succeeds;

constexpr std::uint64_t kShared = 0x9000'0000;

/// Two VMs, each with an engine of its own, and a page of host memory that both have at kShared.
class TwoVmsThatShareAPage : public AHart {
 public:
  TwoVmsThatShareAPage() : page_(*frames_.allocate(kPageSize, kPageSize, kOwner)) {
    constexpr MappingFlags kAll = MappingFlags::Read | MappingFlags::Write | MappingFlags::Execute;
    EXPECT_THAT(space_.map_linear(GuestPhys(kShared), page_, kPageSize, kAll, "shared"),
                Succeeds());
    EXPECT_THAT(other_space_.map_linear(GuestPhys(kShared), page_, kPageSize, kAll, "shared"),
                Succeeds());
    other_cpus_ = std::move(*hardware_->create(1, other_space_));
    // sh a1, 0(a0); j .
    put(kRam, {0x1023, 0x00b5, 0xa001});
    put(kShared, {kOne, 0xa001});
  }

  /// The first VM stores `half` to the start of the shared page.
  void one_stores(std::uint16_t half) {
    cpu_->set_pc(kRam);
    cpu_->set_x(kA0, kShared);
    cpu_->set_x(kA1, half);
    run(3);
  }
  /// What the code in the shared page leaves in a0 of the second VM.
  std::uint64_t other_runs() {
    Cpu& other = other_cpus_->cpu(0);
    other.set_pc(kShared);
    clock_.set_slice_end(clock_.retired() + 3);
    EXPECT_EQ(other.run().scause, kTimer);
    return other.x(kA0);
  }

  static constexpr std::uint16_t kOne = 0x4505;  // c.li a0, 1
  static constexpr std::uint16_t kTwo = 0x4509;  // c.li a0, 2
  static constexpr std::uint16_t kSix = 0x4519;  // c.li a0, 6

 private:
  static constexpr FrameOwner kOwner{VmId{1}, FrameUse::Shared};
  HostPhys page_;
  AddressSpace other_space_ = *AddressSpace::make(sv39x4(), frames_, VmId{2});
  std::unique_ptr<CpuSet> other_cpus_;
};

TEST_F(TwoVmsThatShareAPage, RunWhatTheOtherHasStored) {
  ASSERT_EQ(other_runs(), 1u);

  one_stores(kTwo);

  EXPECT_EQ(other_runs(), 2u);
}

TEST_F(TwoVmsThatShareAPage, RunWhatTheOtherStoresThroughATranslationItHasAlready) {
  one_stores(kTwo);
  ASSERT_EQ(other_runs(), 2u);

  one_stores(kSix);

  EXPECT_EQ(other_runs(), 6u);
}

TEST_F(TwoVmsThatShareAPage, RunWhatTheOtherStoresByTurns) {
  for (const std::uint16_t half : {kTwo, kSix, kTwo, kOne, kSix}) {
    one_stores(half);
    EXPECT_EQ(other_runs(), std::uint64_t{half} >> 2 & 7);
  }
}

TEST_F(TwoVmsThatShareAPage, RunWhatTheOtherHasStoredToCodeOfItsOwn) {
  // The first VM runs the page, too.
  cpu_->set_pc(kShared);
  run(3);
  ASSERT_EQ(x(kA0), 1u);
  ASSERT_EQ(other_runs(), 1u);

  one_stores(kTwo);
  ASSERT_EQ(other_runs(), 2u);
  one_stores(kSix);

  EXPECT_EQ(other_runs(), 6u);
  cpu_->set_pc(kShared);
  run(3);
  EXPECT_EQ(x(kA0), 6u);
}

TEST_F(TwoVmsThatShareAPage, RunWhatTheMonitorHasWritten) {
  ASSERT_EQ(other_runs(), 1u);

  put(kShared, {kTwo});
  ASSERT_EQ(other_runs(), 2u);
  put(kShared, {kSix});

  EXPECT_EQ(other_runs(), 6u);
}

}  // namespace
}  // namespace retrap::riscv64::test
