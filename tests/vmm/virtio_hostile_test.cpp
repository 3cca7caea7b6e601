// Drivers of a virtio device that do anything at all: two devices do the same, memory that is not
// the VM's stays as it is, and after a reset all is well.
#include <gtest/gtest.h>

#include <array>

#include "tests/vmm/virtio_driver.h"
#include "vmm/base/prng.h"

namespace retrap::virtio {
namespace {

using test::DmaWorld;
using test::DriverQueue;
using namespace test::registers;

struct Side {
  DmaWorld world;
  DriverQueue driver{world};
  Mmio device{std::make_unique<Entropy>(7), world.dma};
};

class AHostileDriver : public ::testing::TestWithParam<std::uint64_t> {
 public:
  /// Does the same with both.
  template <class Do>
  void both(Do what) {
    what(a_);
    what(b_);
  }

  /// Mostly good, and otherwise anything.
  std::uint64_t address() {
    constexpr std::array<std::uint64_t, 6> kBad = {
        DmaWorld::kReadOnly - 4, DmaWorld::kWindow, DmaWorld::kNowhere, DmaWorld::kRam - 8, 0,
        ~std::uint64_t{0} - 3};
    if (prng_.chance(1, 30)) return kBad[prng_.below(kBad.size())];
    return DmaWorld::kRam + prng_.below(DmaWorld::kRamBytes - 0x100);
  }
  std::uint16_t number() {
    return static_cast<std::uint16_t>(prng_.chance(1, 50) ? prng_.next() & 0xffff : prng_.below(8));
  }

  void sets_up() {
    QueueLayout layout = DriverQueue::layout();
    if (prng_.chance(1, 10)) layout.size = static_cast<std::uint32_t>(prng_.below(130));
    if (prng_.chance(1, 10)) layout.used = GuestPhys(address() & ~std::uint64_t{3});
    if (prng_.chance(1, 10)) layout.available = GuestPhys(address() & ~std::uint64_t{1});
    if (prng_.chance(1, 10)) layout.descriptors = GuestPhys(address() & ~std::uint64_t{15});
    both([&](Side& side) {
      side.driver.set_available(0);
      test::negotiate(side.device);
      test::set_up_queue(side.device, layout);
      test::set(side.device, kStatus, kRunning);
    });
  }
  void describes() {
    const std::uint16_t which = static_cast<std::uint16_t>(prng_.below(8));
    DriverQueue::Descriptor descriptor{.at = address(),
                                       .bytes = static_cast<std::uint32_t>(prng_.below(0x100)),
                                       .flags = DriverQueue::kWrite,
                                       .next = number()};
    if (prng_.chance(1, 3)) descriptor.flags |= DriverQueue::kNext;
    if (prng_.chance(1, 40)) descriptor.flags = static_cast<std::uint16_t>(prng_.below(8));
    if (prng_.chance(1, 40)) descriptor.bytes = static_cast<std::uint32_t>(prng_.next());
    both([&](Side& side) { side.driver.describe(which, descriptor); });
  }
  void makes_available() {
    const std::uint16_t head = number();
    both([&](Side& side) { side.driver.make_available(head); });
  }
  void pokes_a_register() {
    const std::uint64_t offset = 4 * prng_.below(0x40);
    const std::uint64_t value = prng_.chance(1, 2) ? prng_.below(16) : prng_.next();
    ASSERT_EQ(a_.device.write(access_to(offset), value & 0xffff'ffff).has_value(),
              b_.device.write(access_to(offset), value & 0xffff'ffff).has_value());
  }
  void acts() {
    switch (prng_.below(16)) {
      case 0:  return sets_up();
      case 1:  return pokes_a_register();
      case 2:
      case 3:
      case 4:  return makes_available();
      case 5:
      case 6:
      case 7:  return both([](Side& side) { test::set(side.device, kQueueNotify, 0); });
      default: return describes();
    }
  }

  static std::uint64_t digest_of(const Side& side) {
    Digest digest;
    side.device.digest(digest);
    return digest.value() ^ side.world.digest();
  }

  Prng prng_{GetParam()};
  Side a_;
  Side b_;
};

TEST_P(AHostileDriver, GetsAnswersAndNothingElse) {
  const auto outside = a_.world.bytes_at(DmaWorld::kReadOnly, 2 * kPageSize);

  for (int step = 0; step < 5000; ++step) {
    acts();
    ASSERT_EQ(a_.device.irq_level(), b_.device.irq_level()) << step;
  }

  EXPECT_EQ(digest_of(a_), digest_of(b_));
  EXPECT_EQ(a_.world.bytes_at(DmaWorld::kReadOnly, 2 * kPageSize), outside);
  EXPECT_GT(dynamic_cast<Entropy&>(a_.device.function()).drawn(), 1000u) << "it never worked";
  EXPECT_GT(a_.world.dma.counters().refused_writes, 0u) << "it never went wrong";
}

TEST_P(AHostileDriver, CanStartAgainAfterAReset) {
  for (int step = 0; step < 300; ++step) acts();

  test::negotiate(a_.device);
  test::set_up_queue(a_.device);
  test::set(a_.device, kStatus, kRunning);
  a_.driver.set_flags(0);
  a_.driver.describe(0, {.at = DriverQueue::kBuffers, .bytes = 8, .flags = DriverQueue::kWrite});
  a_.driver.set_available(0);
  a_.driver.make_available(0);
  test::set(a_.device, kQueueNotify, 0);

  EXPECT_EQ(a_.driver.used(), 1);
  EXPECT_EQ(a_.driver.used_element(0), (std::pair{0U, 8U}));
  EXPECT_TRUE(a_.device.irq_level());
}

INSTANTIATE_TEST_SUITE_P(Seeds, AHostileDriver, ::testing::Range<std::uint64_t>(0, 30));

}  // namespace
}  // namespace retrap::virtio
