// Control and status registers: which ones there are for a guest, and who answers for the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "arch/riscv64/causes.h"
#include "arch/riscv64/translation.h"

namespace retrap::riscv64 {

/// Whose a CSR is, as a guest in VS- or VU-mode meets it.
enum class CsrKind : std::uint8_t {
  Guest,       ///< the hart has a copy for the guest: no exit
  Time,        ///< the hart answers, where scounteren lets U-mode see it
  Counter,     ///< hcounteren hides it: the monitor answers from virtual time
  Hypervisor,  ///< H extension and VS copies: the guest has no H extension
  Custom,      ///< reserved by the architecture for custom use: the system-register bus
};

/// A run of CSR numbers of one kind.
struct CsrRow {
  std::uint16_t first;
  std::uint16_t last;
  std::string_view name;
  CsrKind kind;
};

/// The row that holds `number`, or null for a CSR that this hart does not have.
[[nodiscard]] const CsrRow* find_csr(std::uint16_t number);

/// The lowest privilege that may access a CSR, as its number says: 0 user, 1 supervisor,
/// 2 hypervisor, 3 machine.
[[nodiscard]] constexpr unsigned csr_privilege(std::uint16_t number) {
  return (number >> 8) & 3u;
}
[[nodiscard]] constexpr bool csr_is_read_only(std::uint16_t number) {
  return (number >> 10) == 3;
}

enum class CsrOperation : std::uint8_t { Write = 1, Set = 2, Clear = 3 };

/// One of CSRRW, CSRRS, CSRRC and their immediate forms.
struct CsrInstruction {
  std::uint16_t csr;
  CsrOperation operation;
  bool immediate;  ///< `source` is the value, not a register
  std::uint8_t rd;
  std::uint8_t source;

  /// CSRRW with rd = x0 does not read; CSRRS and CSRRC with rs1 = x0 do not write.
  [[nodiscard]] constexpr bool reads() const { return operation != CsrOperation::Write || rd != 0; }
  [[nodiscard]] constexpr bool writes() const {
    return operation == CsrOperation::Write || source != 0;
  }
  /// What the instruction leaves in a CSR that held `old`.
  [[nodiscard]] constexpr std::uint64_t apply(std::uint64_t old, std::uint64_t operand) const {
    switch (operation) {
      case CsrOperation::Write: return operand;
      case CsrOperation::Set:   return old | operand;
      case CsrOperation::Clear: return old & ~operand;
    }
    return old;
  }
  friend bool operator==(const CsrInstruction&, const CsrInstruction&) = default;
};

/// Nothing where `instruction` is none of them.
[[nodiscard]] constexpr std::optional<CsrInstruction> decode_csr(std::uint32_t instruction) {
  const auto function = (instruction >> 12) & 7;
  if ((instruction & 0x7f) != 0x73 || (function & 3) == 0) return std::nullopt;
  return CsrInstruction{.csr = static_cast<std::uint16_t>(instruction >> 20),
                        .operation = static_cast<CsrOperation>(function & 3),
                        .immediate = (function & 4) != 0,
                        .rd = static_cast<std::uint8_t>((instruction >> 7) & 31),
                        .source = static_cast<std::uint8_t>((instruction >> 15) & 31)};
}

/// WFI.
inline constexpr std::uint32_t kWfi = 0x1050'0073;

/// What the hardware raises when a guest accesses a CSR (Privileged Architecture, "Virtual
/// Instruction Exception"), or nothing where the hart answers. `scounteren` is the guest's.
[[nodiscard]] std::optional<Cause> csr_trap(const CsrInstruction& access, Privilege privilege,
                                            std::uint64_t scounteren);

/// Whether a guest may read counter `number` (0xc00 on) at this privilege.
[[nodiscard]] constexpr bool counter_is_visible(std::uint16_t number, Privilege privilege,
                                                std::uint64_t scounteren) {
  return privilege == Privilege::Supervisor || ((scounteren >> (number & 31)) & 1) != 0;
}

}  // namespace retrap::riscv64
