// What a configuration passes through: windows with holes, host devices with their interrupts.
#include "vmm/passthrough.h"

#include <gmock/gmock.h>

#include "tests/support/matchers.h"
#include "tests/support/scripted_vm.h"
#include "vmm/config_check.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::ProbeDevice;
using test::ScriptedHost;
using test::ScriptedVm;
using test::Succeeds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr HostPhys kHostPage{0x1'0080'0000};
constexpr HostPhys kTimerAt{0x0a00'0000};
constexpr GuestPhys kGuestTimer{0x2000'0000};

/// A VM whose host has a "timer" of 16 bytes at kTimerAt, and one that is not passed through yet.
class APassthrough : public ::testing::Test {
 protected:
  APassthrough() {
    auto timer = std::make_unique<ProbeDevice>(16, "timer");
    timer_ = timer.get();
    EXPECT_THAT(host_.host_devices()->add(kTimerAt, std::move(timer)), Succeeds());
    config_ = host_.config();
    config_.passthrough_devices.push_back({.name = "timer",
                                           .base_gpa = kGuestTimer.raw(),
                                           .base_hpa = kTimerAt.raw(),
                                           .length = 0x1000,
                                           .irq_id = 7});
  }

  [[nodiscard]] Result<std::unique_ptr<Vm>> create(std::uint32_t id = 1) {
    config_.id = id;
    return Vm::create(config_, host_, console_);
  }
  [[nodiscard]] static std::uint64_t lines(Vm& vm) {
    return dynamic_cast<scripted::ScriptedBoard&>(vm.board()).interrupts().lines();
  }

  ScriptedHost host_;
  test::ConsoleText console_;
  ProbeDevice* timer_;
  VmConfig config_;
};

TEST_F(APassthrough, GivesTheDeviceAtItsHostAddress) {
  timer_->value = 99;
  const auto vm = create();
  ASSERT_THAT(vm, Succeeds());
  EXPECT_EQ(timer_->value, 0u) << "reset: nothing of its last owner";

  timer_->value = 42;
  EXPECT_EQ((*vm)->mmio().read(kGuestTimer.raw() + 4, Width::Word, kBootVcpu), 42u);
  EXPECT_TRUE((*vm)->mmio().write(kGuestTimer.raw() + 8, Width::Word, 7, kBootVcpu));
  EXPECT_EQ(timer_->last.offset, 8u);
  EXPECT_EQ((*vm)->memory().find(kGuestTimer), nullptr) << "a device is no memory";
  EXPECT_FALSE((*vm)->mmio().covers(kGuestTimer.raw() + 16, 1)) << "nothing is behind it";
}

TEST_F(APassthrough, KeepsTheDistanceBetweenDevices) {
  auto other = std::make_unique<ProbeDevice>(8, "other");
  ASSERT_THAT(host_.host_devices()->add(kTimerAt.wrapping_add(0x800), std::move(other)),
              Succeeds());
  const auto vm = create();
  ASSERT_THAT(vm, Succeeds());
  EXPECT_EQ((*vm)->mmio().first_in(kGuestTimer.raw() + 0x800, 1)->name(), "other");
}

TEST_F(APassthrough, RoutesTheInterruptOnlyInModePassthrough) {
  for (const auto mode :
       {InterruptMode::NoIrq, InterruptMode::Emulated, InterruptMode::Passthrough}) {
    config_.interrupt_mode = mode;
    const auto vm = create();
    ASSERT_THAT(vm, Succeeds());
    timer_->level = true;
    (*vm)->mmio().sample(*timer_);
    EXPECT_EQ(lines(**vm), mode == InterruptMode::Passthrough ? 1u << 7 : 0u);
    timer_->level = false;
  }
}

TEST_F(APassthrough, WiresNoDeviceInModeNoIrq) {
  config_.interrupt_mode = InterruptMode::NoIrq;
  const auto vm = create();
  auto probe = std::make_unique<ProbeDevice>(8);
  probe->level = true;
  ASSERT_THAT((*vm)->add_mmio_device(0x3000'0000_gpa, std::move(probe), 3), Succeeds());
  EXPECT_EQ(lines(**vm), 0u);
}

TEST_F(APassthrough, GivesADeviceToOneVmAtATime) {
  auto first = create(1);
  ASSERT_THAT(first, Succeeds());
  EXPECT_THAT(create(2), FailsSaying(ErrorCode::PermissionDenied,
                                     "passthrough device timer: the host device timer belongs to "
                                     "vm 1"));
  ASSERT_THAT((*first)->destroy(), Succeeds());
  const auto second = create(2);
  EXPECT_THAT(second, Succeeds());
}

TEST_F(APassthrough, IsNotTakenByAVmOfTheSameId) {
  const auto first = create(1);
  timer_->value = 5;
  EXPECT_THAT(create(1), FailsSaying(ErrorCode::AlreadyExists, "there is a vm 1 already"));
  EXPECT_EQ(timer_->value, 5u);
  EXPECT_THAT(create(2), FailsWith(ErrorCode::PermissionDenied)) << "it is still the first one's";
}

TEST_F(APassthrough, IsThereAgainAfterAReset) {
  const auto vm = create();
  timer_->value = 5;
  ASSERT_THAT((*vm)->reset(), Succeeds());
  EXPECT_EQ(timer_->value, 0u);
  EXPECT_TRUE((*vm)->mmio().covers(kGuestTimer.raw(), 16));
}

TEST_F(APassthrough, RefusesToCutADeviceInTwo) {
  config_.passthrough_devices.front().length = 8;
  EXPECT_THAT(create(), FailsSaying(ErrorCode::InvalidInput, "cuts the host device timer"));
}

TEST_F(APassthrough, NamesTheLineThatIsNotThere) {
  config_.interrupt_mode = InterruptMode::Passthrough;
  config_.passthrough_devices.front().irq_id = 64;
  EXPECT_THAT(create(), FailsSaying(ErrorCode::InvalidInput, "timer wants interrupt line 64"));
  EXPECT_EQ(host_.frames().bytes_free(), host_.memory().size());
}

TEST_F(APassthrough, NamesWhoHasItsLine) {
  config_.interrupt_mode = InterruptMode::Passthrough;
  config_.emu_devices.push_back({.name = "ivc",
                                 .base_gpa = 0x6000'0000,
                                 .length = 0x1000,
                                 .irq_id = 7,
                                 .emu_type = EmuDeviceType::IvcChannel,
                                 .cfg_list = {}});
  EXPECT_THAT(create(), FailsSaying(ErrorCode::AlreadyExists,
                                    "the ivc device wants interrupt line 7, which timer has"));
  config_.interrupt_mode = InterruptMode::Emulated;
  EXPECT_THAT(create(), Succeeds()) << "the timer is not wired";
}

TEST_F(APassthrough, GivesALineToOneDeviceOfAWindow) {
  config_.interrupt_mode = InterruptMode::Passthrough;
  auto other = std::make_unique<ProbeDevice>(8, "other");
  ASSERT_THAT(host_.host_devices()->add(kTimerAt.wrapping_add(0x800), std::move(other)),
              Succeeds());
  EXPECT_THAT(create(), FailsSaying(ErrorCode::AlreadyExists,
                                    "passthrough device timer: other wants interrupt line 7, which "
                                    "timer has"));
}

TEST(AConfiguration, HasOnlyInterruptNumbersOfItsController) {
  const auto problems_with = [](std::uint32_t irq) {
    VmConfig config;
    config.passthrough_devices = {{.name = "window", .length = 0x1000, .irq_id = irq}};
    config.emu_devices = {{.name = "dummy", .irq_id = irq, .cfg_list = {}}};
    std::vector<std::string> problems;
    check_interrupt_numbers(config, 24, problems);
    return problems;
  };
  EXPECT_THAT(problems_with(23), ::testing::IsEmpty());
  EXPECT_THAT(problems_with(9999),
              ::testing::ElementsAre(
                  "devices.emu_devices[0]: dummy has interrupt line 9999; x86_64 has 0 to 23",
                  "devices.passthrough_devices[0]: window has interrupt line 9999; x86_64 has 0 to "
                  "23"));
}

TEST(AHostDevice, IsWhereNoOtherIs) {
  HostDevices devices;
  ASSERT_THAT(devices.add(kTimerAt, std::make_unique<ProbeDevice>(16, "timer")), Succeeds());
  EXPECT_THAT(devices.add(kTimerAt.wrapping_add(15), std::make_unique<ProbeDevice>(4, "late")),
              FailsSaying(ErrorCode::AlreadyExists, "late"));
  EXPECT_THAT(devices.add(kTimerAt, std::make_unique<ProbeDevice>(0)),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(devices.add(HostPhys(~std::uint64_t{0}), std::make_unique<ProbeDevice>(2)),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_EQ(devices.entries().size(), 1u);
}

// Windows of memory.

/// A VM with an emulated device in the second of four pages that are passed through.
class AWindow : public ::testing::Test {
 protected:
  AWindow() {
    guest_.plug(kWindow.wrapping_add(0x1100), 8);
    config_ = guest_.host.config();
    config_.passthrough_devices.push_back({.name = "frame buffer",
                                           .base_gpa = kWindow.raw(),
                                           .base_hpa = kHostPage.raw(),
                                           .length = 0x4000});
  }
  [[nodiscard]] Result<> pass() {
    return pass_through(config_, {.memory = guest_.vm->memory(),
                                  .mmio = guest_.vm->mmio(),
                                  .interrupts = guest_.vm->board().interrupts(),
                                  .devices = nullptr});
  }

  [[nodiscard]] ConfigFindings examined() {
    ConfigFindings findings;
    examine_windows(config_,
                    {.mmio = guest_.vm->mmio(),
                     .interrupts = guest_.vm->board().interrupts(),
                     .devices = nullptr,
                     .address_bits = 48},
                    findings);
    return findings;
  }

  static constexpr GuestPhys kWindow{0x9000'0000};
  ScriptedVm guest_;
  VmConfig config_;
};

TEST_F(AWindow, HasAHoleForAnEmulatedDevice) {
  ASSERT_THAT(pass(), Succeeds());
  AddressSpace& memory = guest_.vm->memory();
  EXPECT_EQ(memory.translate(kWindow), kHostPage);
  EXPECT_EQ(memory.find(kWindow.wrapping_add(0x1000)), nullptr);
  EXPECT_EQ(memory.translate(kWindow.wrapping_add(0x2000)), kHostPage.wrapping_add(0x2000));
  EXPECT_EQ(memory.translate(kWindow.wrapping_add(0x3fff)), kHostPage.wrapping_add(0x3fff));
  EXPECT_EQ(memory.regions().size(), 3u);
}

TEST_F(AWindow, IsThereAlreadyWhereEmulatedDevicesHaveAllOfIt) {
  config_.passthrough_devices.front().base_gpa += 0x1000;
  config_.passthrough_devices.front().length = 0x1000;
  ASSERT_THAT(pass(), Succeeds());
  EXPECT_EQ(guest_.vm->memory().find(kWindow.wrapping_add(0x1000)), nullptr);

  const ConfigFindings findings = examined();
  EXPECT_THAT(findings.problems, IsEmpty());
  ASSERT_EQ(findings.notes.size(), 1u);
  EXPECT_EQ(findings.notes.front().key, "devices.passthrough_devices[0]");
  EXPECT_EQ(findings.notes.front().text,
            "passthrough device frame buffer at 0x90001000 + 0x1000 is the board's probe, which "
            "the guest has already");
}

TEST_F(AWindow, IsThereAlreadyInsideAnEmulatedDevice) {
  guest_.plug(GuestPhys(0xa000'0000), 0x4'0000);
  config_.passthrough_devices.front().base_gpa = 0xa000'0000;
  ASSERT_THAT(pass(), Succeeds());
  EXPECT_EQ(examined().notes.size(), 1u);
}

TEST_F(AWindow, IsRefusedInThePageOfAnEmulatedDeviceThatItDoesNotAskFor) {
  config_.passthrough_devices.front().base_gpa += 0x1200;
  config_.passthrough_devices.front().base_hpa += 0x1200;
  config_.passthrough_devices.front().length = 0x100;
  EXPECT_THAT(pass(), FailsSaying(ErrorCode::AlreadyExists, "probe leaves nothing of it"));
  ASSERT_EQ(examined().problems.size(), 1u);
  EXPECT_THAT(examined().problems.front().text, HasSubstr("probe leaves nothing of it"));
}

TEST_F(AWindow, OfMostAddressesIsRefusedAtOnce) {
  config_.passthrough_devices.front().length = std::uint64_t{1} << 62;
  EXPECT_THAT(pass(), FailsSaying(ErrorCode::InvalidInput, "devices.passthrough_devices[0]: gpa:"));
  ASSERT_EQ(examined().problems.size(), 1u);
  EXPECT_THAT(examined().problems.front().text, HasSubstr("is beyond the 48 bits"));
}

TEST_F(AWindow, IsNamedOnceWhereItIsRefused) {
  config_.passthrough_devices.clear();
  config_.passthrough_addresses = {{.base_gpa = kWindow.raw() - 0x1000, .length = 0x1000}};
  const auto passed = pass();
  ASSERT_FALSE(passed.has_value());
  EXPECT_EQ(passed.error().message.find("passthrough window"),
            passed.error().message.rfind("passthrough window"))
      << passed.error().message;
}

TEST_F(AWindow, OfTheWholeTreeIsTheBoard) {
  config_.passthrough_devices = {{.name = "/"}};
  ASSERT_THAT(pass(), Succeeds());
  EXPECT_THAT(problems_of(config_), IsEmpty());
  EXPECT_THAT(examined().problems, IsEmpty());
  ASSERT_EQ(examined().notes.size(), 1u);
  EXPECT_THAT(examined().notes.front().text, HasSubstr("every device of the board"));
}

TEST_F(AWindow, CutsNoEmulatedDeviceInTwo) {
  guest_.plug(kWindow.wrapping_add(0x3ff8), 16);
  EXPECT_THAT(pass(), FailsSaying(ErrorCode::AlreadyExists, "frame buffer cuts the emulated"));
}

TEST_F(AWindow, NamesTheMemoryInItsWay) {
  ASSERT_THAT(guest_.vm->grow_memory(kWindow.wrapping_add(0x3000), 0x1000), Succeeds());
  const auto passed = pass();
  ASSERT_THAT(passed, FailsWith(ErrorCode::AlreadyExists));
  EXPECT_THAT(passed.error().message, HasSubstr("frame buffer"));
  EXPECT_THAT(passed.error().message, HasSubstr("more ram"));
}

TEST(AConfiguration, MayHaveAnEmulatedDeviceInsideAWindow) {
  const ScriptedHost host;
  VmConfig config = host.config();
  config.emu_devices.push_back({.name = "uart",
                                .base_gpa = 0x9000'1000,
                                .length = 0x100,
                                .irq_id = 0,
                                .emu_type = EmuDeviceType::Console,
                                .cfg_list = {}});
  config.passthrough_devices.push_back(
      {.name = "io", .base_gpa = 0x9000'0000, .base_hpa = 0x1'0080'0000, .length = 0x4000});
  EXPECT_THAT(problems_of(config), IsEmpty());

  config.emu_devices.front().base_gpa = 0x9000'3f80;
  ASSERT_EQ(problems_of(config).size(), 1u);
  EXPECT_THAT(problems_of(config).front(), HasSubstr("overlaps"));
}

}  // namespace
}  // namespace retrap
