// DMA reaches the RAM of its own VM, and nothing else.
#include "vmm/dma.h"

#include <gtest/gtest.h>

#include "tests/support/matchers.h"
#include "tests/support/scripted_vm.h"
#include "tests/vmm/virtio_driver.h"

namespace retrap {
namespace {

using test::DmaWorld;

class ADma : public ::testing::Test {
 public:
  bool write(std::uint64_t at, std::size_t count) {
    return world_.dma.write(GuestPhys(at), std::vector<std::byte>(count, std::byte{0x5a}));
  }
  bool read(std::uint64_t at, std::size_t count) {
    std::vector<std::byte> bytes(count);
    return world_.dma.read(GuestPhys(at), bytes);
  }
  std::uint64_t refused_reads() const { return world_.dma.counters().refused_reads; }
  std::uint64_t refused_writes() const { return world_.dma.counters().refused_writes; }

  DmaWorld world_;
};

TEST_F(ADma, WritesAcrossPagesThatNobodyHasTouched) {
  EXPECT_TRUE(write(DmaWorld::kRam + 0xffd, 0x1006));

  EXPECT_EQ(world_.bytes_at(DmaWorld::kRam + 0xffd, 0x1006),
            std::vector<std::byte>(0x1006, std::byte{0x5a}));
  EXPECT_EQ(world_.peek<std::uint8_t>(DmaWorld::kRam + 0xffc), 0);
  EXPECT_EQ(world_.peek<std::uint8_t>(DmaWorld::kRam + 0x2003), 0);
  EXPECT_EQ(refused_writes(), 0u);
}

TEST_F(ADma, MarksPagesWrittenSoThatDigestsSeeThem) {
  const std::uint64_t before = world_.digest();

  ASSERT_TRUE(write(DmaWorld::kRam, 1));

  EXPECT_NE(world_.digest(), before);
}

TEST_F(ADma, TellsWhoHasTranslatedTheCodeThatItOverwrites) {
  struct Listener final : CodeListener {
    void code_page_written(HostPhys page) override { pages.push_back(page); }
    std::vector<HostPhys> pages;
  } listener;
  ASSERT_TRUE(write(DmaWorld::kRam, 1));
  const HostPhys page = *world_.memory.translate(GuestPhys(DmaWorld::kRam));
  world_.host.memory().add_listener(&listener);
  world_.host.memory().mark_code(page);

  ASSERT_TRUE(write(DmaWorld::kRam + 0x800, 4));

  EXPECT_EQ(listener.pages, std::vector<HostPhys>{page});
  world_.host.memory().remove_listener(&listener);
}

TEST_F(ADma, GoesOnFromOneRegionToTheNext) {
  EXPECT_TRUE(read(DmaWorld::kReadOnly - 8, 16));
}

TEST_F(ADma, ReachesRamOfEveryMapType) {
  for (const std::uint64_t at : {DmaWorld::kRam, DmaWorld::kIdentical, DmaWorld::kReserved}) {
    SCOPED_TRACE(at);
    EXPECT_TRUE(write(at, kPageSize));
    EXPECT_TRUE(read(at, kPageSize));
    EXPECT_EQ(world_.bytes_at(at, kPageSize), std::vector<std::byte>(kPageSize, std::byte{0x5a}));
  }
  EXPECT_TRUE(write(DmaWorld::kReserved - 1, 2)) << "from one type to another";
  EXPECT_FALSE(write(DmaWorld::kReserved + kPageSize - 1, 2));
  EXPECT_EQ(refused_writes(), 1u);
}

TEST_F(ADma, DoesNothingForNoBytesWhereverTheyAre) {
  EXPECT_TRUE(write(DmaWorld::kNowhere, 0));
  EXPECT_TRUE(read(~std::uint64_t{0}, 0));
}

TEST_F(ADma, RefusesAndCountsWhatIsNotRamOfItsVm) {
  const std::uint64_t before = world_.digest();
  struct Case {
    std::uint64_t at;
    std::size_t count;
    bool may_be_read;
  };
  const std::vector<Case> cases = {
      {DmaWorld::kReadOnly, 1, true},
      {DmaWorld::kReadOnly - 1, 2, true},
      {DmaWorld::kReadOnly + kPageSize - 1, 2, false},
      {DmaWorld::kWindow, 1, false},
      {DmaWorld::kNowhere, 1, false},
      {DmaWorld::kRam - 1, 2, false},
      {0, 1, false},
      {~std::uint64_t{0}, 1, false},
      {~std::uint64_t{0} - 3, 8, false},
      {DmaWorld::kRam + 8, 0x20'0000, false},
  };
  std::uint64_t unreadable = 0;
  for (const Case& it : cases) {
    SCOPED_TRACE(it.at);
    EXPECT_FALSE(write(it.at, it.count));
    EXPECT_EQ(read(it.at, it.count), it.may_be_read);
    if (!it.may_be_read) ++unreadable;
  }
  EXPECT_EQ(refused_writes(), cases.size());
  EXPECT_EQ(refused_reads(), unreadable);
  EXPECT_EQ(world_.digest(), before) << "a refused access has touched memory";
}

TEST_F(ADma, RefusesARangeThatIsLongerThanAnyMemory) {
  EXPECT_FALSE(world_.dma.allows(DmaAccess::Read, GuestPhys(DmaWorld::kRam), ~std::uint64_t{0}));
  EXPECT_FALSE(world_.dma.allows(DmaAccess::Write, GuestPhys(0), ~std::uint64_t{0}));
}

TEST_F(ADma, FollowsMemoryThatGoesAway) {
  ASSERT_THAT(world_.memory.unmap(GuestPhys(DmaWorld::kRam), kPageSize), test::Succeeds());

  EXPECT_FALSE(write(DmaWorld::kRam, 4));
  EXPECT_TRUE(write(DmaWorld::kRam + kPageSize, 4));
}

TEST(TheDmaOfAVm, IsThereAfterAResetForDevicesThatStayPlugged) {
  test::ScriptedVm scripted;
  Vm& vm = *scripted.vm;
  GuestDma& dma = vm.dma();
  const std::array bytes = {std::byte{1}};
  ASSERT_TRUE(dma.write(GuestPhys(0x4000'0000), bytes));
  ASSERT_FALSE(dma.write(GuestPhys(0), bytes));
  ASSERT_EQ(dma.counters().refused_writes, 1u);
  ASSERT_THAT(vm.shutdown(), test::Succeeds());
  ASSERT_THAT(vm.reset(), test::Succeeds());

  EXPECT_EQ(&vm.dma(), &dma);
  EXPECT_EQ(dma.counters().refused_writes, 0u) << "as a fresh VM";
  EXPECT_TRUE(dma.write(GuestPhys(0x4000'0000), bytes));
}

TEST(TheDmaOfAVm, RefusesEverythingAfterItsDestruction) {
  test::ScriptedVm scripted;
  Vm& vm = *scripted.vm;
  ASSERT_THAT(vm.shutdown(), test::Succeeds());
  ASSERT_THAT(vm.destroy(), test::Succeeds());

  std::array<std::byte, 1> byte{};
  EXPECT_FALSE(vm.dma().read(GuestPhys(0x4000'0000), byte));
  EXPECT_FALSE(vm.dma().write(GuestPhys(0x4000'0000), byte));
}

}  // namespace
}  // namespace retrap
