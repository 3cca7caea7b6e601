// The ports that switch off and restart.
#include "arch/x86_64/power.h"

#include <string>

#include "tests/arch/x86_64_device_rig.h"

namespace retrap::x86_64 {
namespace {

using test::DeviceRig;

TEST(AcpiPowerManagement, IsAlwaysInAcpiMode) {
  SystemRequests requests;
  AcpiPowerManagement power(requests);
  DeviceRig rig{power};

  EXPECT_EQ(rig.in(4, Width::Half), 1u);
  rig.out(4, 0, Width::Half);
  EXPECT_EQ(rig.in(4, Width::Half), 1u);
}

TEST(AcpiPowerManagement, PowersOffWithSleepEnable) {
  SystemRequests requests;
  AcpiPowerManagement power(requests);
  DeviceRig rig{power};

  rig.out(4, 5 << 10, Width::Half);
  EXPECT_FALSE(requests.any());
  EXPECT_EQ(rig.in(4, Width::Half), (5u << 10) | 1);
  rig.out(4, 5 << 10 | 1 << 13, Width::Half);
  EXPECT_EQ(requests.take(), ExitReason(exits::SystemDown{}));
  EXPECT_FALSE(requests.take());
}

TEST(AcpiPowerManagement, PowersOffAsTheReferenceDoes) {
  SystemRequests requests;
  AcpiPowerManagement power(requests);
  DeviceRig rig{power};

  rig.out(4, 0x2000, Width::Half);

  EXPECT_TRUE(requests.any());
}

TEST(AcpiPowerManagement, HasStatusAndEnable) {
  SystemRequests requests;
  AcpiPowerManagement power(requests);
  DeviceRig rig{power};

  rig.out(0, 0xffff, Width::Half);
  rig.out(2, 0x120, Width::Half);
  EXPECT_EQ(rig.in(0, Width::Half), 0u);
  EXPECT_EQ(rig.in(2, Width::Half), 0x120u);
  EXPECT_EQ(rig.try_in(0, Width::Byte).error(), IoError::BadWidth);
  EXPECT_EQ(rig.try_out(0, 0, Width::Word).error(), IoError::BadWidth);
  EXPECT_EQ(rig.try_in(1, Width::Half).error(), IoError::NoRegister);
  EXPECT_EQ(rig.try_out(3, 0, Width::Half).error(), IoError::NoRegister);
  const std::uint64_t set = test::digest_of(power);
  power.reset();
  EXPECT_NE(test::digest_of(power), set);
}

TEST(ResetControl, ResetsWithBitTwo) {
  SystemRequests requests;
  ResetControl control(requests);
  DeviceRig rig{control};

  rig.out(0, 2);
  EXPECT_EQ(rig.in(0), 2u);
  EXPECT_FALSE(requests.any());
  rig.out(0, 6);
  EXPECT_EQ(requests.take(), ExitReason(exits::SystemReset{}));
  const std::uint64_t set = test::digest_of(control);
  control.reset();
  EXPECT_NE(test::digest_of(control), set);
}

TEST(KeyboardController, PulsesTheResetLine) {
  SystemRequests requests;
  KeyboardController keyboard(requests);
  DeviceRig rig{keyboard};

  EXPECT_EQ(rig.in(0), 0u) << "both buffers empty";
  rig.out(0, 0xaa);
  EXPECT_FALSE(requests.any());
  rig.out(0, 0xfe);
  EXPECT_EQ(requests.take(), ExitReason(exits::SystemReset{}));
}

TEST(ExitPort, PowersOff) {
  SystemRequests requests;
  ExitPort port(requests);
  DeviceRig rig{port};

  EXPECT_EQ(rig.in(0), 0u);
  rig.out(0, 0);
  EXPECT_TRUE(requests.any());
  requests.reset();
  EXPECT_FALSE(requests.any());
}

TEST(DebugPort, PrintsAndSaysThatItIsThere) {
  struct Text final : ConsoleSink {
    void put(char byte) override { text.push_back(byte); }
    std::string text;
  } console;
  DebugPort port(console);
  DeviceRig rig{port};

  rig.out(0, 'h');
  rig.out(0, 'i');

  EXPECT_EQ(console.text, "hi");
  EXPECT_EQ(rig.in(0), 0xe9u);
}

}  // namespace
}  // namespace retrap::x86_64
