// What CPUID says: one fixed processor, whatever the host is.
//
// Intel SDM volume 2A, CPUID; leaves 0x4000'0000 and up by convention of all hypervisors.
#pragma once

#include <cstdint>

namespace retrap::x86_64 {

struct CpuidResult {
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
  friend bool operator==(const CpuidResult&, const CpuidResult&) = default;
};

/// Who asks: what of the answer depends on the CPU.
struct CpuidContext {
  std::uint32_t apic_id = 0;
  std::uint32_t cpu_count = 1;
  std::uint32_t highest_apic_id = 0;  ///< of all CPUs: the package has ids up to it
  bool apic_enabled = true;
};

/// The model: family 6, model 0x3a, as far as the simulated CPU implements it. Absent on purpose:
/// AVX and XSAVE (not simulated), BMI1/2 (66-prefixed forms fault early in boot), RDRAND and
/// RDSEED (host randomness), MONITOR, PCID, MTRRs, machine-check banks (MCE without MCA),
/// performance counters.
namespace cpu_model {
inline constexpr std::uint32_t kSignature = 0x0003'06a9;
inline constexpr std::uint32_t kHighestBasic = 0x15;
inline constexpr std::uint32_t kHighestExtended = 0x8000'0008;
inline constexpr std::uint32_t kHypervisorLeaf = 0x4000'0000;
inline constexpr std::uint32_t kPhysicalBits = 40;
inline constexpr std::uint32_t kLinearBits = 48;
/// Leaf 0x15: the crystal of TSC and APIC timer, and 40 TSC ticks to each of its own: 1 GHz.
inline constexpr std::uint32_t kCrystalHz = 25'000'000;
inline constexpr std::uint32_t kTscPerCrystal = 40;
}  // namespace cpu_model

/// Leaves beyond the highest basic one answer as that one does (SDM); hypervisor and extended
/// leaves that are not there are zero.
[[nodiscard]] CpuidResult cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                                const CpuidContext& context);

}  // namespace retrap::x86_64
