// virtio over MMIO with the entropy device behind it: what VIRTIO 1.2 says, and what a hostile
// driver tries.
#include "vmm/devices/virtio_mmio.h"

#include <gtest/gtest.h>

#include "tests/vmm/virtio_driver.h"

namespace retrap::virtio {
namespace {

using test::DmaWorld;
using test::DriverQueue;
using namespace test::registers;

constexpr std::uint64_t kSeed = 42;
/// The first `count` bytes that the device gives from `seed`.
std::vector<std::byte> entropy(std::uint64_t seed, std::size_t count) {
  Prng words(seed);
  std::vector<std::byte> bytes(count + 8);
  for (std::size_t place = 0; place < count; place += 8) {
    EXPECT_TRUE(store_le<std::uint64_t>(bytes, place, words.next()));
  }
  bytes.resize(count);
  return bytes;
}

class AnEntropyDevice : public ::testing::Test {
 public:
  std::uint64_t get(std::uint64_t offset) {
    return device_.read(access_to(offset)).value_or(~0ull);
  }
  void set(std::uint64_t offset, std::uint64_t value) { test::set(device_, offset, value); }
  void negotiate() { test::negotiate(device_); }
  void set_up_queue(const QueueLayout& layout = DriverQueue::layout()) {
    test::set_up_queue(device_, layout);
  }
  void start() {
    negotiate();
    set_up_queue();
    set(kStatus, kRunning);
  }
  void ask(std::uint16_t head, std::uint64_t where, std::uint32_t count) {
    driver_.describe(head, {.at = where, .bytes = count, .flags = DriverQueue::kWrite});
    driver_.make_available(head);
    set(kQueueNotify, 0);
  }
  std::uint64_t digest() const {
    Digest digest;
    device_.digest(digest);
    return digest.value();
  }
  std::uint64_t refused() const {
    return world_.dma.counters().refused_reads + world_.dma.counters().refused_writes;
  }
  void expect_broken() {
    EXPECT_EQ(get(kStatus), kRunning | Mmio::NeedsReset);
    EXPECT_EQ(get(kInterruptStatus) & Mmio::ConfigurationChange, Mmio::ConfigurationChange);
    EXPECT_TRUE(device_.irq_level());
  }

  DmaWorld world_;
  DriverQueue driver_{world_};
  Mmio device_{std::make_unique<Entropy>(kSeed), world_.dma};
};

TEST_F(AnEntropyDevice, SaysWhatItIs) {
  EXPECT_EQ(get(0x000), 0x7472'6976u);
  EXPECT_EQ(get(0x004), 2u);
  EXPECT_EQ(get(0x008), 4u);
  EXPECT_EQ(get(kStatus), 0u);
  EXPECT_EQ(get(0x0b0), 0xffff'ffffu) << "no shared memory";
  EXPECT_EQ(device_.name(), "virtio-entropy");
}

TEST_F(AnEntropyDevice, OffersVersionOneAndNothingElse) {
  std::vector<std::uint64_t> words;
  for (const std::uint64_t half : {0u, 1u, 2u, 0xffff'ffffu}) {
    set(kDeviceFeaturesSel, half);
    words.push_back(get(kDeviceFeatures));
  }
  EXPECT_EQ(words, (std::vector<std::uint64_t>{0, 1, 0, 0}));
}

TEST_F(AnEntropyDevice, HasOneQueue) {
  EXPECT_EQ(get(kQueueNumMax), SplitQueue::kMaxSize);
  set(kQueueSel, 1);
  EXPECT_EQ(get(kQueueNumMax), 0u);
  set(kQueueReady, 1);
  EXPECT_EQ(get(kQueueReady), 0u);
}

TEST_F(AnEntropyDevice, TakesWordsOnly) {
  for (const Width width : {Width::Byte, Width::Half, Width::Double}) {
    EXPECT_EQ(device_.read(access_to(kStatus, width)).error(), IoError::BadWidth);
    EXPECT_EQ(device_.write(access_to(kStatus, width), 1).error(), IoError::BadWidth);
  }
  EXPECT_EQ(device_.read(access_to(kStatus + 1)).error(), IoError::NoRegister);
  EXPECT_EQ(device_.read(access_to(0x100)).error(), IoError::NoRegister)
      << "no configuration space";
  EXPECT_EQ(device_.read(access_to(kQueueNotify)).error(), IoError::WriteOnly);
  EXPECT_EQ(device_.write(access_to(0x000), 1).error(), IoError::ReadOnly);
}

TEST_F(AnEntropyDevice, GivesBytesOfItsSeed) {
  start();

  ask(3, DriverQueue::kBuffers + 5, 13);
  ask(4, DriverQueue::kBuffers + 0x100, 32);

  EXPECT_EQ(driver_.used(), 2);
  EXPECT_EQ(driver_.used_element(0), (std::pair{3U, 13U}));
  EXPECT_EQ(driver_.used_element(1), (std::pair{4U, 32U}));
  auto seen = world_.bytes_at(DriverQueue::kBuffers + 5, 13);
  const auto more = world_.bytes_at(DriverQueue::kBuffers + 0x100, 32);
  seen.insert(seen.end(), more.begin(), more.end());
  EXPECT_EQ(seen, entropy(kSeed, 45)) << "one stream, however it is cut";
  EXPECT_EQ(world_.peek<std::uint8_t>(DriverQueue::kBuffers + 18), 0) << "nothing after the buffer";
  EXPECT_EQ(refused(), 0u);
}

TEST_F(AnEntropyDevice, FillsTheBuffersOfAChainInOrder) {
  start();
  driver_.describe(0, {.at = DriverQueue::kBuffers,
                       .bytes = 3,
                       .flags = DriverQueue::kWrite | DriverQueue::kNext,
                       .next = 1});
  ask(1, DriverQueue::kBuffers + 0x80, 5);  // its head comes next
  world_.poke<std::uint16_t>(DriverQueue::kAvailable + 4 + 2, 0);
  driver_.set_available(2);

  set(kQueueNotify, 0);

  EXPECT_EQ(driver_.used_element(1), (std::pair{0U, 8U}));
  const auto bytes = entropy(kSeed, 13);
  EXPECT_EQ(world_.bytes_at(DriverQueue::kBuffers, 3),
            std::vector(bytes.begin() + 5, bytes.begin() + 8));
  EXPECT_EQ(world_.bytes_at(DriverQueue::kBuffers + 0x80, 5),
            std::vector(bytes.begin() + 8, bytes.end()));
}

TEST_F(AnEntropyDevice, GivesFewerBytesThanALongBufferHasRoomFor) {
  start();

  ask(0, DriverQueue::kBuffers, 0x2000);

  EXPECT_EQ(driver_.used_element(0), (std::pair{0U, Entropy::kMostBytes}));
  EXPECT_EQ(world_.peek<std::uint64_t>(DriverQueue::kBuffers + Entropy::kMostBytes), 0u);
}

TEST_F(AnEntropyDevice, InterruptsUntilItIsAcknowledged) {
  start();
  EXPECT_FALSE(device_.irq_level());

  ask(0, DriverQueue::kBuffers, 4);

  EXPECT_TRUE(device_.irq_level());
  EXPECT_EQ(get(kInterruptStatus), Mmio::UsedBuffer);
  set(kInterruptAck, Mmio::ConfigurationChange);
  EXPECT_TRUE(device_.irq_level());
  set(kInterruptAck, Mmio::UsedBuffer);
  EXPECT_FALSE(device_.irq_level());
}

TEST_F(AnEntropyDevice, IsSilentWhereTheDriverWantsSilence) {
  start();
  driver_.set_flags(1);

  ask(0, DriverQueue::kBuffers, 4);

  EXPECT_EQ(driver_.used(), 1);
  EXPECT_FALSE(device_.irq_level());
}

TEST_F(AnEntropyDevice, DoesNothingBeforeTheDriverIsReady) {
  negotiate();
  set_up_queue();

  ask(0, DriverQueue::kBuffers, 4);
  EXPECT_EQ(driver_.used(), 0);

  set(kStatus, kRunning);
  set(kQueueNotify, 0);
  EXPECT_EQ(driver_.used(), 1);
}

TEST_F(AnEntropyDevice, DoesNothingForADriverThatHasGivenUp) {
  start();
  set(kStatus, kRunning | Mmio::Failed);

  ask(0, DriverQueue::kBuffers, 4);

  EXPECT_EQ(driver_.used(), 0);
}

TEST_F(AnEntropyDevice, IgnoresNotificationsOfQueuesThatAreNotThere) {
  start();
  const std::uint64_t before = digest();

  for (const std::uint64_t queue : {1u, 2u, 0x8000'0000u, 0xffff'ffffu}) set(kQueueNotify, queue);

  EXPECT_EQ(digest(), before);
}

TEST_F(AnEntropyDevice, RefusesFeaturesThatItDoesNotOffer) {
  for (const std::uint64_t half : {0u, 1u, 2u, 0xffff'ffffu}) {
    set(kStatus, 0);
    set(kStatus, Mmio::Acknowledge | Mmio::Driver);
    set(kDriverFeaturesSel, 1);
    set(kDriverFeatures, 1);
    set(kDriverFeaturesSel, half);
    set(kDriverFeatures, 0x1000'0001);
    set(kStatus, kNegotiated);
    EXPECT_EQ(get(kStatus) & Mmio::FeaturesOk, 0u) << half;
    set(kStatus, kRunning);
    EXPECT_EQ(get(kStatus) & Mmio::DriverOk, 0u) << "not without FEATURES_OK";
  }
}

TEST_F(AnEntropyDevice, RefusesADriverOfTheLegacyInterface) {
  set(kStatus, Mmio::Acknowledge | Mmio::Driver);
  set(kStatus, kNegotiated);
  EXPECT_EQ(get(kStatus), Mmio::Acknowledge | Mmio::Driver);
}

TEST_F(AnEntropyDevice, NegotiatesNothingAfterFeaturesOk) {
  negotiate();
  set(kDriverFeatures, 0);
  set(kDriverFeaturesSel, 7);
  set(kDriverFeatures, 1);
  set(kStatus, kRunning);
  EXPECT_EQ(get(kStatus), kRunning);
}

TEST_F(AnEntropyDevice, KeepsStatusBitsUntilItIsReset) {
  start();
  set(kStatus, Mmio::Acknowledge);
  EXPECT_EQ(get(kStatus), kRunning);
  set(kStatus, kRunning | Mmio::NeedsReset);
  EXPECT_EQ(get(kStatus), kRunning) << "that bit is the device's";
  set(kStatus, 0);
  EXPECT_EQ(get(kStatus), 0u);
  EXPECT_EQ(get(kQueueReady), 0u);
}

TEST_F(AnEntropyDevice, KeepsTheLayoutOfAQueueThatRuns) {
  start();
  set(kQueueNum, 4);
  set(kQueueDesc, DmaWorld::kNowhere);
  set(kQueueDriver, DmaWorld::kNowhere);
  set(kQueueDevice, DmaWorld::kNowhere);
  set(kQueueReady, 1);

  ask(0, DriverQueue::kBuffers, 4);

  EXPECT_EQ(driver_.used(), 1);
  EXPECT_EQ(get(kStatus), kRunning);
}

TEST_F(AnEntropyDevice, StopsAQueueThatIsNoLongerReady) {
  start();
  set(kQueueReady, 0);

  ask(0, DriverQueue::kBuffers, 4);

  EXPECT_EQ(get(kQueueReady), 0u);
  EXPECT_EQ(driver_.used(), 0);
}

TEST_F(AnEntropyDevice, NeedsAResetAfterAQueueOfAnImpossibleSize) {
  for (const std::uint32_t size : {0u, 3u, 6u, 65u, 128u, 0x8000u, 0x1'0000u, 0xffff'ffffu}) {
    negotiate();
    QueueLayout layout = DriverQueue::layout();
    layout.size = size;
    set_up_queue(layout);
    EXPECT_EQ(get(kQueueReady), 0u) << size;
    EXPECT_EQ(get(kStatus), kNegotiated | Mmio::NeedsReset);
    EXPECT_FALSE(device_.irq_level()) << "nobody is there to be told";
    set(kStatus, kRunning);
    ask(0, DriverQueue::kBuffers, 4);
    EXPECT_EQ(driver_.used(), 0);
  }
}

TEST_F(AnEntropyDevice, NeedsAResetAfterARequestWithAReadableBuffer) {
  start();
  driver_.describe(0, {.at = DriverQueue::kBuffers, .bytes = 4});
  driver_.make_available(0);
  const std::uint64_t before = world_.digest();

  set(kQueueNotify, 0);

  expect_broken();
  EXPECT_EQ(world_.digest(), before);
}

TEST_F(AnEntropyDevice, NeedsAResetAfterARequestWithoutRoomForAByte) {
  start();
  ask(0, DriverQueue::kBuffers, 0);
  expect_broken();
}

TEST_F(AnEntropyDevice, RefusesAndCountsAnAddressOutsideTheMemoryOfItsVm) {
  constexpr std::uint64_t kAt = DriverQueue::kBuffers;
  for (const std::uint64_t where :
       {DmaWorld::kNowhere, DmaWorld::kWindow, DmaWorld::kReadOnly, std::uint64_t{0},
        ~std::uint64_t{0}, DmaWorld::kWindow - 2, DmaWorld::kRam - 1}) {
    DmaWorld world;
    DriverQueue driver(world);
    Mmio device(std::make_unique<Entropy>(kSeed), world.dma);
    test::negotiate(device);
    test::set_up_queue(device);
    test::set(device, kStatus, kRunning);
    // The first buffer of the chain is good, and stays as it is.
    driver.describe(
        0, {.at = kAt, .bytes = 16, .flags = DriverQueue::kWrite | DriverQueue::kNext, .next = 1});
    driver.describe(1, {.at = where, .bytes = 4, .flags = DriverQueue::kWrite});
    driver.make_available(0);
    const std::uint64_t before = world.digest();

    test::set(device, kQueueNotify, 0);

    EXPECT_EQ(world.dma.counters().refused_writes, 1u) << where;
    EXPECT_EQ(world.digest(), before) << where;
    EXPECT_EQ(device.read(access_to(kStatus)).value_or(0), kRunning | Mmio::NeedsReset);
  }
}

TEST_F(AnEntropyDevice, TouchesNothingUntilItIsResetAndThenWorksAgain) {
  start();
  ask(0, DmaWorld::kNowhere, 4);
  expect_broken();
  const std::uint64_t refused_before = refused();

  ask(1, DriverQueue::kBuffers, 4);
  EXPECT_EQ(driver_.used(), 0);
  EXPECT_EQ(refused(), refused_before) << "it does not even look";

  driver_.set_available(0);
  start();
  ask(1, DriverQueue::kBuffers, 4);
  EXPECT_EQ(driver_.used(), 1);
  EXPECT_EQ(get(kInterruptStatus), Mmio::UsedBuffer);
}

TEST_F(AnEntropyDevice, ServesOneQueueFullForEachNotification) {
  start();
  // The buffer is the ring itself: while it is served the guest asks for more and more.
  driver_.describe(0, {.at = DriverQueue::kAvailable, .bytes = 4, .flags = DriverQueue::kWrite});
  driver_.make_available(0);

  set(kQueueNotify, 0);

  EXPECT_LE(driver_.used(), DriverQueue::kSize);
}

TEST_F(AnEntropyDevice, GivesNoByteTwiceAfterItsDriverHasResetIt) {
  start();
  ask(0, DriverQueue::kBuffers, 8);
  driver_.set_available(0);
  start();
  ask(0, DriverQueue::kBuffers + 8, 8);

  EXPECT_EQ(world_.bytes_at(DriverQueue::kBuffers, 16), entropy(kSeed, 16));
}

TEST_F(AnEntropyDevice, IsAsNewAfterPowerOn) {
  const std::uint64_t fresh = digest();
  start();
  ask(0, DriverQueue::kBuffers, 9);
  ASSERT_NE(digest(), fresh);

  device_.reset();

  EXPECT_EQ(digest(), fresh);
  EXPECT_FALSE(device_.irq_level());
  driver_.set_available(0);
  start();
  ask(0, DriverQueue::kBuffers + 0x100, 9);
  EXPECT_EQ(world_.bytes_at(DriverQueue::kBuffers + 0x100, 9), entropy(kSeed, 9));
}

}  // namespace
}  // namespace retrap::virtio
