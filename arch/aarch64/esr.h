// Exception syndromes: the fields of ESR_ELx and the exception classes, named as the manual does.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace retrap::aarch64 {

/// ESR_ELx.EC (DDI 0487, D24.2.37), as far as an A64 guest can cause it.
enum class ExceptionClass : std::uint8_t {
  Unknown = 0x00,
  Wfx = 0x01,
  FpAccess = 0x07,
  IllegalState = 0x0e,
  Svc64 = 0x15,
  Hvc64 = 0x16,
  Smc64 = 0x17,
  SysReg = 0x18,
  InstructionAbortLower = 0x20,
  InstructionAbortSame = 0x21,
  PcAlignment = 0x22,
  DataAbortLower = 0x24,
  DataAbortSame = 0x25,
  SpAlignment = 0x26,
  SError = 0x2f,
  BreakpointLower = 0x30,
  StepLower = 0x32,
  WatchpointLower = 0x34,
  Brk64 = 0x3c,
};

inline constexpr std::uint32_t kIl = 1u << 25;  ///< the instruction had 32 bits
inline constexpr std::uint32_t kIssMask = 0x1ff'ffff;

[[nodiscard]] constexpr std::uint32_t make_esr(ExceptionClass ec, std::uint32_t iss) {
  return static_cast<std::uint32_t>(ec) << 26 | kIl | (iss & kIssMask);
}
[[nodiscard]] constexpr ExceptionClass class_of(std::uint64_t esr) {
  return static_cast<ExceptionClass>(esr >> 26 & 0x3f);
}
[[nodiscard]] constexpr std::uint32_t iss_of(std::uint64_t esr) {
  return static_cast<std::uint32_t>(esr) & kIssMask;
}

/// The ISS of a data abort; an instruction abort has FNV, EA, S1PTW and IFSC of it.
namespace abort_iss {
inline constexpr std::uint32_t kIsv = 1u << 24;  ///< SAS, SSE, SRT, SF and AR are valid
inline constexpr unsigned kSasShift = 22;        ///< log2 of the bytes of the access
inline constexpr std::uint32_t kSse = 1u << 21;  ///< sign-extend
inline constexpr unsigned kSrtShift = 16;
inline constexpr std::uint32_t kSf = 1u << 15;  ///< the register is 64 bits wide
inline constexpr std::uint32_t kAr = 1u << 14;  ///< acquire or release
inline constexpr std::uint32_t kFnv = 1u << 10;
inline constexpr std::uint32_t kEa = 1u << 9;
inline constexpr std::uint32_t kCm = 1u << 8;     ///< cache maintenance
inline constexpr std::uint32_t kS1Ptw = 1u << 7;  ///< a stage-2 fault on a stage-1 walk
inline constexpr std::uint32_t kWnR = 1u << 6;
inline constexpr std::uint32_t kFscMask = 0x3f;
}  // namespace abort_iss

/// Fault status codes. Those of a walk are for level 0: add the level.
namespace fsc {
inline constexpr std::uint32_t kAddressSize = 0x00;
inline constexpr std::uint32_t kTranslation = 0x04;
inline constexpr std::uint32_t kAccessFlag = 0x08;
inline constexpr std::uint32_t kPermission = 0x0c;
inline constexpr std::uint32_t kExternal = 0x10;        ///< not on a walk
inline constexpr std::uint32_t kExternalOnWalk = 0x14;  ///< + level of the walk
inline constexpr std::uint32_t kAlignment = 0x21;
inline constexpr std::uint32_t kUnsupportedExclusive = 0x35;
/// Without the level: which of the four kinds a status code of a walk is.
[[nodiscard]] constexpr std::uint32_t kind(std::uint32_t code) {
  return code & 0x3c;
}
}  // namespace fsc

/// The ISS of a trapped MSR, MRS or system instruction.
namespace sysreg_iss {
inline constexpr std::uint32_t kRead = 1;
inline constexpr unsigned kRtShift = 5;
[[nodiscard]] constexpr unsigned rt(std::uint32_t iss) {
  return iss >> kRtShift & 31;
}
}  // namespace sysreg_iss

/// CV and COND "always", which WFx and FP traps report.
inline constexpr std::uint32_t kConditionAlways = 1u << 24 | 0xeu << 20;

/// The name of a class for messages: "data abort, lower EL".
[[nodiscard]] std::string_view name_of(ExceptionClass ec);

}  // namespace retrap::aarch64
