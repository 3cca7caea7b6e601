// The leaves, one table of feature bits for each register that has them.
#include "arch/x86_64/cpuid.h"

#include <array>
#include <bit>
#include <string_view>

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

struct Feature {
  std::string_view name;
  unsigned bit;
};

template <std::size_t N>
constexpr std::uint32_t mask(const std::array<Feature, N>& features) {
  std::uint32_t bits = 0;
  for (const Feature& feature : features) bits |= 1U << feature.bit;
  return bits;
}

// clang-format off
constexpr std::array kLeaf1Ecx = std::to_array<Feature>({
    {"sse3", 0}, {"ssse3", 9}, {"cx16", 13}, {"sse4.1", 19}, {"sse4.2", 20}, {"x2apic", 21},
    {"movbe", 22}, {"popcnt", 23}, {"tsc-deadline", 24}, {"hypervisor", 31}});
constexpr std::array kLeaf1Edx = std::to_array<Feature>({
    {"fpu", 0}, {"de", 2}, {"pse", 3}, {"tsc", 4}, {"msr", 5}, {"pae", 6}, {"mce", 7}, {"cx8", 8},
    {"sep", 11}, {"pge", 13}, {"cmov", 15}, {"pat", 16}, {"pse36", 17}, {"clflush", 19},
    {"mmx", 23}, {"fxsr", 24}, {"sse", 25}, {"sse2", 26}});
constexpr unsigned kApicBit = 9;
constexpr unsigned kHttBit = 28;
constexpr std::array kLeaf7Ebx = std::to_array<Feature>({
    {"fsgsbase", 0}, {"tsc_adjust", 1}, {"smep", 7}, {"smap", 20}});
constexpr std::array kLeaf7Edx = std::to_array<Feature>({{"ibrs", 26}, {"arch_capabilities", 29}});
constexpr std::array kExtended1Ecx = std::to_array<Feature>({{"lahf_lm", 0}, {"lzcnt", 5}});
constexpr std::array kExtended1Edx = std::to_array<Feature>({
    {"syscall", 11}, {"nx", 20}, {"1g-pages", 26}, {"rdtscp", 27}, {"lm", 29}});
constexpr std::array kExtended7Edx = std::to_array<Feature>({{"invariant-tsc", 8}});
// clang-format on

constexpr std::string_view kBrand = "retrap virtual CPU @ 1.00GHz";
constexpr std::string_view kHypervisor = "RetrapRetrap";

/// Four characters as CPUID packs them.
constexpr std::uint32_t text(std::string_view string, std::size_t at) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const char letter = at + i < string.size() ? string[at + i] : '\0';
    word |= std::uint32_t{static_cast<std::uint8_t>(letter)} << (8 * i);
  }
  return word;
}

CpuidResult features(const CpuidContext& context) {
  constexpr std::uint32_t kClflush64 = 8U << 8;
  const std::uint32_t addressable = context.highest_apic_id + 1;
  CpuidResult result{.eax = cpu_model::kSignature,
                     .ebx = kClflush64 | (addressable & 0xff) << 16 | context.apic_id << 24,
                     .ecx = mask(kLeaf1Ecx),
                     .edx = mask(kLeaf1Edx)};
  if (context.apic_enabled) result.edx |= 1U << kApicBit;
  if (addressable > 1) result.edx |= 1U << kHttBit;
  return result;
}

/// Leaf 0xb: no threads, all CPUs are cores of one package.
CpuidResult topology(std::uint32_t level, const CpuidContext& context) {
  constexpr std::uint32_t kThreads = 1U << 8;
  constexpr std::uint32_t kCores = 2U << 8;
  const auto shift = static_cast<std::uint32_t>(std::bit_width(context.highest_apic_id));
  if (level == 0) return {.eax = 0, .ebx = 1, .ecx = kThreads, .edx = context.apic_id};
  if (level == 1) {
    return {.eax = shift, .ebx = context.cpu_count, .ecx = kCores | 1, .edx = context.apic_id};
  }
  return {.ecx = level & 0xff, .edx = context.apic_id};
}

CpuidResult basic(std::uint32_t leaf, std::uint32_t subleaf, const CpuidContext& context) {
  switch (leaf) {
    case 0:  // "GenuineIntel" in EBX, EDX, ECX
      return {cpu_model::kHighestBasic, text("Genu", 0), text("ntel", 0), text("ineI", 0)};
    case 1: return features(context);
    case 7:
      return subleaf == 0 ? CpuidResult{0, mask(kLeaf7Ebx), 0, mask(kLeaf7Edx)} : CpuidResult{};
    case 0xb: return topology(subleaf, context);
    case 0x15:
      return {.eax = 1, .ebx = cpu_model::kTscPerCrystal, .ecx = cpu_model::kCrystalHz, .edx = 0};
    default: return {};
  }
}

CpuidResult extended(std::uint32_t leaf) {
  switch (leaf) {
    case 0x8000'0000: return {.eax = cpu_model::kHighestExtended};
    case 0x8000'0001: return {0, 0, mask(kExtended1Ecx), mask(kExtended1Edx)};
    case 0x8000'0002:
    case 0x8000'0003:
    case 0x8000'0004: {
      const std::size_t at = std::size_t{leaf - 0x8000'0002} * 16;
      return {text(kBrand, at), text(kBrand, at + 4), text(kBrand, at + 8), text(kBrand, at + 12)};
    }
    case 0x8000'0007: return {.edx = mask(kExtended7Edx)};
    case 0x8000'0008: return {.eax = cpu_model::kPhysicalBits | cpu_model::kLinearBits << 8};
    default:          return {};
  }
}

}  // namespace

CpuidResult cpuid(std::uint32_t leaf, std::uint32_t subleaf, const CpuidContext& context) {
  if (leaf == cpu_model::kHypervisorLeaf) {
    return {cpu_model::kHypervisorLeaf, text(kHypervisor, 0), text(kHypervisor, 4),
            text(kHypervisor, 8)};
  }
  if (leaf >> 24 == 0x40) return {};
  if (leaf >= 0x8000'0000 && leaf <= cpu_model::kHighestExtended) return extended(leaf);
  if (leaf > cpu_model::kHighestBasic) leaf = cpu_model::kHighestBasic;
  return basic(leaf, subleaf, context);
}

}  // namespace retrap::x86_64
