// The table of firmware functions.
#include "arch/aarch64/psci.h"

#include "vmm/base/bits.h"

namespace retrap::aarch64 {
namespace {

constexpr std::uint32_t kFastCall = 1u << 31;
constexpr std::uint32_t kConvention64 = 1u << 30;
constexpr std::uint64_t kAffinityMask = 0xff'00ff'ffff;

constexpr std::int64_t kVersion11 = 0x1'0001;

const FirmwareFunction* find(std::uint32_t function);

FirmwareAnswer value(std::int64_t result) {
  return {.value = result};
}

FirmwareAnswer version(const FirmwareCall&, const PowerStates&) {
  return value(kVersion11);
}

// 5.4: the implementation may treat a power-down state as standby, and then returns SUCCESS.
FirmwareAnswer cpu_suspend(const FirmwareCall& call, const PowerStates&) {
  constexpr std::uint64_t kStateBits = 0x0301'ffff;  // PowerLevel, StateType, StateID
  if ((call.args[0] & ~kStateBits) != 0) return value(psci::kInvalidParameters);
  return {.value = psci::kSuccess, .exit = exits::Halt{}};
}

FirmwareAnswer cpu_off(const FirmwareCall& call, const PowerStates&) {
  return {.value = std::nullopt, .exit = exits::CpuDown{.state = call.args[0]}};
}

// 5.6: the hypervisor knows the target's state and answers.
FirmwareAnswer cpu_on(const FirmwareCall& call, const PowerStates&) {
  if ((call.args[0] & ~kAffinityMask) != 0) return value(psci::kInvalidParameters);
  if ((call.args[1] & 3) != 0) return value(psci::kInvalidAddress);
  return {
      .value = std::nullopt,
      .exit = exits::CpuUp{
          .target_cpu = call.args[0], .entry_point = GuestPhys(call.args[1]), .arg = call.args[2]}};
}

// 5.7: 0 on, 1 off.
FirmwareAnswer affinity_info(const FirmwareCall& call, const PowerStates& power) {
  const std::uint64_t level = call.args[1];
  if ((call.args[0] & ~kAffinityMask) != 0 || level > 3) return value(psci::kInvalidParameters);
  const auto on = power.find(call.args[0], static_cast<unsigned>(level));
  if (!on) return value(psci::kInvalidParameters);
  return value(*on ? 0 : 1);
}

// 5.9: 2 = there is no Trusted OS that would have to migrate.
FirmwareAnswer migrate_info_type(const FirmwareCall&, const PowerStates&) {
  return value(2);
}

FirmwareAnswer system_off(const FirmwareCall&, const PowerStates&) {
  return {.value = std::nullopt, .exit = exits::SystemDown{}};
}

FirmwareAnswer system_reset(const FirmwareCall&, const PowerStates&) {
  return {.value = std::nullopt, .exit = exits::SystemReset{}};
}

// 5.12: reset_type 0 is SYSTEM_WARM_RESET; vendors' types have bit 31.
FirmwareAnswer system_reset2(const FirmwareCall& call, const PowerStates&) {
  if (call.args[0] != 0) return value(psci::kInvalidParameters);
  return {.value = std::nullopt, .exit = exits::SystemReset{}};
}

// Also PSCI_FEATURES: 0 for what is there (CPU_SUSPEND: the original format of its argument).
FirmwareAnswer features(const FirmwareCall& call, const PowerStates&) {
  const bool known = find(static_cast<std::uint32_t>(call.args[0])) != nullptr;
  return value(known ? psci::kSuccess : psci::kNotSupported);
}

// clang-format off
constexpr std::array<FirmwareFunction, 12> kFunctions = {{
    {0x8000'0000, "SMCCC_VERSION",       false, version},
    {0x8000'0001, "SMCCC_ARCH_FEATURES", false, features},
    {0x8400'0000, "PSCI_VERSION",        false, version},
    {0x8400'0001, "CPU_SUSPEND",         true,  cpu_suspend},
    {0x8400'0002, "CPU_OFF",             false, cpu_off},
    {0x8400'0003, "CPU_ON",              true,  cpu_on},
    {0x8400'0004, "AFFINITY_INFO",       true,  affinity_info},
    {0x8400'0006, "MIGRATE_INFO_TYPE",   false, migrate_info_type},
    {0x8400'0008, "SYSTEM_OFF",          false, system_off},
    {0x8400'0009, "SYSTEM_RESET",        false, system_reset},
    {0x8400'000a, "PSCI_FEATURES",       false, features},
    {0x8400'0012, "SYSTEM_RESET2",       true,  system_reset2},
}};
// clang-format on

const FirmwareFunction* find(std::uint32_t function) {
  for (const FirmwareFunction& row : kFunctions) {
    if (function == row.id) return &row;
    if (row.has_64bit_form && function == (row.id | kConvention64)) return &row;
  }
  return nullptr;
}

}  // namespace

std::optional<bool> PowerStates::find(std::uint64_t affinity, unsigned ignored) const {
  // Aff3 is at [39:32]: brought down to [31:24], each field is a byte.
  const auto packed = [&](std::uint64_t raw) {
    const std::uint64_t fields = extract(raw, 39, 32) << 24 | (raw & 0xff'ffff);
    return fields >> (8 * ignored);
  };
  std::optional<bool> found;
  for (std::size_t cpu = 0; cpu < affinity_.size(); ++cpu) {
    if (packed(affinity_[cpu]) == packed(affinity)) found = found.value_or(false) || on_[cpu] != 0;
  }
  return found;
}

std::span<const FirmwareFunction> firmware_functions() {
  return kFunctions;
}

bool is_firmware_call(std::uint32_t function) {
  constexpr std::uint32_t kVendorHypervisor = 6;
  return (function & kFastCall) != 0 && extract(function, 29, 24) != kVendorHypervisor;
}

FirmwareAnswer answer_firmware_call(FirmwareCall call, const PowerStates& power) {
  const FirmwareFunction* const row = find(call.function);
  if (row == nullptr) return value(psci::kNotSupported);
  if ((call.function & kConvention64) == 0) {
    for (std::uint64_t& arg : call.args) arg = static_cast<std::uint32_t>(arg);
  }
  return row->call(call, power);
}

}  // namespace retrap::aarch64
