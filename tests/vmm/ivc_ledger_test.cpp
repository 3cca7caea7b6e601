// Whatever ends in whatever order, the frames of channels are there as long as somebody sees them,
// and no longer.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/support/matchers.h"
#include "tests/vmm/ivc_fixture.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::code;
using test::kBaseSlot;
using test::Succeeds;
using test::TwoVms;

constexpr std::uint64_t kKey = 9;
constexpr std::uint64_t kSize = 0x2000;

enum class Step : std::uint8_t {
  Unpublish,
  Unsubscribe,
  ResetPublisher,
  ResetSubscriber,
  DestroyPublisher,
  DestroySubscriber,
  Publish,
  Subscribe,
  AdoptPublisher,  ///< a new VM with the id of one that is destroyed
  AdoptSubscriber,
  Wake,
};
constexpr std::size_t kEndings = 6;  ///< the steps before Publish
constexpr std::size_t kSteps = 11;

/// What should be there: the channels of one name, oldest first.
class Model {
 public:
  struct Channel {
    bool publisher;
    bool subscriber;
  };

  /// What the guest is told, or nothing where its VM does not run.
  std::optional<std::uint64_t> take(Step step) {
    const auto answer = answer_to(step);
    std::erase_if(channels_, [](const Channel& c) { return !c.publisher && !c.subscriber; });
    return answer;
  }
  [[nodiscard]] std::size_t channels() const { return channels_.size(); }
  [[nodiscard]] std::uint64_t bytes() const { return channels_.size() * kSize; }

 private:
  std::optional<std::uint64_t> answer_to(Step step) {
    const auto mine = std::ranges::find(channels_, true, &Channel::publisher);
    const auto seen = std::ranges::find(channels_, true, &Channel::subscriber);
    const auto none = channels_.end();
    switch (step) {
      case Step::Publish:
        if (!publisher_) return std::nullopt;
        if (mine != none) return code(IvcError::Exists);
        channels_.push_back({.publisher = true, .subscriber = false});
        return 0;
      case Step::Subscribe:
        if (!subscriber_) return std::nullopt;
        if (seen != none) return code(IvcError::Exists);
        if (mine == none) return code(IvcError::NoChannel);
        mine->subscriber = true;
        return 0;
      case Step::Unpublish:
        if (!publisher_) return std::nullopt;
        if (mine == none) return code(IvcError::NoChannel);
        mine->publisher = false;
        return 0;
      case Step::Unsubscribe:
        if (!subscriber_) return std::nullopt;
        if (seen == none) {
          return code(channels_.empty() ? IvcError::NoChannel : IvcError::NoParticipant);
        }
        seen->subscriber = false;
        return 0;
      case Step::DestroyPublisher: publisher_ = false; [[fallthrough]];
      case Step::ResetPublisher:
        for (Channel& channel : channels_) channel.publisher = false;
        return std::nullopt;
      case Step::DestroySubscriber: subscriber_ = false; [[fallthrough]];
      case Step::ResetSubscriber:
        for (Channel& channel : channels_) channel.subscriber = false;
        return std::nullopt;
      case Step::AdoptPublisher:  publisher_ = true; return std::nullopt;
      case Step::AdoptSubscriber: subscriber_ = true; return std::nullopt;
      case Step::Wake:            return std::nullopt;
    }
    return std::nullopt;
  }

  std::vector<Channel> channels_;
  bool publisher_ = true;
  bool subscriber_ = true;
};

/// The VMs, of which the last that had an id plays its part.
class Players : public TwoVms {
 public:
  using TwoVms::TwoVms;

  /// Takes the step for good.
  std::optional<std::uint64_t> take(Step step) {
    switch (step) {
      case Step::Publish:           return publish(publisher_, kKey, kSize);
      case Step::Subscribe:         return subscribe(subscriber_, 1, kKey);
      case Step::Unpublish:         return unpublish(publisher_, kKey);
      case Step::Unsubscribe:       return unsubscribe(subscriber_, 1, kKey);
      case Step::ResetPublisher:    (void)hypervisor.reset(publisher_); break;
      case Step::ResetSubscriber:   (void)hypervisor.reset(subscriber_); break;
      case Step::DestroyPublisher:  (void)hypervisor.destroy(publisher_); break;
      case Step::DestroySubscriber: (void)hypervisor.destroy(subscriber_); break;
      case Step::AdoptPublisher:    adopt_again(publisher_, 1); break;
      case Step::AdoptSubscriber:   adopt_again(subscriber_, 2); break;
      case Step::Wake:              hypervisor.wake(); break;
    }
    hypervisor.boot_all();
    return std::nullopt;
  }

 private:
  void adopt_again(std::size_t& player, std::uint32_t id) {
    if (hypervisor.vm(player).state() == VmState::Destroyed) player = add(id);
  }

  std::size_t publisher_ = 0;
  std::size_t subscriber_ = 1;
};

/// The steps that `number` stands for in the number system of base `kinds`.
std::vector<Step> order_of(std::size_t number, std::size_t kinds, std::size_t length) {
  std::vector<Step> order;
  for (std::size_t i = 0; i < length; ++i, number /= kinds) {
    order.push_back(static_cast<Step>(number % kinds));
  }
  return order;
}

std::string text(const std::vector<Step>& order) {
  std::string text;
  for (const Step step : order) text += fmt::format(" {}", static_cast<int>(step));
  return text;
}

void check_order(const std::vector<Step>& order) {
  constexpr std::uint64_t kHost = 0x4'0000;
  Players vms(kHost);
  Model model;
  for (const Step step : {Step::Publish, Step::Subscribe}) {
    ASSERT_EQ(vms.take(step), model.take(step));
  }
  for (const Step step : order) {
    const auto wanted = model.take(step);
    ASSERT_EQ(vms.take(step), wanted) << text(order);
    ASSERT_EQ(vms.channel_bytes(), model.bytes()) << text(order);
    // A mapping holds the frames of a channel that is in the table no more.
    ASSERT_EQ(vms.hypervisor.channels().size(), model.channels()) << text(order);
  }
  for (std::size_t vm = 0; vm < vms.hypervisor.vm_num(); ++vm) {
    if (vms.hypervisor.vm(vm).state() != VmState::Destroyed) {
      ASSERT_THAT(vms.hypervisor.destroy(vm), Succeeds()) << text(order);
    }
  }
  ASSERT_EQ(vms.host.frames().bytes_free(), kHost) << text(order);
  ASSERT_TRUE(vms.hypervisor.channels().empty()) << text(order);
}

std::size_t power(std::size_t base, std::size_t exponent) {
  std::size_t value = 1;
  while (exponent-- != 0) value *= base;
  return value;
}

// A shorter order is the beginning of a longer one, and the ledger is looked at after every step.
TEST(TheLedgerOfChannels, BalancesAfterAnyOrderOfSixEndings) {
  for (std::size_t number = 0; number < power(kEndings, 6); ++number) {
    check_order(order_of(number, kEndings, 6));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(TheLedgerOfChannels, BalancesAfterAnyOrderOfFourStepsOfAnyKind) {
  for (std::size_t number = 0; number < power(kSteps, 4); ++number) {
    check_order(order_of(number, kSteps, 4));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(Defects, N9_ASecondPublishLeavesTheFirstChannelAlone) {
  TwoVms vms;
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  ASSERT_EQ(vms.subscribe(1, 1, kKey), 0u);
  const GuestPhys at = vms.base(1);

  EXPECT_EQ(vms.publish(0, kKey, kSize), code(IvcError::Exists));

  EXPECT_EQ(vms.channel_bytes(), kSize);
  EXPECT_EQ(*vms.hypervisor.vm(1).read_from_guest_of<std::uint64_t>(at), 1u);
}

TEST(Defects, N10_ASecondUnpublishFreesNothingUnderSubscribers) {
  TwoVms vms;
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  ASSERT_EQ(vms.subscribe(1, 1, kKey), 0u);
  ASSERT_EQ(vms.unpublish(0, kKey), 0u);

  EXPECT_EQ(vms.unpublish(0, kKey), code(IvcError::NoChannel));

  EXPECT_EQ(vms.channel_bytes(), kSize);
  EXPECT_EQ(vms.host.frames().owner_of(*vms.hypervisor.vm(1).memory().translate(vms.base(1))),
            (FrameOwner{IvcChannels::kOwner, FrameUse::Shared}));
}

TEST(Defects, N11_ASecondSubscriptionMapsNothing) {
  TwoVms vms;
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  ASSERT_EQ(vms.subscribe(1, 1, kKey), 0u);
  const std::size_t regions = vms.hypervisor.vm(1).memory().regions().size();

  EXPECT_EQ(vms.subscribe(1, 1, kKey), code(IvcError::Exists));

  EXPECT_EQ(vms.hypervisor.vm(1).memory().regions().size(), regions);
  EXPECT_EQ(vms.unsubscribe(1, 1, kKey), 0u);
  EXPECT_EQ(vms.hypervisor.vm(1).memory().regions().size(), regions - 1);
}

TEST(Defects, N12_ARefusedOrEndedChannelGivesItsAddressesBack) {
  TwoVms vms;
  Vm& vm = vms.hypervisor.vm(0);
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(vms.publish(0, kKey, test::kIvcWindowSize), 0u);
    ASSERT_EQ(vms.publish(0, kKey + 1, 1), code(IvcError::NoMemory));
    ASSERT_EQ(vms.unpublish(0, kKey), 0u);
  }
  EXPECT_EQ(vm.ivc_window().bytes_used(), 0u);
  EXPECT_EQ(vm.memory().regions().size(), 1u);
}

TEST(Defects, N13_AChannelIsZeroedAndEndsWithItsVmWhoeverElseSeesIt) {
  TwoVms vms;
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  ASSERT_THAT(vms.hypervisor.vm(0).write_to_guest_of(vms.base(0).wrapping_add(64), ~0ull),
              Succeeds());
  ASSERT_EQ(vms.unpublish(0, kKey), 0u);
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  EXPECT_EQ(*vms.hypervisor.vm(0).read_from_guest_of<std::uint64_t>(vms.base(0).wrapping_add(64)),
            0u);
  ASSERT_EQ(vms.subscribe(1, 1, kKey), 0u);

  vms.host.clock().set_slice_end(kNever);
  vms.cpu(0).play({{exits::SystemDown{}}});
  ASSERT_EQ(vms.hypervisor.run({0, kBootVcpu}), AfterExit::Reschedule);

  EXPECT_EQ(vms.hypervisor.vm(0).memory().regions().size(), 1u) << "unmapped where it ended";
  EXPECT_EQ(vms.channel_bytes(), kSize) << "held where it is still seen";
  EXPECT_EQ(vms.notify(1, 1, kKey, 1), code(IvcError::NoParticipant));
  ASSERT_THAT(vms.hypervisor.destroy(1), Succeeds());
  EXPECT_EQ(vms.channel_bytes(), 0u);
}

TEST(TheLedgerOfChannels, HoldsFramesThatTheEmbedderUnmaps) {
  TwoVms vms;
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  ASSERT_EQ(vms.subscribe(1, 1, kKey), 0u);
  ASSERT_THAT(vms.hypervisor.vm(0).unmap_region(vms.base(0), 0x1000), Succeeds());
  ASSERT_THAT(vms.hypervisor.vm(1).unmap_region(vms.base(1), kSize), Succeeds());

  EXPECT_EQ(vms.channel_bytes(), kSize);
  EXPECT_EQ(vms.unsubscribe(1, 1, kKey), 0u);
  EXPECT_EQ(vms.unpublish(0, kKey), 0u);
  EXPECT_EQ(vms.channel_bytes(), 0u);
}

TEST(TheLedgerOfChannels, BalancesWhereTheEmbedderEndsAVmItself) {
  TwoVms vms;
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  ASSERT_THAT(vms.hypervisor.vm(0).shutdown(), Succeeds());
  ASSERT_THAT(vms.hypervisor.vm(0).destroy(), Succeeds());

  vms.hypervisor.wake();

  EXPECT_EQ(vms.channel_bytes(), 0u);
}

TEST(TheLedgerOfChannels, IsThatOfAVmAndNotOfItsId) {
  TwoVms vms;
  ASSERT_THAT(vms.hypervisor.destroy(0), Succeeds());
  const std::size_t again = vms.add(1);
  vms.hypervisor.boot_all();
  ASSERT_EQ(vms.publish(again, kKey, kSize), 0u);
  ASSERT_EQ(vms.subscribe(1, 1, kKey), 0u);

  vms.hypervisor.wake();

  EXPECT_EQ(vms.channel_bytes(), kSize);
  EXPECT_EQ(vms.hypervisor.vm(again).ivc_window().bytes_used(), kSize);
  EXPECT_EQ(vms.notify(1, 1, kKey, 1), 0u);
  EXPECT_EQ(vms.unpublish(again, kKey), 0u);
}

TEST(TheLedgerOfChannels, KeepsNothingOfAVmThatTheEmbedderDestroyedForTheNextOfItsId) {
  TwoVms vms;
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  ASSERT_EQ(vms.subscribe(1, 1, kKey), 0u);
  ASSERT_THAT(vms.hypervisor.vm(0).shutdown(), Succeeds());
  ASSERT_THAT(vms.hypervisor.vm(0).destroy(), Succeeds());

  const std::size_t again = vms.add(1);
  vms.hypervisor.boot_all();

  EXPECT_EQ(vms.unpublish(again, kKey), code(IvcError::NoChannel));
  EXPECT_EQ(vms.publish(again, kKey, kSize), 0u);
  EXPECT_EQ(vms.channel_bytes(), 2 * kSize) << "the subscriber still sees the old one";
  EXPECT_EQ(vms.unsubscribe(1, 1, kKey), 0u);
  EXPECT_EQ(vms.subscribe(1, 1, kKey), 0u);
  EXPECT_EQ(vms.channel_bytes(), kSize);
}

TEST(TheLedgerOfChannels, BalancesWhereTheHypervisorGoes) {
  TwoVms vms;
  ASSERT_EQ(vms.publish(0, kKey, kSize), 0u);
  ASSERT_EQ(vms.subscribe(1, 1, kKey), 0u);

  vms.hypervisor.~Hypervisor();
  new (&vms.hypervisor) Hypervisor();

  EXPECT_EQ(vms.host.frames().bytes_free(), vms.host.memory().size());
}

}  // namespace
}  // namespace retrap
