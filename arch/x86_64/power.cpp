// The behaviour of the power, reset and debug ports.
#include "arch/x86_64/power.h"

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

// Offsets from PM1a_EVT_BLK.
constexpr std::uint64_t kStatus = 0;
constexpr std::uint64_t kEnable = 2;
constexpr std::uint64_t kControl = 4;

constexpr std::uint16_t kSciEnable = 1;
constexpr std::uint16_t kSleepEnable = 1U << 13;

constexpr std::uint8_t kResetCpu = 4;
constexpr std::uint8_t kPulseReset = 0xfe;

}  // namespace

IoResult<std::uint64_t> AcpiPowerManagement::read(const retrap::Access& access) {
  if (access.width != Width::Half) return tl::unexpected(IoError::BadWidth);
  switch (access.offset) {
    case kStatus:  return 0;
    case kEnable:  return enable_;
    case kControl: return std::uint64_t{control_} | kSciEnable;
    default:       return tl::unexpected(IoError::NoRegister);
  }
}

IoResult<> AcpiPowerManagement::write(const retrap::Access& access, std::uint64_t value) {
  if (access.width != Width::Half) return tl::unexpected(IoError::BadWidth);
  switch (access.offset) {
    case kStatus: return {};  // write-one-to-clear: nothing is set
    case kEnable: enable_ = static_cast<std::uint16_t>(value); return {};
    case kControl:
      control_ = static_cast<std::uint16_t>(value) &
                 static_cast<std::uint16_t>(~(kSciEnable | kSleepEnable));
      if ((value & kSleepEnable) != 0) requests_.power_off();
      return {};
    default: return tl::unexpected(IoError::NoRegister);
  }
}

IoResult<std::uint64_t> ResetControl::read(const retrap::Access& access) {
  (void)access;
  return value_;
}

IoResult<> ResetControl::write(const retrap::Access& access, std::uint64_t value) {
  (void)access;
  value_ = static_cast<std::uint8_t>(value) & static_cast<std::uint8_t>(~kResetCpu);
  if ((value & kResetCpu) != 0) requests_.restart();
  return {};
}

IoResult<std::uint64_t> KeyboardController::read(const retrap::Access& access) {
  (void)access;
  return 0;
}

IoResult<> KeyboardController::write(const retrap::Access& access, std::uint64_t value) {
  (void)access;
  if (value == kPulseReset) requests_.restart();
  return {};
}

IoResult<std::uint64_t> ExitPort::read(const retrap::Access& access) {
  (void)access;
  return 0;
}

IoResult<> ExitPort::write(const retrap::Access& access, std::uint64_t value) {
  (void)access;
  (void)value;
  requests_.power_off();
  return {};
}

IoResult<std::uint64_t> DebugPort::read(const retrap::Access& access) {
  (void)access;
  return 0xe9;
}

IoResult<> DebugPort::write(const retrap::Access& access, std::uint64_t value) {
  (void)access;
  console_.put(static_cast<char>(value));
  return {};
}

}  // namespace retrap::x86_64
