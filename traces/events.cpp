// Exits as tables of numbers, and back.
#include "traces/events.h"

#include "vmm/base/overloaded.h"

namespace retrap::traces {
namespace {

constexpr FieldColumn kAddress = FieldColumn::Address;
constexpr FieldColumn kValue = FieldColumn::Value;
constexpr FieldColumn kSmall = FieldColumn::Small;

// clang-format off
constexpr std::array<FieldRow, 7> kHypercall = {{
    {"nr", kSmall}, {"arg0", kValue}, {"arg1", kValue}, {"arg2", kValue},
    {"arg3", kValue}, {"arg4", kValue}, {"arg5", kValue}}};
constexpr std::array<FieldRow, 5> kMmioRead = {{
    {"addr", kAddress}, {"width", kSmall}, {"reg", kSmall}, {"reg_width", kSmall},
    {"signed_ext", kSmall}}};
constexpr std::array<FieldRow, 3> kMmioWrite = {{
    {"addr", kAddress}, {"width", kSmall}, {"data", kValue}}};
constexpr std::array<FieldRow, 2> kSysRegRead = {{{"addr", kAddress}, {"reg", kSmall}}};
constexpr std::array<FieldRow, 2> kSysRegWrite = {{{"addr", kAddress}, {"value", kValue}}};
constexpr std::array<FieldRow, 2> kIoRead = {{{"port", kAddress}, {"width", kSmall}}};
constexpr std::array<FieldRow, 3> kIoWrite = {{
    {"port", kAddress}, {"width", kSmall}, {"data", kValue}}};
constexpr std::array<FieldRow, 1> kVector = {{{"vector", kValue}}};
constexpr std::array<FieldRow, 2> kNestedPageFault = {{
    {"addr", kAddress}, {"access_flags", kSmall}}};
constexpr std::array<FieldRow, 3> kCpuUp = {{
    {"target_cpu", kSmall}, {"entry_point", kAddress}, {"arg", kValue}}};
constexpr std::array<FieldRow, 1> kCpuDown = {{{"state", kValue}}};
constexpr std::array<FieldRow, 1> kFailEntry = {{{"hardware_entry_failure_reason", kValue}}};
constexpr std::array<FieldRow, 5> kSendIpi = {{
    {"target_cpu", kValue}, {"target_cpu_aux", kValue}, {"send_to_all", kSmall},
    {"send_to_self", kSmall}, {"vector", kSmall}}};
constexpr std::array<FieldRow, 2> kGuestCrash = {{{"cause", kValue}, {"address", kAddress}}};

constexpr std::array<std::span<const FieldRow>, kExitKinds> kRows = {{
    kHypercall, kMmioRead, kMmioWrite, kSysRegRead, kSysRegWrite, kIoRead, kIoWrite, kVector,
    kNestedPageFault, {}, kCpuUp, kCpuDown, {}, {}, kFailEntry, kSendIpi, {}, {}, kGuestCrash}};
// clang-format on

std::uint64_t number(bool value) {
  return value ? 1 : 0;
}

/// Checks the ranges of what is narrower than 64 bits; one that does not fit spoils the whole.
class Narrow {
 public:
  explicit Narrow(const FieldValues& values) : values_(values) {}

  template <class T>
  T as(std::size_t index, std::uint64_t most) {
    if (values_[index] > most) fits_ = false;
    return static_cast<T>(values_[index] & most);
  }
  Width width(std::size_t index) {
    const auto width = width_of(static_cast<std::size_t>(values_[index]));
    if (!width) fits_ = false;
    return width.value_or(Width::Byte);
  }
  bool flag(std::size_t index) { return as<std::uint8_t>(index, 1) != 0; }
  GuestPhys gpa(std::size_t index) const { return GuestPhys(values_[index]); }
  std::uint64_t word(std::size_t index) const { return values_[index]; }
  [[nodiscard]] bool fits() const { return fits_; }

 private:
  const FieldValues& values_;
  bool fits_ = true;
};

ExitReason made(std::size_t kind, Narrow& n) {
  constexpr std::uint64_t kByte = 0xff;
  constexpr std::uint64_t kPort = 0xffff;
  constexpr std::uint64_t kFlags = 0xffff'ffff;
  switch (kind) {
    case 0:
      return exits::Hypercall{n.word(0),
                              {n.word(1), n.word(2), n.word(3), n.word(4), n.word(5), n.word(6)}};
    case 1:
      return exits::MmioRead{n.gpa(0), n.width(1), n.as<std::uint8_t>(2, kByte), n.width(3),
                             n.flag(4)};
    case 2:  return exits::MmioWrite{n.gpa(0), n.width(1), n.word(2)};
    case 3:  return exits::SysRegRead{n.word(0), n.as<std::uint8_t>(1, kByte)};
    case 4:  return exits::SysRegWrite{n.word(0), n.word(1)};
    case 5:  return exits::IoRead{n.as<std::uint16_t>(0, kPort), n.width(1)};
    case 6:  return exits::IoWrite{n.as<std::uint16_t>(0, kPort), n.width(1), n.word(2)};
    case 7:  return exits::ExternalInterrupt{n.word(0)};
    case 8:  return exits::NestedPageFault{n.gpa(0), MappingFlags(n.as<std::uint32_t>(1, kFlags))};
    case 9:  return exits::Halt{};
    case 10: return exits::CpuUp{n.word(0), n.gpa(1), n.word(2)};
    case 11: return exits::CpuDown{n.word(0)};
    case 12: return exits::SystemDown{};
    case 13: return exits::Nothing{};
    case 14: return exits::FailEntry{n.word(0)};
    case 15: return exits::SendIPI{n.word(0), n.word(1), n.flag(2), n.flag(3), n.word(4)};
    case 16: return exits::BudgetSpent{};
    case 17: return exits::SystemReset{};
    default: return exits::GuestCrash{n.word(0), n.word(1)};
  }
}
static_assert(kExitKinds == 19, "a new exit: a row above, a case here, and traces/FORMAT.md");

}  // namespace

std::span<const FieldRow> fields_of(std::size_t kind) {
  return kind < kExitKinds ? kRows[kind] : std::span<const FieldRow>{};
}

FieldValues values_of(const ExitReason& exit) {
  return std::visit(
      Overloaded{
          [](const exits::Hypercall& e) -> FieldValues {
            return {e.nr, e.args[0], e.args[1], e.args[2], e.args[3], e.args[4], e.args[5]};
          },
          [](const exits::MmioRead& e) -> FieldValues {
            return {e.addr.raw(), bytes(e.width), e.reg, bytes(e.reg_width), number(e.signed_ext)};
          },
          [](const exits::MmioWrite& e) -> FieldValues {
            return {e.addr.raw(), bytes(e.width), e.data};
          },
          [](const exits::SysRegRead& e) -> FieldValues { return {e.addr, e.reg}; },
          [](const exits::SysRegWrite& e) -> FieldValues { return {e.addr, e.value}; },
          [](const exits::IoRead& e) -> FieldValues { return {e.port, bytes(e.width)}; },
          [](const exits::IoWrite& e) -> FieldValues { return {e.port, bytes(e.width), e.data}; },
          [](const exits::ExternalInterrupt& e) -> FieldValues { return {e.vector}; },
          [](const exits::NestedPageFault& e) -> FieldValues {
            return {e.addr.raw(), static_cast<std::uint32_t>(e.access_flags)};
          },
          [](const exits::CpuUp& e) -> FieldValues {
            return {e.target_cpu, e.entry_point.raw(), e.arg};
          },
          [](const exits::CpuDown& e) -> FieldValues { return {e.state}; },
          [](const exits::FailEntry& e) -> FieldValues {
            return {e.hardware_entry_failure_reason};
          },
          [](const exits::SendIPI& e) -> FieldValues {
            return {e.target_cpu, e.target_cpu_aux, number(e.send_to_all), number(e.send_to_self),
                    e.vector};
          },
          [](const exits::GuestCrash& e) -> FieldValues { return {e.cause, e.address}; },
          [](const exits::Halt&) -> FieldValues { return {}; },
          [](const exits::SystemDown&) -> FieldValues { return {}; },
          [](const exits::Nothing&) -> FieldValues { return {}; },
          [](const exits::BudgetSpent&) -> FieldValues { return {}; },
          [](const exits::SystemReset&) -> FieldValues { return {}; },
      },
      exit);
}

std::optional<ExitReason> exit_of(std::size_t kind, const FieldValues& values) {
  if (kind >= kExitKinds) return std::nullopt;
  Narrow narrow(values);
  const ExitReason exit = made(kind, narrow);
  if (!narrow.fits()) return std::nullopt;
  return exit;
}

}  // namespace retrap::traces
