// Why a hart traps: the exception codes of scause.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "vmm/base/bits.h"

namespace retrap::riscv64 {

/// Exception codes (Privileged Architecture, "scause"; table "Exception codes of the H extension").
enum class Cause : std::uint8_t {
  InstructionMisaligned = 0,
  InstructionAccessFault = 1,
  IllegalInstruction = 2,
  Breakpoint = 3,
  LoadMisaligned = 4,
  LoadAccessFault = 5,
  StoreMisaligned = 6,
  StoreAccessFault = 7,
  EcallFromU = 8,
  EcallFromHs = 9,
  EcallFromVs = 10,
  InstructionPageFault = 12,
  LoadPageFault = 13,
  StorePageFault = 15,
  DoubleTrap = 16,
  HardwareError = 19,
  InstructionGuestPageFault = 20,
  LoadGuestPageFault = 21,
  VirtualInstruction = 22,
  StoreGuestPageFault = 23,
};

/// Set in scause for interrupts.
inline constexpr std::uint64_t kInterrupt = bit(63);

/// Interrupt codes as the guest and HS-mode number them.
inline constexpr unsigned kSupervisorSoftware = 1;
inline constexpr unsigned kSupervisorTimer = 5;
inline constexpr unsigned kSupervisorExternal = 9;

/// hvip (Privileged Architecture, "Hypervisor Interrupt Registers"): the VS-level interrupts one
/// place above the supervisor's.
inline constexpr std::uint64_t kVssip = bit(2);
inline constexpr std::uint64_t kVstip = bit(6);
inline constexpr std::uint64_t kVseip = bit(10);
inline constexpr std::uint64_t kVsInterrupts = kVssip | kVstip | kVseip;

/// What the monitor sets hedeleg to: these go to the guest's own handler without an exit.
inline constexpr std::uint64_t kHedeleg = bit(0) | bit(1) | bit(3) | bit(4) | bit(5) | bit(6) |
                                          bit(7) | bit(8) | bit(12) | bit(13) | bit(15);

struct CauseName {
  Cause cause;
  std::string_view name;
};

// clang-format off
inline constexpr std::array<CauseName, 20> kCauseNames = {{
    {Cause::InstructionMisaligned,     "instruction address misaligned"},
    {Cause::InstructionAccessFault,    "instruction access fault"},
    {Cause::IllegalInstruction,        "illegal instruction"},
    {Cause::Breakpoint,                "breakpoint"},
    {Cause::LoadMisaligned,            "load address misaligned"},
    {Cause::LoadAccessFault,           "load access fault"},
    {Cause::StoreMisaligned,           "store/AMO address misaligned"},
    {Cause::StoreAccessFault,          "store/AMO access fault"},
    {Cause::EcallFromU,                "environment call from U-mode"},
    {Cause::EcallFromHs,               "environment call from HS-mode"},
    {Cause::EcallFromVs,               "environment call from VS-mode"},
    {Cause::InstructionPageFault,      "instruction page fault"},
    {Cause::LoadPageFault,             "load page fault"},
    {Cause::StorePageFault,            "store/AMO page fault"},
    {Cause::DoubleTrap,                "double trap"},
    {Cause::HardwareError,             "hardware error"},
    {Cause::InstructionGuestPageFault, "instruction guest-page fault"},
    {Cause::LoadGuestPageFault,        "load guest-page fault"},
    {Cause::VirtualInstruction,        "virtual instruction"},
    {Cause::StoreGuestPageFault,       "store/AMO guest-page fault"},
}};
// clang-format on

/// The manual's name of an exception code, or "reserved".
[[nodiscard]] constexpr std::string_view cause_name(std::uint64_t scause) {
  for (const CauseName& row : kCauseNames) {
    if (static_cast<std::uint64_t>(row.cause) == scause) return row.name;
  }
  return "reserved";
}

}  // namespace retrap::riscv64
