// The split virtqueue: what a driver may do, and what a hostile one tries.
#include "vmm/devices/virtio_queue.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/vmm/virtio_driver.h"

namespace retrap::virtio {
namespace {

using test::DmaWorld;
using test::DriverQueue;
using Taken = SplitQueue::Taken;

class AQueue : public ::testing::Test {
 public:
  AQueue() { EXPECT_TRUE(queue_.start(DriverQueue::layout())); }

  Taken take() { return queue_.take(world_.dma, chain_); }

  DmaWorld world_;
  DriverQueue driver_{world_};
  SplitQueue queue_;
  Chain chain_;
};

TEST_F(AQueue, IsEmptyWhereTheDriverHasMadeNothingAvailable) {
  EXPECT_EQ(take(), Taken::Nothing);
}

TEST_F(AQueue, GivesTheBuffersOfAChainInOrder) {
  constexpr std::uint64_t kAt = DriverQueue::kBuffers;
  driver_.describe(5, {.at = kAt, .bytes = 16, .flags = DriverQueue::kNext, .next = 2});
  driver_.describe(2, {.at = kAt + 64, .bytes = 0, .flags = DriverQueue::kNext, .next = 7});
  driver_.describe(
      7,
      {.at = kAt + 128, .bytes = 32, .flags = DriverQueue::kNext | DriverQueue::kWrite, .next = 0});
  driver_.describe(0, {.at = kAt + 256, .bytes = 1, .flags = DriverQueue::kWrite});
  driver_.make_available(5);

  ASSERT_EQ(take(), Taken::Chain);

  EXPECT_EQ(chain_.head, 5);
  EXPECT_EQ(chain_.readable, (std::vector<Chain::Buffer>{{GuestPhys(kAt), 16}}));
  EXPECT_EQ(chain_.writable,
            (std::vector<Chain::Buffer>{{GuestPhys(kAt + 128), 32}, {GuestPhys(kAt + 256), 1}}));
  EXPECT_EQ(take(), Taken::Nothing);
}

TEST_F(AQueue, TakesAChainOfAllItsDescriptors) {
  for (std::uint16_t i = 0; i < DriverQueue::kSize; ++i) {
    const bool last = i + 1 == DriverQueue::kSize;
    driver_.describe(i, {.at = DriverQueue::kBuffers,
                         .bytes = 4,
                         .flags = last ? std::uint16_t{0} : DriverQueue::kNext,
                         .next = static_cast<std::uint16_t>(i + 1)});
  }
  driver_.make_available(0);

  ASSERT_EQ(take(), Taken::Chain);
  EXPECT_EQ(chain_.readable.size(), DriverQueue::kSize);
}

TEST_F(AQueue, CountsOnOverTheEndOfSixteenBits) {
  driver_.describe(3, {.at = DriverQueue::kBuffers, .bytes = 8, .flags = DriverQueue::kWrite});
  for (std::uint32_t n = 0; n < 0x1'0005; ++n) {
    driver_.make_available(3);
    ASSERT_EQ(take(), Taken::Chain) << n;
    ASSERT_TRUE(queue_.give_back(world_.dma, 3, n));
  }

  EXPECT_EQ(driver_.used(), 5);
  EXPECT_EQ(driver_.used_element(4), (std::pair{3U, 0x1'0004U}));
  EXPECT_EQ(take(), Taken::Nothing);
}

TEST_F(AQueue, TellsTheDriverThatItWantsToBeNotified) {
  world_.poke<std::uint16_t>(DriverQueue::kUsed, 0xffff);

  ASSERT_TRUE(queue_.give_back(world_.dma, 1, 2));

  EXPECT_EQ(world_.peek<std::uint16_t>(DriverQueue::kUsed), 0);
}

TEST_F(AQueue, KnowsWhetherTheDriverWantsAnInterrupt) {
  EXPECT_EQ(queue_.wish(world_.dma), SplitQueue::Wish::Interrupt);
  driver_.set_flags(1);
  EXPECT_EQ(queue_.wish(world_.dma), SplitQueue::Wish::Silence);
}

// Chains that break the rules: what is wrong with them, and how to make one.

struct Malformed {
  std::string name;
  std::function<void(DriverQueue&)> make;
};

void PrintTo(const Malformed& malformed, std::ostream* out) {
  *out << malformed.name;
}

void one_descriptor(DriverQueue& driver, DriverQueue::Descriptor descriptor) {
  driver.describe(0, descriptor);
  driver.make_available(0);
}

std::vector<Malformed> malformed_chains() {
  constexpr std::uint64_t kAt = DriverQueue::kBuffers;
  constexpr std::uint16_t kNext = DriverQueue::kNext;
  constexpr std::uint16_t kWrite = DriverQueue::kWrite;
  return {
      {"AHeadThatIsNoDescriptor", [](auto& driver) { driver.make_available(8); }},
      {"MoreAvailableThanTheQueueHolds", [](auto& driver) { driver.set_available(9); }},
      {"AnIndexThatGoesBack", [](auto& driver) { driver.set_available(0xffff); }},
      {"ANextThatIsNoDescriptor",
       [](auto& driver) {
         one_descriptor(driver, {.at = kAt, .bytes = 4, .flags = kNext, .next = 8});
       }},
      {"ANextFarAway",
       [](auto& driver) {
         one_descriptor(driver, {.at = kAt, .bytes = 4, .flags = kNext, .next = 0xffff});
       }},
      {"ALoopOfOne",
       [](auto& driver) {
         one_descriptor(driver, {.at = kAt, .bytes = 4, .flags = kNext, .next = 0});
       }},
      {"ALoopOfEmptyBuffers",
       [](auto& driver) {
         driver.describe(1, {.at = 0, .bytes = 0, .flags = kNext, .next = 0});
         one_descriptor(driver, {.at = 0, .bytes = 0, .flags = kNext, .next = 1});
       }},
      {"AnIndirectTable",
       [](auto& driver) {
         one_descriptor(driver, {.at = kAt, .bytes = 16, .flags = DriverQueue::kIndirect});
       }},
      {"AReadableBufferAfterAWritableOne",
       [](auto& driver) {
         driver.describe(1, {.at = kAt, .bytes = 4});
         one_descriptor(driver, {.at = kAt, .bytes = 4, .flags = kNext | kWrite, .next = 1});
       }},
      {"MoreThanFourGigabytes",
       [](auto& driver) {
         driver.describe(1, {.at = kAt, .bytes = 0xffff'ffff, .flags = kWrite});
         one_descriptor(driver, {.at = kAt, .bytes = 2, .flags = kNext | kWrite, .next = 1});
       }},
      {"ABufferOutsideRam",
       [](auto& driver) {
         one_descriptor(driver, {.at = DmaWorld::kNowhere, .bytes = 4, .flags = kWrite});
       }},
      {"ABufferThatEndsOutsideRam",
       [](auto& driver) {
         one_descriptor(driver, {.at = kAt, .bytes = 0x10'0000, .flags = kWrite});
       }},
      {"ABufferThatWraps",
       [](auto& driver) {
         one_descriptor(driver, {.at = ~std::uint64_t{0}, .bytes = 16, .flags = kWrite});
       }},
      {"AReadableBufferOutsideRam",
       [](auto& driver) { one_descriptor(driver, {.at = DmaWorld::kNowhere, .bytes = 4}); }},
      {"AWritableBufferThatMayOnlyBeRead",
       [](auto& driver) {
         one_descriptor(driver, {.at = DmaWorld::kReadOnly, .bytes = 4, .flags = kWrite});
       }},
      {"AWindowToMemoryOfAnother",
       [](auto& driver) { one_descriptor(driver, {.at = DmaWorld::kWindow, .bytes = 4}); }},
  };
}

class MalformedChain : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedChain, IsRefusedAndChangesNoMemory) {
  DmaWorld world;
  DriverQueue driver(world);
  SplitQueue queue;
  ASSERT_TRUE(queue.start(DriverQueue::layout()));
  GetParam().make(driver);
  const std::uint64_t before = world.digest();
  Chain chain;

  EXPECT_EQ(queue.take(world.dma, chain), Taken::Broken);
  EXPECT_EQ(queue.take(world.dma, chain), Taken::Broken) << "it does not go away";

  EXPECT_EQ(world.digest(), before);
}

INSTANTIATE_TEST_SUITE_P(Chains, MalformedChain, ::testing::ValuesIn(malformed_chains()),
                         [](const auto& param) { return param.param.name; });

// Layouts.

TEST(AQueueLayout, HasASizeThatIsAPowerOfTwoUpToTheMost) {
  for (std::uint32_t size = 0; size <= 2 * SplitQueue::kMaxSize; ++size) {
    QueueLayout layout = DriverQueue::layout();
    layout.size = size;
    const bool good =
        size == 1 || size == 2 || size == 4 || size == 8 || size == 16 || size == 32 || size == 64;
    SplitQueue queue;
    EXPECT_EQ(queue.start(layout), good) << size;
    EXPECT_EQ(queue.is_running(), good) << size;
  }
  QueueLayout layout = DriverQueue::layout();
  layout.size = 0x8000'0000;
  EXPECT_FALSE(SplitQueue().start(layout));
}

TEST(AQueueLayout, HasAlignedParts) {
  const auto starts = [](GuestPhys QueueLayout::* part, std::uint64_t off) {
    QueueLayout layout = DriverQueue::layout();
    layout.*part = (layout.*part).wrapping_add(off);
    return SplitQueue().start(layout);
  };
  EXPECT_FALSE(starts(&QueueLayout::descriptors, 8));
  EXPECT_TRUE(starts(&QueueLayout::descriptors, 16));
  EXPECT_FALSE(starts(&QueueLayout::available, 1));
  EXPECT_TRUE(starts(&QueueLayout::available, 2));
  EXPECT_FALSE(starts(&QueueLayout::used, 2));
  EXPECT_TRUE(starts(&QueueLayout::used, 4));
}

TEST(AQueueLayout, HasPartsThatDoNotWrap) {
  for (const auto part : {&QueueLayout::descriptors, &QueueLayout::available, &QueueLayout::used}) {
    QueueLayout layout = DriverQueue::layout();
    layout.*part = GuestPhys(~std::uint64_t{0} - 15);
    EXPECT_FALSE(SplitQueue().start(layout));
  }
}

TEST(AQueueOutsideRam, IsBrokenWhicheverPartItIs) {
  for (const auto part : {&QueueLayout::descriptors, &QueueLayout::available, &QueueLayout::used}) {
    for (const std::uint64_t at : {DmaWorld::kNowhere, DmaWorld::kWindow, std::uint64_t{0}}) {
      DmaWorld world;
      DriverQueue driver(world);
      driver.describe(0, {.at = DriverQueue::kBuffers, .bytes = 4, .flags = DriverQueue::kWrite});
      driver.make_available(0);
      QueueLayout layout = DriverQueue::layout();
      layout.*part = GuestPhys(at);
      SplitQueue queue;
      ASSERT_TRUE(queue.start(layout));
      const std::uint64_t before = world.digest();
      Chain chain;

      EXPECT_EQ(queue.take(world.dma, chain), Taken::Broken);

      const DmaCounters& counters = world.dma.counters();
      EXPECT_EQ(counters.refused_reads + counters.refused_writes, 1u);
      EXPECT_EQ(world.digest(), before);
    }
  }
}

TEST(AQueueOutsideRam, IsBrokenWhereItsUsedRingMayOnlyBeRead) {
  DmaWorld world;
  DriverQueue driver(world);
  driver.make_available(0);
  QueueLayout layout = DriverQueue::layout();
  layout.used = GuestPhys(DmaWorld::kReadOnly - 16);
  SplitQueue queue;
  ASSERT_TRUE(queue.start(layout));
  Chain chain;

  EXPECT_EQ(queue.take(world.dma, chain), Taken::Broken);
  EXPECT_EQ(world.dma.counters().refused_writes, 1u);
}

}  // namespace
}  // namespace retrap::virtio
