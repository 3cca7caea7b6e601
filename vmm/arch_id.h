// The names of the guest architectures: data at run time, never a compile flag.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace retrap {

// NOLINTNEXTLINE(readability-identifier-naming): the manual's spelling.
enum class ArchId : std::uint8_t { X86_64, Aarch64, Riscv64 };

inline constexpr std::array<ArchId, 3> kAllArchs = {ArchId::X86_64, ArchId::Aarch64,
                                                    ArchId::Riscv64};
inline constexpr std::array<std::string_view, 3> kArchNames = {"x86_64", "aarch64", "riscv64"};

[[nodiscard]] constexpr std::string_view to_string(ArchId arch) {
  return kArchNames[static_cast<std::size_t>(arch)];
}

/// The architecture called `name` ("x86_64", "aarch64", "riscv64"), or nothing.
[[nodiscard]] constexpr std::optional<ArchId> arch_from_name(std::string_view name) {
  for (const ArchId arch : kAllArchs) {
    if (to_string(arch) == name) return arch;
  }
  return std::nullopt;
}

}  // namespace retrap
