// Buses: which device gets an access, what nobody answers, lines and deadlines.
#include "vmm/bus.h"

#include <gmock/gmock.h>

#include <array>

#include "sim/scripted/scripted_board.h"
#include "tests/support/matchers.h"
#include "tests/support/scripted_host.h"

namespace retrap {
namespace {

using test::FailsSaying;
using test::FailsWith;
using test::ProbeDevice;
using test::Succeeds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ABus : public ::testing::Test {
 public:
  ABus() { vcpus_.push_back(std::make_unique<scripted::ScriptedVcpu>(clock_)); }

  ProbeDevice& plug(std::uint64_t base, std::uint64_t size, std::uint32_t line = Bus::kNoLine) {
    auto device = std::make_unique<ProbeDevice>(size);
    ProbeDevice& raw = *device;
    EXPECT_THAT(bus_.add(base, std::move(device), line, &interrupts_), Succeeds());
    return raw;
  }

  Clock clock_;
  std::vector<std::unique_ptr<scripted::ScriptedVcpu>> vcpus_;
  scripted::ScriptedInterrupts interrupts_{vcpus_};
  Bus bus_{"mmio", clock_};
};

TEST_F(ABus, GivesAnAccessToItsDevice) {
  ProbeDevice& low = plug(0x1000, 0x100);
  ProbeDevice& high = plug(0x1100, 0x100);
  high.value = 0x1122'3344'5566'7788;
  clock_.retire_to(5);

  EXPECT_EQ(bus_.read(0x1108, Width::Half, VcpuId{3}), 0x7788u);
  EXPECT_TRUE(bus_.write(0x10ff, Width::Byte, 0xfff, VcpuId{1}));

  EXPECT_EQ(high.last.offset, 8u);
  EXPECT_EQ(high.last.width, Width::Half);
  EXPECT_EQ(high.last.vcpu, VcpuId{3});
  EXPECT_EQ(high.last.now_ns, 5u);
  EXPECT_EQ(low.last.offset, 0xffu);
  EXPECT_EQ(low.value, 0xffu) << "nothing above the width reaches a device";
}

TEST_F(ABus, SaysWhereNoDeviceIs) {
  plug(0x1000, 0x100);

  EXPECT_EQ(bus_.read(0xfff, Width::Byte, kBootVcpu), std::nullopt);
  EXPECT_EQ(bus_.read(0x1100, Width::Byte, kBootVcpu), std::nullopt);
  EXPECT_FALSE(bus_.write(~std::uint64_t{0}, Width::Double, 0, kBootVcpu));
  EXPECT_FALSE(bus_.covers(0, 0x1000));
  EXPECT_TRUE(bus_.covers(0, 0x1001));
  EXPECT_TRUE(bus_.covers(0x10ff, ~std::uint64_t{0}));
  EXPECT_FALSE(bus_.covers(0x1000, 0));
}

TEST_F(ABus, CountsWhatNoRegisterAnswers) {
  ProbeDevice& device = plug(0x1000, 0x100);
  for (const IoError error :
       {IoError::NoRegister, IoError::BadWidth, IoError::ReadOnly, IoError::WriteOnly}) {
    device.error = error;
    device.value = 0xffff;
    EXPECT_EQ(bus_.read(0x1000, Width::Word, kBootVcpu), 0u);
    EXPECT_TRUE(bus_.write(0x1000, Width::Word, 1, kBootVcpu));
  }

  EXPECT_EQ(bus_.counters().unknown_register, 2u);
  EXPECT_EQ(bus_.counters().bad_width, 2u);
  EXPECT_EQ(bus_.counters().read_only, 2u);
  EXPECT_EQ(bus_.counters().write_only, 2u);
}

TEST_F(ABus, RefusesDevicesThatShareAnAddress) {
  plug(0x1000, 0x100);

  EXPECT_THAT(bus_.add(0x10ff, std::make_unique<ProbeDevice>(1)),
              FailsSaying(ErrorCode::AlreadyExists, "probe"));
  EXPECT_THAT(bus_.add(0xf00, std::make_unique<ProbeDevice>(0x101)),
              FailsWith(ErrorCode::AlreadyExists));
  EXPECT_THAT(bus_.add(0xf00, std::make_unique<ProbeDevice>(0x100)), Succeeds());
  EXPECT_THAT(bus_.add(0x1100, std::make_unique<ProbeDevice>(0x100)), Succeeds());
}

TEST_F(ABus, RefusesRangesThatAreNone) {
  EXPECT_THAT(bus_.add(0, std::make_unique<ProbeDevice>(0)), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(bus_.add(~std::uint64_t{0}, std::make_unique<ProbeDevice>(2)),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(bus_.add(~std::uint64_t{0}, std::make_unique<ProbeDevice>(1)), Succeeds());
}

TEST_F(ABus, RefusesALineThatNobodyHas) {
  EXPECT_THAT(bus_.add(0, std::make_unique<ProbeDevice>(1), 64, &interrupts_),
              FailsSaying(ErrorCode::InvalidInput, "64"));
  EXPECT_THAT(bus_.add(0, std::make_unique<ProbeDevice>(1), 5, nullptr),
              FailsWith(ErrorCode::InvalidInput));
  EXPECT_FALSE(bus_.covers(0, 1));
}

TEST_F(ABus, RefusesDevicesThatShareALineOnWhicheverBus) {
  plug(0x1000, 8, 5);
  Bus ports("port", clock_);
  const auto add_to = [&](Bus& bus, std::uint32_t line) {
    return bus.add(0x2000, std::make_unique<ProbeDevice>(8, "late"), line, &interrupts_);
  };
  constexpr auto kRefusal = "late wants interrupt line 5, which probe has";
  EXPECT_THAT(add_to(bus_, 5), FailsSaying(ErrorCode::AlreadyExists, kRefusal));
  EXPECT_THAT(add_to(ports, 5), FailsSaying(ErrorCode::AlreadyExists, kRefusal));
  EXPECT_FALSE(ports.covers(0x2000, 8));

  ASSERT_THAT(bus_.remove(0x1000), Succeeds());
  EXPECT_THAT(add_to(ports, 5), Succeeds()) << "a device that is unplugged gives its line back";
}

TEST_F(ABus, KeepsNoLineForADeviceThatItRefuses) {
  plug(0x1000, 8);
  ASSERT_THAT(bus_.add(0x1000, std::make_unique<ProbeDevice>(8), 5, &interrupts_),
              FailsWith(ErrorCode::AlreadyExists));
  EXPECT_THAT(bus_.add(0x2000, std::make_unique<ProbeDevice>(8), 5, &interrupts_), Succeeds());
}

TEST_F(ABus, DrivesTheLineAfterEachAccess) {
  ProbeDevice& device = plug(0x1000, 8, 5);
  EXPECT_EQ(interrupts_.lines(), 0u);

  device.level = true;
  (void)bus_.read(0x1000, Width::Byte, kBootVcpu);
  EXPECT_EQ(interrupts_.lines(), 1u << 5);

  device.level = false;
  (void)bus_.write(0x1000, Width::Byte, 0, kBootVcpu);
  EXPECT_EQ(interrupts_.lines(), 0u);
}

TEST_F(ABus, DrivesTheLineAfterInputFromOutside) {
  ProbeDevice& device = plug(0x1000, 8, 5);
  device.level = true;

  bus_.sample(device);

  EXPECT_EQ(interrupts_.lines(), 1u << 5);
}

TEST_F(ABus, AdvancesADeviceAtItsDeadline) {
  ProbeDevice& early = plug(0x1000, 8, 5);
  ProbeDevice& late = plug(0x2000, 8, 6);
  early.deadline = 100;
  late.deadline = 200;
  bus_.sample(early);
  bus_.sample(late);
  EXPECT_EQ(clock_.stop_at(), 100u);

  clock_.retire_to(100);
  clock_.fire_due();

  EXPECT_THAT(early.advanced, ElementsAre(100));
  EXPECT_THAT(late.advanced, IsEmpty());
  EXPECT_EQ(interrupts_.lines(), 1u << 5);
  EXPECT_EQ(clock_.stop_at(), 200u);
}

TEST_F(ABus, GivesADeviceBackWithItsLineDown) {
  ProbeDevice& device = plug(0x1000, 8, 5);
  device.level = true;
  device.deadline = 100;
  bus_.sample(device);

  const auto removed = bus_.remove(0x1000);

  ASSERT_THAT(removed, Succeeds());
  EXPECT_EQ(removed->get(), &device);
  EXPECT_EQ(interrupts_.lines(), 0u);
  EXPECT_EQ(clock_.stop_at(), kNever);
  EXPECT_THAT(bus_.remove(0x1000), FailsWith(ErrorCode::NotFound));
}

TEST_F(ABus, DoesNotOwnADeviceThatIsOnlyLent) {
  ProbeDevice device(8);
  ASSERT_THAT(bus_.add(0x1000, device), Succeeds());

  const auto removed = bus_.remove(0x1000);

  ASSERT_THAT(removed, Succeeds());
  EXPECT_EQ(*removed, nullptr);
}

TEST_F(ABus, ResetsDevicesAndTheirLines) {
  ProbeDevice& device = plug(0x1000, 8, 5);
  device.value = 7;
  device.level = true;
  bus_.sample(device);
  device.level = false;

  bus_.reset();

  EXPECT_EQ(device.value, 0u);
  EXPECT_EQ(interrupts_.lines(), 0u);
}

TEST_F(ABus, HasADigestOfPlacesAndStates) {
  const auto digest = [this] {
    Digest state;
    bus_.digest(state);
    return state.value();
  };
  const std::uint64_t empty = digest();
  ProbeDevice& device = plug(0x1000, 8);
  const std::uint64_t plugged = digest();
  device.value = 1;

  EXPECT_NE(empty, plugged);
  EXPECT_NE(digest(), plugged);
}

TEST_F(ABus, CountsSystemRegistersAsOneUnitEach) {
  Bus sysregs("sysreg", clock_, Bus::Unit::Register);
  auto device = std::make_unique<ProbeDevice>(1);
  device->value = 0x1122'3344'5566'7788;
  ASSERT_THAT(sysregs.add(0x3a3016, std::move(device)), Succeeds());

  EXPECT_EQ(sysregs.read(0x3a3016, Width::Double, kBootVcpu), 0x1122'3344'5566'7788u);
  EXPECT_EQ(sysregs.read(0x3a3017, Width::Double, kBootVcpu), std::nullopt);
}

// The catalogue of defects, chapter 2.4.

TEST_F(ABus, DefectD2_GivesAnAccessToOneDeviceOrToNone) {
  ProbeDevice& first = plug(0x1000, 4);
  ProbeDevice& second = plug(0x1004, 4);

  EXPECT_EQ(bus_.read(0x1002, Width::Word, kBootVcpu), std::nullopt);
  EXPECT_FALSE(bus_.write(0x1000, Width::Double, 0, kBootVcpu));
  EXPECT_EQ(bus_.read(0x1006, Width::Word, kBootVcpu), std::nullopt);

  EXPECT_EQ(first.reads + first.writes + second.reads + second.writes, 0u);
}

TEST_F(ABus, DefectD6_TakesAndRemovesDevicesAtAnyTime) {
  plug(0x1000, 4);
  EXPECT_TRUE(bus_.read(0x1000, Width::Word, kBootVcpu));
  ASSERT_THAT(bus_.remove(0x1000), Succeeds());
  EXPECT_FALSE(bus_.covers(0x1000, 4)) << "the last that answered is forgotten, too";
  EXPECT_FALSE(bus_.read(0x1000, Width::Word, kBootVcpu));
  ProbeDevice& again = plug(0x1000, 8);

  (void)bus_.read(0x1004, Width::Word, kBootVcpu);

  EXPECT_EQ(again.reads, 1u);
}

TEST_F(ABus, DefectD7_TellsTheDeviceWhichVcpuAsks) {
  ProbeDevice& device = plug(0x1000, 4);

  (void)bus_.read(0x1000, Width::Word, VcpuId{2});

  EXPECT_EQ(device.last.vcpu, VcpuId{2});
}

TEST_F(ABus, DefectD8_HasAKindOfErrorForRegistersThatAreNotThere) {
  ProbeDevice& device = plug(0x1000, 4);
  device.error = IoError::NoRegister;

  EXPECT_EQ(bus_.read(0x1000, Width::Word, kBootVcpu), 0u);

  EXPECT_EQ(bus_.counters().unknown_register, 1u);
}

}  // namespace
}  // namespace retrap
