// Every device of the monitor: what its manual says, and any access at all.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/support/scripted_host.h"
#include "vmm/base/prng.h"
#include "vmm/devices/goldfish_rtc.h"
#include "vmm/devices/ns16550.h"
#include "vmm/devices/pl011.h"
#include "vmm/devices/pl031.h"
#include "vmm/devices/test_finisher.h"
#include "vmm/devices/virtio_entropy.h"
#include "vmm/devices/virtio_mmio.h"

namespace retrap {
namespace {

using test::ConsoleText;

constexpr std::array kWidths = {Width::Byte, Width::Half, Width::Word, Width::Double};

Access at(std::uint64_t offset, Width width) {
  return {.offset = offset, .width = width, .vcpu = kBootVcpu, .now_ns = 0};
}

std::uint64_t digest_of(const Device& device) {
  Digest digest;
  device.digest(digest);
  return digest.value();
}

// What holds for every device.

struct Model {
  std::string name;
  std::function<std::unique_ptr<Device>(ConsoleSink&)> make;
};

void PrintTo(const Model& model, std::ostream* out) {
  *out << model.name;
}

class AnyDevice : public ::testing::TestWithParam<Model> {
 public:
  ConsoleText console_;
  std::unique_ptr<Device> device_ = GetParam().make(console_);

  template <class Visit>
  void for_each_access(Visit visit) {
    for (std::uint64_t offset = 0; offset < device_->size(); ++offset) {
      for (const Width width : kWidths) {
        if (bytes(width) <= device_->size() - offset) visit(at(offset, width));
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(
    Models, AnyDevice,
    ::testing::Values(
        Model{"Pl011", [](ConsoleSink& sink) { return std::make_unique<Pl011>(sink); }},
        Model{"Ns16550", [](ConsoleSink& sink) { return std::make_unique<Ns16550>(sink); }},
        Model{"WideNs16550",
              [](ConsoleSink& sink) {
                return std::make_unique<Ns16550>(
                    sink, Ns16550Options{.register_shift = 2, .size = 0x100});
              }},
        Model{"Pl031", [](ConsoleSink&) { return std::make_unique<Pl031>(); }},
        Model{"GoldfishRtc", [](ConsoleSink&) { return std::make_unique<GoldfishRtc>(); }},
        Model{"TestFinisher", [](ConsoleSink&) { return std::make_unique<TestFinisher>(); }},
        Model{"VirtioMmio",
              [](ConsoleSink&) {
                static GuestDma no_memory;
                return std::make_unique<virtio::Mmio>(std::make_unique<virtio::Entropy>(1),
                                                      no_memory);
              }}),
    [](const ::testing::TestParamInfo<Model>& param) { return param.param.name; });

TEST_P(AnyDevice, AnswersEveryAccess) {
  for_each_access([this](const Access& access) {
    const auto value = device_->read(access);
    EXPECT_LE(value.value_or(0), all_ones(access.width));
    (void)device_->write(access, all_ones(access.width));
    (void)device_->write(access, 0);
  });
}

TEST_P(AnyDevice, SaysForEachOffsetWhichAccessesAreErrors) {
  for_each_access([this](const Access& access) {
    const auto read = device_->read(access);
    const auto write = device_->write(access, 0);
    const bool nothing = !read && read.error() == IoError::NoRegister;
    EXPECT_EQ(nothing, !write && write.error() == IoError::NoRegister) << access.offset;
    EXPECT_FALSE(!read && read.error() == IoError::ReadOnly) << access.offset;
    EXPECT_FALSE(!write && write.error() == IoError::WriteOnly) << access.offset;
  });
}

TEST_P(AnyDevice, IsAsNewAfterAReset) {
  const std::uint64_t pristine = digest_of(*device_);
  Prng prng(1);
  for (int step = 0; step < 2000; ++step) {
    const std::uint64_t offset = prng.below(device_->size() - 8) & ~std::uint64_t{3};
    (void)device_->write(at(offset, Width::Word), prng.next() & 0xffff'ffff);
    (void)device_->write(at(prng.below(8), Width::Byte), prng.below(256));
  }

  device_->reset();

  EXPECT_EQ(digest_of(*device_), pristine);
  EXPECT_FALSE(device_->irq_level());
  EXPECT_EQ(device_->deadline_ns(), kNever);
}

TEST_P(AnyDevice, DoesTheSameForTheSameAccesses) {
  ConsoleText console;
  const auto twin = GetParam().make(console);
  Prng prng(2);
  for (int step = 0; step < 5000; ++step) {
    const Access access = at(prng.below(device_->size()), kWidths[prng.below(4)]);
    if (bytes(access.width) > device_->size() - access.offset) continue;
    if (prng.chance(1, 2)) {
      const std::uint64_t value = prng.next();
      ASSERT_EQ(device_->write(access, value).has_value(), twin->write(access, value).has_value());
    } else {
      const auto left = device_->read(access);
      const auto right = twin->read(access);
      ASSERT_EQ(left.has_value(), right.has_value());
      ASSERT_EQ(left.value_or(0), right.value_or(0));
    }
    ASSERT_EQ(device_->irq_level(), twin->irq_level());
  }
  EXPECT_EQ(digest_of(*device_), digest_of(*twin));
  EXPECT_EQ(console_.text, console.text);
}

// PL011 (DDI 0183G).

class APl011 : public ::testing::Test {
 public:
  static constexpr std::uint64_t kData = 0x00;
  static constexpr std::uint64_t kFlags = 0x18;
  static constexpr std::uint64_t kLineControl = 0x2c;
  static constexpr std::uint64_t kControl = 0x30;
  static constexpr std::uint64_t kMask = 0x38;
  static constexpr std::uint64_t kRaw = 0x3c;
  static constexpr std::uint64_t kMasked = 0x40;
  static constexpr std::uint64_t kClear = 0x44;

  std::uint64_t get(std::uint64_t offset) { return *uart_.read(at(offset, Width::Word)); }
  void set(std::uint64_t offset, std::uint64_t value) {
    EXPECT_TRUE(uart_.write(at(offset, Width::Word), value).has_value());
  }
  void enable_with_fifo() {
    set(kLineControl, 0x70);
    set(kControl, 0x301);
  }

  ConsoleText console_;
  Pl011 uart_{console_};
};

TEST_F(APl011, PrintsWhatIsStoredToItsDataRegister) {
  set(kData, 'H');
  EXPECT_TRUE(uart_.write(at(kData, Width::Byte), 'i').has_value());

  EXPECT_EQ(console_.text, "Hi");
}

TEST_F(APl011, HasTheIdsThatDriversLookFor) {
  EXPECT_EQ(get(0xfe0) | get(0xfe4) << 8 | get(0xfe8) << 16 | get(0xfec) << 24, 0x00341011u);
  EXPECT_EQ(get(0xff0) | get(0xff4) << 8 | get(0xff8) << 16 | get(0xffc) << 24, 0xb105f00du);
}

TEST_F(APl011, HasItsResetValues) {
  EXPECT_EQ(get(kFlags), 0x90u);
  EXPECT_EQ(get(kControl), 0x300u);
  EXPECT_EQ(get(0x34), 0x12u);
  EXPECT_EQ(get(kRaw), 0u);
}

TEST_F(APl011, ReceivesNothingWhileItIsOff) {
  EXPECT_FALSE(uart_.receive('x'));
  EXPECT_EQ(get(kFlags), 0x90u);
}

TEST_F(APl011, HoldsOneByteWithoutItsFifo) {
  set(kControl, 0x301);

  EXPECT_TRUE(uart_.receive('x'));
  EXPECT_FALSE(uart_.receive('y'));

  EXPECT_EQ(get(kFlags), 0xc0u);
  EXPECT_EQ(get(kRaw) & 0x10, 0x10u);
  EXPECT_EQ(get(kData), std::uint64_t{'x'});
  EXPECT_EQ(get(kFlags), 0x90u);
  EXPECT_EQ(get(kRaw) & 0x10, 0u);
}

TEST_F(APl011, KeepsItsFifoInOrder) {
  enable_with_fifo();
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(uart_.receive(static_cast<std::uint8_t>(i)));
  EXPECT_FALSE(uart_.receive(99));

  for (std::uint64_t i = 0; i < 32; ++i) EXPECT_EQ(get(kData), i);
  EXPECT_EQ(get(kData), 0u);
}

TEST_F(APl011, InterruptsForAByteBelowTheTriggerToo) {
  enable_with_fifo();
  set(kMask, 0x50);

  ASSERT_TRUE(uart_.receive('x'));
  EXPECT_TRUE(uart_.irq_level());
  EXPECT_EQ(get(kMasked), 0x40u);

  EXPECT_EQ(get(kData), std::uint64_t{'x'});
  EXPECT_FALSE(uart_.irq_level());
}

TEST_F(APl011, InterruptsAtTheTrigger) {
  enable_with_fifo();
  set(kMask, 0x10);
  for (int i = 0; i < 15; ++i) ASSERT_TRUE(uart_.receive('x'));
  EXPECT_FALSE(uart_.irq_level());

  ASSERT_TRUE(uart_.receive('x'));

  EXPECT_TRUE(uart_.irq_level());
}

TEST_F(APl011, InterruptsAfterAWriteUntilCleared) {
  set(kMask, 0x20);
  EXPECT_FALSE(uart_.irq_level());

  set(kData, 'x');
  EXPECT_TRUE(uart_.irq_level());

  set(kClear, 0x20);
  EXPECT_FALSE(uart_.irq_level());
}

TEST_F(APl011, HearsItselfInLoopBack) {
  set(kControl, 0x381);

  set(kData, 'q');

  EXPECT_EQ(console_.text, "");
  EXPECT_EQ(get(kData), std::uint64_t{'q'});
}

TEST_F(APl011, TellsReadOnlyFromWriteOnlyRegisters) {
  EXPECT_EQ(uart_.write(at(kFlags, Width::Word), 0).error(), IoError::ReadOnly);
  EXPECT_EQ(uart_.read(at(kClear, Width::Word)).error(), IoError::WriteOnly);
  EXPECT_EQ(uart_.read(at(0x8, Width::Word)).error(), IoError::NoRegister);
  EXPECT_EQ(uart_.read(at(kFlags, Width::Double)).error(), IoError::BadWidth);
}

// 16550A (PC16550D).

class ANs16550 : public ::testing::Test {
 public:
  std::uint64_t get(std::uint64_t offset) { return *uart_.read(at(offset, Width::Byte)); }
  void set(std::uint64_t offset, std::uint64_t value) {
    EXPECT_TRUE(uart_.write(at(offset, Width::Byte), value).has_value());
  }

  ConsoleText console_;
  Ns16550 uart_{console_};
};

TEST_F(ANs16550, PrintsWhatIsStoredToItsHoldingRegister) {
  set(0, 'O');
  set(0, 'K');

  EXPECT_EQ(console_.text, "OK");
  EXPECT_EQ(get(5), 0x60u);
}

TEST_F(ANs16550, KeepsTheDivisorApartFromTheData) {
  set(3, 0x80);
  set(0, 0x34);
  set(1, 0x12);
  EXPECT_EQ(get(0), 0x34u);
  EXPECT_EQ(get(1), 0x12u);
  set(3, 0x03);

  EXPECT_EQ(get(1), 0u);
  EXPECT_EQ(console_.text, "");
}

TEST_F(ANs16550, IsA16550AOnceItsFifosAreOn) {
  EXPECT_EQ(get(2), 0x01u);

  set(2, 0x01);

  EXPECT_EQ(get(2), 0xc1u);
}

TEST_F(ANs16550, InterruptsWhenTheTransmitterIsEmptyUntilThatIsReported) {
  EXPECT_FALSE(uart_.irq_level());
  set(1, 0x02);
  EXPECT_TRUE(uart_.irq_level());

  EXPECT_EQ(get(2), 0x02u);
  EXPECT_FALSE(uart_.irq_level());
  EXPECT_EQ(get(2), 0x01u);

  set(0, 'x');
  EXPECT_TRUE(uart_.irq_level());
}

TEST_F(ANs16550, InterruptsForDataBeforeTheTransmitter) {
  set(1, 0x03);
  ASSERT_TRUE(uart_.receive('x'));

  EXPECT_EQ(get(2), 0x04u);
  EXPECT_EQ(get(5), 0x61u);
  EXPECT_EQ(get(0), std::uint64_t{'x'});
  EXPECT_EQ(get(2), 0x02u);
}

TEST_F(ANs16550, TellsDataFromATimeout) {
  set(2, 0x41);
  set(1, 0x01);

  for (int i = 0; i < 3; ++i) ASSERT_TRUE(uart_.receive('x'));
  EXPECT_EQ(get(2), 0xccu);
  ASSERT_TRUE(uart_.receive('x'));
  EXPECT_EQ(get(2), 0xc4u);
}

TEST_F(ANs16550, HoldsSixteenBytes) {
  set(2, 0x01);
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(uart_.receive('x'));
  EXPECT_FALSE(uart_.receive('y'));

  set(2, 0x03);

  EXPECT_EQ(get(5), 0x60u);
}

TEST_F(ANs16550, PassesLinuxsLoopBackTest) {
  set(4, 0x1a);

  EXPECT_EQ(get(6) & 0xf0, 0x90u);
}

TEST_F(ANs16550, KeepsOnlyTheBitsOfItsRegisters) {
  set(1, 0xff);
  EXPECT_EQ(get(1), 0x0fu);
  set(4, 0xff);
  EXPECT_EQ(get(4), 0x1fu);
  set(7, 0xa5);
  EXPECT_EQ(get(7), 0xa5u);
}

TEST(APcsNs16550, InterruptsOnlyWhileOut2IsSet) {
  ConsoleText console;
  Ns16550 uart(console, {.out2_gates_interrupt = true});
  ASSERT_TRUE(uart.write(at(1, Width::Byte), 2).has_value());
  EXPECT_FALSE(uart.irq_level());

  ASSERT_TRUE(uart.write(at(4, Width::Byte), 8).has_value());

  EXPECT_TRUE(uart.irq_level());
}

TEST(AWideNs16550, TakesAccessesAsWideAsItsStride) {
  ConsoleText console;
  Ns16550 uart(console, {.register_shift = 2, .size = 0x20});

  EXPECT_TRUE(uart.write(at(0x1c, Width::Word), 0x5a).has_value());
  EXPECT_EQ(*uart.read(at(0x1c, Width::Byte)), 0x5au);
  EXPECT_EQ(uart.read(at(0x1d, Width::Byte)).error(), IoError::NoRegister);
  EXPECT_EQ(uart.read(at(0x18, Width::Double)).error(), IoError::BadWidth);
}

// SiFive's test finisher.

TEST(ATestFinisher, AsksForWhatIsWritten) {
  TestFinisher finisher;
  const auto request = [&](std::uint64_t value) {
    EXPECT_TRUE(finisher.write(at(0, Width::Word), value).has_value());
    return finisher.take_request();
  };

  EXPECT_EQ(request(0x5555), ExitReason(exits::SystemDown{}));
  EXPECT_EQ(request(0x7777), ExitReason(exits::SystemReset{}));
  EXPECT_EQ(request(0x1'3333), ExitReason(exits::GuestCrash{1, 0}));
  EXPECT_EQ(request(0x1234), std::nullopt);
}

TEST(ATestFinisher, AsksOnce) {
  TestFinisher finisher;
  ASSERT_TRUE(finisher.write(at(0, Width::Half), 0x5555).has_value());

  EXPECT_TRUE(finisher.take_request().has_value());
  EXPECT_FALSE(finisher.take_request().has_value());
}

}  // namespace
}  // namespace retrap
