// Small numbers that must not be confused with one another.
#pragma once

#include <cstdint>

namespace retrap {

enum class VmId : std::uint32_t {};    ///< `base.id` of the configuration
enum class VcpuId : std::uint32_t {};  ///< 0 .. cpu_num-1; 0 is the boot processor

[[nodiscard]] constexpr std::uint32_t index(VmId id) {
  return static_cast<std::uint32_t>(id);
}
[[nodiscard]] constexpr std::uint32_t index(VcpuId id) {
  return static_cast<std::uint32_t>(id);
}

inline constexpr VcpuId kBootVcpu{0};
/// Who has the frames of inter-VM channels in the ledger: no VM.
inline constexpr VmId kIvcChannels{~std::uint32_t{0}};
inline constexpr std::uint32_t kMaxVcpus = 64;  ///< per VM: masks of vCPUs are 64 bits wide

}  // namespace retrap
