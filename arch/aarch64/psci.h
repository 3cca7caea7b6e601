// Firmware calls: PSCI 1.1 and the SMC calling convention 1.1, by HVC and by SMC.
//
// Arm DEN 0022D (PSCI) and DEN 0028B (SMCCC).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/exit.h"

namespace retrap::aarch64 {

/// Return codes (DEN 0022D, 5.2.2).
namespace psci {
inline constexpr std::int64_t kSuccess = 0;
inline constexpr std::int64_t kNotSupported = -1;
inline constexpr std::int64_t kInvalidParameters = -2;
inline constexpr std::int64_t kDenied = -3;
inline constexpr std::int64_t kAlreadyOn = -4;
inline constexpr std::int64_t kOnPending = -5;
inline constexpr std::int64_t kInternalFailure = -6;
inline constexpr std::int64_t kInvalidAddress = -9;
}  // namespace psci

/// Who is on, by MPIDR affinity: what AFFINITY_INFO reports.
class PowerStates {
 public:
  explicit PowerStates(std::vector<std::uint64_t> affinities)
      : affinity_(std::move(affinities)), on_(affinity_.size(), 0) {}

  void set(std::uint32_t cpu, bool on) { on_[cpu] = on ? 1 : 0; }
  [[nodiscard]] bool is_on(std::uint32_t cpu) const { return on_[cpu] != 0; }
  /// Whether a CPU with this affinity (its lowest `ignored` fields aside) is on; nothing where
  /// there is none.
  [[nodiscard]] std::optional<bool> find(std::uint64_t affinity, unsigned ignored) const;

 private:
  std::vector<std::uint64_t> affinity_;
  std::vector<std::uint8_t> on_;
};

/// One call: the function identifier (W0) and x1-x6.
struct FirmwareCall {
  std::uint32_t function;
  std::array<std::uint64_t, 6> args;
};

/// What a call does: a value for x0, or an exit for the monitor, or both.
struct FirmwareAnswer {
  std::optional<std::int64_t> value;
  ExitReason exit = exits::Nothing{};
};

/// A row of the function table.
struct FirmwareFunction {
  std::uint32_t id;  ///< the 32-bit form
  std::string_view name;
  bool has_64bit_form;
  FirmwareAnswer (*call)(const FirmwareCall& call, const PowerStates& power);
};

/// What is implemented, sorted by id.
[[nodiscard]] std::span<const FirmwareFunction> firmware_functions();

/// Whether `function` lies in a range that the SMC calling convention gives to firmware: everything
/// but yielding calls (axvm's hypercalls) and the service of the vendor's hypervisor.
[[nodiscard]] bool is_firmware_call(std::uint32_t function);

/// Answers a firmware call; NOT_SUPPORTED for what is not implemented.
[[nodiscard]] FirmwareAnswer answer_firmware_call(FirmwareCall call, const PowerStates& power);

}  // namespace retrap::aarch64
