// The test finisher: one register, three values.
#include "vmm/devices/test_finisher.h"

#include <utility>

namespace retrap {
namespace {

// Linux, syscon-poweroff and syscon-reboot write 32 bits; SiFive's tests 16.
constexpr WidthRule kWidths{.narrowest = Width::Half, .widest = Width::Word};

}  // namespace

// clang-format off
constexpr std::array<Register<TestFinisher>, 1> TestFinisher::kRegisters = {{
    {0x0, "FINISH", &TestFinisher::read_finish, &TestFinisher::write_finish},
}};
// clang-format on

IoResult<std::uint64_t> TestFinisher::read(const Access& access) {
  return read_register(*this, kRegisters, access, kWidths);
}

IoResult<> TestFinisher::write(const Access& access, std::uint64_t value) {
  return write_register(*this, kRegisters, access, value, kWidths);
}

void TestFinisher::write_finish(std::uint64_t value) {
  switch (value & 0xffff) {
    case 0x5555: request_ = exits::SystemDown{}; return;
    case 0x7777: request_ = exits::SystemReset{}; return;
    case 0x3333: request_ = exits::GuestCrash{.cause = value >> 16, .address = 0}; return;
    default:     return;
  }
}

std::optional<ExitReason> TestFinisher::take_request() {
  return std::exchange(request_, std::nullopt);
}

}  // namespace retrap
