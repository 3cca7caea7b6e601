// Inter-VM channels, as guests use them: each call, each refusal, and whose frames they are.
#include "vmm/ivc.h"

#include <gmock/gmock.h>

#include "tests/support/hook_device.h"
#include "tests/support/matchers.h"
#include "tests/vmm/ivc_fixture.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::code;
using test::FailsSaying;
using test::FailsWith;
using test::kBaseSlot;
using test::kIvcLine;
using test::kIvcWindow;
using test::kIvcWindowSize;
using test::kSizeSlot;
using test::Succeeds;
using test::TwoVms;
using ::testing::HasSubstr;

constexpr std::uint64_t kKey = 0x1234'5678'9abc'def0;

class AChannel : public ::testing::Test, public TwoVms {
 protected:
  AChannel() {
    EXPECT_EQ(publish(0, kKey, 0x2001), 0u);
    EXPECT_EQ(subscribe(1, 1, kKey), 0u);
  }
};

TEST_F(AChannel, IsMappedInBothWindowsWithTheSizeInWholePages) {
  EXPECT_EQ(base(0), GuestPhys(kIvcWindow));
  EXPECT_EQ(word(0, kSizeSlot), 0x3000u);
  EXPECT_EQ(base(1), GuestPhys(kIvcWindow));
  EXPECT_EQ(word(1, kSizeSlot), 0x3000u);
  EXPECT_EQ(channel_bytes(), 0x3000u);
}

TEST_F(AChannel, CarriesItsNameAndZeroes) {
  for (const std::size_t vm : {std::size_t{0}, std::size_t{1}}) {
    EXPECT_EQ(*hypervisor.vm(vm).read_from_guest_of<std::uint64_t>(base(vm)), 1u);
    EXPECT_EQ(*hypervisor.vm(vm).read_from_guest_of<std::uint64_t>(base(vm).wrapping_add(8)), kKey);
    for (std::uint64_t at = 16; at < 0x3000; at += 8) {
      ASSERT_EQ(*hypervisor.vm(vm).read_from_guest_of<std::uint64_t>(base(vm).wrapping_add(at)),
                0u);
    }
  }
}

TEST_F(AChannel, ShowsEachWhatTheOtherWrites) {
  const std::uint64_t far = 0x2ff8;
  ASSERT_THAT(hypervisor.vm(0).write_to_guest_of(base(0).wrapping_add(far), std::uint64_t{77}),
              Succeeds());
  EXPECT_EQ(*hypervisor.vm(1).read_from_guest_of<std::uint64_t>(base(1).wrapping_add(far)), 77u);

  ASSERT_THAT(hypervisor.vm(1).write_to_guest_of(base(1).wrapping_add(far), std::uint64_t{88}),
              Succeeds());
  EXPECT_EQ(*hypervisor.vm(0).read_from_guest_of<std::uint64_t>(base(0).wrapping_add(far)), 88u);
}

TEST_F(AChannel, IsForSeveralSubscribers) {
  const std::size_t third = add(3);
  hypervisor.boot_all();
  EXPECT_EQ(subscribe(third, 1, kKey), 0u);
  EXPECT_EQ(channel_bytes(), 0x3000u);
}

TEST_F(AChannel, LivesOnForItsSubscribersWhereItsPublisherLeaves) {
  const GuestPhys at = base(0);
  EXPECT_EQ(unpublish(0, kKey), 0u);

  EXPECT_EQ(hypervisor.vm(0).memory().find(at), nullptr);
  EXPECT_THAT(hypervisor.vm(1).write_to_guest_of(base(1), std::uint64_t{1}), Succeeds());
  EXPECT_EQ(channel_bytes(), 0x3000u);
  EXPECT_EQ(unsubscribe(1, 1, kKey), 0u);
  EXPECT_EQ(channel_bytes(), 0u);
}

TEST_F(AChannel, NotifiesWhoTakesPart) {
  EXPECT_EQ(notify(0, 1, kKey, 2), 0u);
  EXPECT_TRUE(cpu(1).wakeup_pending());
  EXPECT_EQ(board(1).interrupts().lines(), 0u) << "an edge, and not a level";
  EXPECT_FALSE(cpu(0).wakeup_pending());

  EXPECT_EQ(notify(1, 1, kKey, 1), 0u);
  EXPECT_TRUE(cpu(0).wakeup_pending());
}

TEST_F(AChannel, EndsTheTurnOfWhoWakesSomebody) {
  host.clock().set_slice_end(kNever);
  cpu(1).play({{exits::Halt{}}});
  ASSERT_EQ(hypervisor.run({1, kBootVcpu}), AfterExit::Reschedule);
  cpu(0).play({{exits::Hypercall{7, {1, kKey, 2}}}, {.exit = exits::Nothing{}, .after = 2}});

  EXPECT_EQ(hypervisor.run({0, kBootVcpu}), AfterExit::Reschedule);

  EXPECT_EQ(cpu(0).runs(), 1u);
  hypervisor.wake();
  EXPECT_EQ(hypervisor.activity({1, kBootVcpu}), VcpuActivity::Runnable);
}

// Refusals. A negative errno of Linux; nothing has changed.

TEST_F(AChannel, IsPublishedOnce) {
  EXPECT_EQ(publish(0, kKey, 0x1000), code(IvcError::Exists));
  EXPECT_EQ(channel_bytes(), 0x3000u);
  EXPECT_EQ(hypervisor.vm(0).ivc_window().bytes_used(), 0x3000u);
}

TEST_F(AChannel, IsSubscribedToOnce) {
  EXPECT_EQ(subscribe(1, 1, kKey), code(IvcError::Exists));
  EXPECT_EQ(subscribe(0, 1, kKey), code(IvcError::Exists)) << "the publisher is in it";
  EXPECT_EQ(hypervisor.vm(1).ivc_window().bytes_used(), 0x3000u);
}

TEST_F(AChannel, IsLeftOnce) {
  EXPECT_EQ(unsubscribe(1, 1, kKey), 0u);
  EXPECT_EQ(unsubscribe(1, 1, kKey), code(IvcError::NoParticipant));
  EXPECT_EQ(unpublish(0, kKey), 0u);
  EXPECT_EQ(unpublish(0, kKey), code(IvcError::NoChannel));
  EXPECT_EQ(unsubscribe(1, 1, kKey), code(IvcError::NoChannel));
}

TEST_F(AChannel, IsNotLeftByItsPublisherAsASubscriber) {
  EXPECT_EQ(unsubscribe(0, 1, kKey), code(IvcError::NoParticipant));
  EXPECT_EQ(unpublish(1, kKey), code(IvcError::NoChannel)) << "it is not the subscriber's";
}

TEST_F(AChannel, IsKnownByItsWholeName) {
  EXPECT_EQ(subscribe(1, 1, kKey + 1), code(IvcError::NoChannel));
  EXPECT_EQ(subscribe(1, 2, kKey), code(IvcError::NoChannel));
  EXPECT_EQ(subscribe(1, (std::uint64_t{1} << 32) + 1, kKey), code(IvcError::NoChannel));
}

TEST_F(AChannel, TakesNoSubscribersOnceItIsUnpublished) {
  EXPECT_EQ(unpublish(0, kKey), 0u);
  const std::size_t third = add(3);
  hypervisor.boot_all();
  EXPECT_EQ(subscribe(third, 1, kKey), code(IvcError::NoChannel));
}

TEST_F(AChannel, MakesRoomForANewOneOfTheSameName) {
  EXPECT_EQ(unpublish(0, kKey), 0u);
  EXPECT_EQ(publish(0, kKey, 0x1000), 0u);
  EXPECT_EQ(channel_bytes(), 0x4000u);

  EXPECT_EQ(subscribe(1, 1, kKey), code(IvcError::Exists)) << "it has not left the old one";
  EXPECT_EQ(unsubscribe(1, 1, kKey), 0u);
  EXPECT_EQ(subscribe(1, 1, kKey), 0u);
  EXPECT_EQ(word(1, kSizeSlot), 0x1000u);
  EXPECT_EQ(channel_bytes(), 0x1000u);
}

TEST_F(AChannel, NotifiesNobodyOutside) {
  const std::size_t third = add(3);
  hypervisor.boot_all();
  EXPECT_EQ(notify(0, 1, kKey, 3), code(IvcError::NoParticipant));
  EXPECT_EQ(notify(0, 1, kKey, 99), code(IvcError::NoParticipant));
  EXPECT_EQ(notify(third, 1, kKey, 1), code(IvcError::NoParticipant));
  EXPECT_EQ(notify(0, 1, kKey + 1, 2), code(IvcError::NoChannel));
  EXPECT_FALSE(cpu(1).wakeup_pending());
}

TEST_F(AChannel, NotifiesNobodyWhoEndedWhileTheCallerRan) {
  constexpr GuestPhys kHook{0x2000'0000};
  auto owned = std::make_unique<test::HookDevice>();
  test::HookDevice& hook = *owned;
  ASSERT_THAT(hypervisor.vm(0).add_mmio_device(kHook, std::move(owned)), Succeeds());
  for (const bool destroys : {false, true}) {
    SCOPED_TRACE(destroys);
    const std::uint32_t id = destroys ? 11 : 10;
    Vm& target = hypervisor.vm(add(id));
    hypervisor.boot_all();
    ASSERT_EQ(subscribe(hypervisor.vm_num() - 1, 1, kKey), 0u);
    hook.on_write = [&] {
      EXPECT_THAT(target.shutdown(), Succeeds());
      if (destroys) {
        EXPECT_THAT(target.destroy(), Succeeds());
      }
    };
    cpu(0).play({{exits::NestedPageFault{kHook, MappingFlags::Write},
                  0,
                  {exits::MmioWrite{kHook, Width::Word, 1}}},
                 {exits::Hypercall{7, {1, kKey, id}}},
                 {.exit = exits::Nothing{}, .after = 2}});
    host.clock().set_slice_end(host.clock().retired() + 3);

    (void)hypervisor.run({0, kBootVcpu});

    EXPECT_THAT(
        cpu(0).answers(),
        ::testing::Contains(scripted::Answer(scripted::Returned{code(IvcError::NoParticipant)})));
    hypervisor.wake();
    EXPECT_EQ(unsubscribe(1, 1, kKey), 0u);
    EXPECT_EQ(subscribe(1, 1, kKey), 0u) << "the others go on";
  }
}

TEST_F(AChannel, SaysWhereTheTargetHasNoInterrupt) {
  VmConfig quiet = config(3);
  quiet.emu_devices.front().cfg_list.clear();
  const std::size_t third = add(std::move(quiet));
  VmConfig masked = config(4);
  masked.interrupt_mode = InterruptMode::NoIrq;
  const std::size_t fourth = add(std::move(masked));
  hypervisor.boot_all();
  ASSERT_EQ(subscribe(third, 1, kKey), 0u);
  ASSERT_EQ(subscribe(fourth, 1, kKey), 0u);

  EXPECT_EQ(notify(0, 1, kKey, 3), code(IvcError::NoLine));
  EXPECT_EQ(notify(0, 1, kKey, 4), code(IvcError::NoLine));
}

class AGuestWithChannels : public ::testing::Test, public TwoVms {};

TEST_F(AGuestWithChannels, AsksForASize) {
  EXPECT_EQ(publish(0, kKey, 0), code(IvcError::InvalidInput));
  EXPECT_EQ(publish(0, kKey, kIvcWindowSize + 1), code(IvcError::NoMemory));
  EXPECT_EQ(publish(0, kKey, ~std::uint64_t{0}), code(IvcError::NoMemory));
  EXPECT_EQ(channel_bytes(), 0u);
}

TEST_F(AGuestWithChannels, GetsNoMoreThanItsWindow) {
  ASSERT_EQ(publish(0, 1, 0xf000), 0u);
  EXPECT_EQ(publish(0, 2, 0x1001), code(IvcError::NoMemory));
  EXPECT_EQ(publish(0, 2, 0x1000), 0u);
  EXPECT_EQ(publish(0, 3, 1), code(IvcError::NoMemory));
  EXPECT_EQ(channel_bytes(), kIvcWindowSize);
  // A subscriber's window is its own.
  ASSERT_EQ(publish(1, 1, 0x2000), 0u);
  EXPECT_EQ(subscribe(1, 1, 1), code(IvcError::NoMemory));
  EXPECT_EQ(subscribe(1, 1, 2), 0u);
}

TEST_F(AGuestWithChannels, IsRefusedWhereTheHostIsFull) {
  const auto rest = host.frames().bytes_free();
  const auto hog = host.frames().allocate(rest - 0x1000, 0x1000, {VmId{9}, FrameUse::GuestRam});
  ASSERT_THAT(hog, Succeeds());
  const auto free = host.frames().bytes_free();

  EXPECT_EQ(publish(0, kKey, 0x2000), code(IvcError::NoMemory));
  EXPECT_EQ(publish(0, kKey, 0x1000), code(IvcError::NoMemory)) << "no frame for the tables";

  EXPECT_EQ(host.frames().bytes_free(), free);
  EXPECT_EQ(hypervisor.vm(0).ivc_window().bytes_used(), 0u);
}

TEST_F(AGuestWithChannels, GivesSlotsThatItMayWrite) {
  const std::uint64_t end = 0x4000'4000;
  ASSERT_THAT(hypervisor.vm(0).grow_memory(0x5000'0000_gpa, 0x1000, MappingFlags::Read),
              Succeeds());
  ASSERT_THAT(hypervisor.vm(0).write_to_guest_of(GuestPhys(kSizeSlot), std::uint64_t{0x1000}),
              Succeeds());
  for (const std::uint64_t bad : {std::uint64_t{0}, end, end - 7, std::uint64_t{0x5000'0000},
                                  ~std::uint64_t{0}, ~std::uint64_t{0} - 7, kIvcWindow}) {
    EXPECT_EQ(call(0, 3, {kKey, bad, kSizeSlot}), code(IvcError::BadAddress)) << std::hex << bad;
    EXPECT_EQ(call(0, 3, {kKey, kBaseSlot, bad}), code(IvcError::BadAddress)) << std::hex << bad;
    EXPECT_EQ(call(0, 4, {2, kKey, bad, kSizeSlot}), code(IvcError::BadAddress)) << std::hex << bad;
    EXPECT_EQ(call(0, 4, {2, kKey, kBaseSlot, bad}), code(IvcError::BadAddress)) << std::hex << bad;
  }
  EXPECT_EQ(channel_bytes(), 0u);
  EXPECT_EQ(call(0, 3, {kKey, end - 8, kSizeSlot}), 0u);
}

TEST_F(AGuestWithChannels, TakesSlotsAcrossPages) {
  ASSERT_THAT(hypervisor.vm(0).write_to_guest_of(0x4000'1ffc_gpa, std::uint64_t{0x1000}),
              Succeeds());
  EXPECT_EQ(call(0, 3, {kKey, 0x4000'0ffd, 0x4000'1ffc}), 0u);
  EXPECT_EQ(*hypervisor.vm(0).read_from_guest_of<std::uint64_t>(0x4000'0ffd_gpa), kIvcWindow);
}

TEST_F(AGuestWithChannels, NeedsAnIvcDevice) {
  VmConfig plain = config(3);
  plain.emu_devices.clear();
  const std::size_t third = add(std::move(plain));
  hypervisor.boot_all();
  ASSERT_EQ(publish(0, kKey, 0x1000), 0u);

  EXPECT_EQ(publish(third, 1, 0x1000), code(IvcError::InvalidInput));
  EXPECT_EQ(subscribe(third, 1, kKey), code(IvcError::InvalidInput));
}

TEST_F(AGuestWithChannels, IsToldThatOtherNumbersDoNotExist) {
  constexpr std::uint64_t kUnknown = scripted::ScriptedVcpu::kNotSupported;
  for (const unsigned number : {0u, 1u, 2u, 8u, 9u, 1000u})
    EXPECT_EQ(call(0, number, {}), kUnknown);
  // Numbers have 32 bits, as axvm has it.
  EXPECT_EQ(call(0, (std::uint64_t{1} << 32) + 5, {kKey}), code(IvcError::NoChannel));
}

// The embedder's side: the seed's calls.

TEST_F(AGuestWithChannels, HasAWindowThatTheEmbedderAllocatesFrom) {
  Vm& vm = hypervisor.vm(0);
  const auto first = vm.alloc_ivc_channel(1);
  ASSERT_THAT(first, Succeeds());
  EXPECT_EQ(first->base(), GuestPhys(kIvcWindow));
  EXPECT_EQ(first->size(), 0x1000u);
  const auto second = *vm.alloc_ivc_channel(0x2000);
  const auto third = *vm.alloc_ivc_channel(0x1000);
  const auto fourth = *vm.alloc_ivc_channel(0x1000);
  ASSERT_THAT(vm.release_ivc_channel(second.base(), 0x2000), Succeeds());
  ASSERT_THAT(vm.release_ivc_channel(first->base(), 1), Succeeds());
  // Now a gap of three pages before the third, and a large one behind the fourth.
  EXPECT_EQ(vm.alloc_ivc_channel(0x3000)->base(), GuestPhys(kIvcWindow)) << "the tightest place";
  EXPECT_EQ(vm.alloc_ivc_channel(0x1000)->base(), fourth.base().wrapping_add(0x1000));

  EXPECT_THAT(vm.release_ivc_channel(third.base(), 0x2000), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.release_ivc_channel(second.base(), 0x2000), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.alloc_ivc_channel(0), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.alloc_ivc_channel(~std::uint64_t{0}), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.alloc_ivc_channel(kIvcWindowSize), FailsWith(ErrorCode::NoMemory));
  EXPECT_EQ(vm.memory().find(GuestPhys(kIvcWindow)), nullptr) << "nothing is mapped by it";
}

TEST(Defects, D5_AChannelIsGivenBackOnceAndAsItWas) {
  TwoVms vms;
  Vm& vm = vms.hypervisor.vm(0);
  const auto range = *vm.alloc_ivc_channel(0x1000);

  EXPECT_THAT(vm.release_ivc_channel(range.base(), ~std::uint64_t{0}),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.release_ivc_channel(GuestPhys(~std::uint64_t{0}), 0x1000),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.release_ivc_channel(range.base(), 0x1000), Succeeds());
  EXPECT_THAT(vm.release_ivc_channel(range.base(), 0x1000), FailsWith(ErrorCode::InvalidInput));
}

TEST_F(AGuestWithChannels, KeepsItsWindowFreeOfOtherThings) {
  Vm& vm = hypervisor.vm(0);
  EXPECT_THAT(vm.grow_memory(GuestPhys(kIvcWindow), 0x1000),
              FailsSaying(ErrorCode::AlreadyExists, "the ivc window"));
  EXPECT_THAT(vm.add_mmio_device(GuestPhys(kIvcWindow + 8), std::make_unique<test::ProbeDevice>(4)),
              FailsSaying(ErrorCode::AlreadyExists, "the ivc window"));
}

TEST(AnIvcDevice, IsCheckedBeforeAnythingIsBuilt) {
  const test::ScriptedHost host;
  const auto problems_with = [&](std::uint64_t base, std::uint64_t length, std::uint64_t line = 5,
                                 std::size_t count = 1) {
    VmConfig config = host.config();
    for (std::size_t i = 0; i < count; ++i) {
      config.emu_devices.push_back({.name = "ivc",
                                    .base_gpa = base + i * 0x10'0000,
                                    .length = length,
                                    .irq_id = 0,
                                    .emu_type = EmuDeviceType::IvcChannel,
                                    .cfg_list = {line}});
    }
    return fmt::format("{}", fmt::join(problems_of(config), "\n"));
  };
  EXPECT_EQ(problems_with(kIvcWindow, 0x1000), "");
  EXPECT_THAT(problems_with(kIvcWindow + 1, 0x1000), HasSubstr("multiples"));
  EXPECT_THAT(problems_with(kIvcWindow, 0x10), HasSubstr("multiples"));
  EXPECT_THAT(problems_with(kIvcWindow, 0), HasSubstr("length 0"));
  EXPECT_THAT(problems_with(0x4000'0000, 0x1000), HasSubstr("overlaps"));
  EXPECT_THAT(problems_with(kIvcWindow, 0x1000, 5, 2), HasSubstr("second"));
  EXPECT_THAT(problems_with(kIvcWindow, 0x1000, std::uint64_t{1} << 40),
              HasSubstr("no interrupt line"));
}

TEST(AnIvcDevice, HasItsLineAlone) {
  TwoVms vms;
  Vm& vm = vms.hypervisor.vm(0);
  const auto plug = [&](std::uint32_t line) {
    return vm.add_mmio_device(0x2000'0000_gpa, std::make_unique<test::ProbeDevice>(4), line);
  };
  EXPECT_THAT(plug(kIvcLine), FailsSaying(ErrorCode::AlreadyExists,
                                          "probe wants interrupt line 5, which the ivc device"));
  EXPECT_THAT(plug(kIvcLine + 1), Succeeds());
  ASSERT_THAT(vm.reset(), Succeeds());
  EXPECT_TRUE(vm.mmio().covers(0x2000'0000, 1)) << "both have their lines again";
}

TEST(AnIvcDevice, IsRefusedALineThatIsNotThere) {
  TwoVms vms;
  VmConfig config = vms.config(3);
  config.emu_devices.front().cfg_list = {64};
  test::ConsoleText console;
  EXPECT_THAT(Vm::create(config, vms.host, console),
              FailsSaying(ErrorCode::InvalidInput, "line 64"));
  config.emu_devices.front().cfg_list.clear();
  config.emu_devices.front().irq_id = 7;
  EXPECT_THAT(Vm::create(config, vms.host, console), Succeeds());
}

}  // namespace
}  // namespace retrap
