// Why a vCPU came back: the vocabulary of the project.
//
// The names and fields are those of axvm's AxVCpuExitReason; what we append comes after them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>

#include "vmm/base/address.h"
#include "vmm/base/width.h"

namespace retrap {

/// What an access wants, and what a mapping allows: axvm's MappingFlags, bit for bit.
enum class MappingFlags : std::uint32_t {
  None = 0,
  Read = 1,
  Write = 2,
  Execute = 4,
  User = 8,
  Device = 0x10,
  Uncached = 0x20,
};

[[nodiscard]] constexpr MappingFlags operator|(MappingFlags a, MappingFlags b) {
  return MappingFlags(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
[[nodiscard]] constexpr MappingFlags operator&(MappingFlags a, MappingFlags b) {
  return MappingFlags(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}
/// Whether `flags` has every bit of `wanted`.
[[nodiscard]] constexpr bool allows(MappingFlags flags, MappingFlags wanted) {
  return (flags & wanted) == wanted;
}

namespace exits {

/// A `reg` that names no general-purpose register (SIMD, a store's immediate, a discarded load).
inline constexpr std::uint8_t kNoRegister = 0xff;

/// vmcall/vmmcall, hvc/smc, or ecall with the custom EID: number and arguments by the
/// architecture's convention (reference: axvm, "Hypercalls and IVC").
struct Hypercall {
  std::uint64_t nr;
  std::array<std::uint64_t, 6> args;
  friend bool operator==(const Hypercall&, const Hypercall&) = default;
};

/// A load from a device.
struct MmioRead {
  GuestPhys addr;
  Width width;
  std::uint8_t reg = kNoRegister;  ///< destination, in the architecture's own numbering
  Width reg_width = Width::Double;
  bool signed_ext = false;  ///< sign-extend from `width` to `reg_width`
  friend bool operator==(const MmioRead&, const MmioRead&) = default;
};

/// A store to a device.
struct MmioWrite {
  GuestPhys addr;
  Width width;
  std::uint64_t data;  ///< zero above `width`
  friend bool operator==(const MmioWrite&, const MmioWrite&) = default;
};

/// RDMSR, MRS or a CSR read. `addr`: MSR number, ESR ISS layout (op0 op2 op1 CRn CRm), CSR number.
struct SysRegRead {
  std::uint64_t addr;
  std::uint8_t reg;
  friend bool operator==(const SysRegRead&, const SysRegRead&) = default;
};

struct SysRegWrite {
  std::uint64_t addr;
  std::uint64_t value;
  friend bool operator==(const SysRegWrite&, const SysRegWrite&) = default;
};

/// IN, one element of INS.
struct IoRead {
  std::uint16_t port;
  Width width;  ///< never Double
  friend bool operator==(const IoRead&, const IoRead&) = default;
};

/// OUT, one element of OUTS.
struct IoWrite {
  std::uint16_t port;
  Width width;
  std::uint64_t data;
  friend bool operator==(const IoWrite&, const IoWrite&) = default;
};

/// The host was interrupted; the vector is the host's.
struct ExternalInterrupt {
  std::uint64_t vector;
  friend bool operator==(const ExternalInterrupt&, const ExternalInterrupt&) = default;
};

/// Stage 2 refused an access. The program counter is still at the instruction.
struct NestedPageFault {
  GuestPhys addr;
  MappingFlags access_flags;  ///< what the access wanted: never empty
  friend bool operator==(const NestedPageFault&, const NestedPageFault&) = default;
};

/// hlt, wfi: nothing to do until an interrupt.
struct Halt {
  friend bool operator==(const Halt&, const Halt&) = default;
};

/// PSCI CPU_ON, SBI HART_START, SIPI.
struct CpuUp {
  std::uint64_t target_cpu;  ///< MPIDR affinity, hart id or APIC id
  GuestPhys entry_point;
  std::uint64_t arg;
  friend bool operator==(const CpuUp&, const CpuUp&) = default;
};

/// PSCI CPU_OFF, SBI HART_STOP, CPU_SUSPEND.
struct CpuDown {
  std::uint64_t state;
  friend bool operator==(const CpuDown&, const CpuDown&) = default;
};

/// PSCI SYSTEM_OFF, SBI SRST shutdown, ACPI S5, the exit port.
struct SystemDown {
  friend bool operator==(const SystemDown&, const SystemDown&) = default;
};

/// Handled inside the architecture; the loop turns once.
struct Nothing {
  friend bool operator==(const Nothing&, const Nothing&) = default;
};

/// The virtualization hardware refused to enter the guest.
struct FailEntry {
  std::uint64_t hardware_entry_failure_reason;
  friend bool operator==(const FailEntry&, const FailEntry&) = default;
};

struct SendIPI {
  std::uint64_t target_cpu;
  std::uint64_t target_cpu_aux;
  bool send_to_all;
  bool send_to_self;
  std::uint64_t vector;
  friend bool operator==(const SendIPI&, const SendIPI&) = default;
};

// What the reference does not have.

/// The vCPU reached Clock::stop_at(). Not the guest's doing.
struct BudgetSpent {
  friend bool operator==(const BudgetSpent&, const BudgetSpent&) = default;
};

/// PSCI SYSTEM_RESET, SBI SRST reboot, port 0xcf9, the keyboard controller's reset line.
struct SystemReset {
  friend bool operator==(const SystemReset&, const SystemReset&) = default;
};

/// The guest cannot go on: triple fault, an exception in its exception vector without end, a
/// state that the hardware under us does not model. `cause` is the architecture's code.
struct GuestCrash {
  std::uint64_t cause;
  std::uint64_t address;
  friend bool operator==(const GuestCrash&, const GuestCrash&) = default;
};

}  // namespace exits

/// The order is part of the trace format: append, never insert.
using ExitReason =
    std::variant<exits::Hypercall, exits::MmioRead, exits::MmioWrite, exits::SysRegRead,
                 exits::SysRegWrite, exits::IoRead, exits::IoWrite, exits::ExternalInterrupt,
                 exits::NestedPageFault, exits::Halt, exits::CpuUp, exits::CpuDown,
                 exits::SystemDown, exits::Nothing, exits::FailEntry, exits::SendIPI,
                 exits::BudgetSpent, exits::SystemReset, exits::GuestCrash>;

inline constexpr std::size_t kExitKinds = std::variant_size_v<ExitReason>;

inline constexpr std::array<std::string_view, kExitKinds> kExitNames = {
    "hypercall", "mmio-read",    "mmio-write",         "sysreg-read",       "sysreg-write",
    "io-read",   "io-write",     "external-interrupt", "nested-page-fault", "halt",
    "cpu-up",    "cpu-down",     "system-down",        "nothing",           "fail-entry",
    "send-ipi",  "budget-spent", "system-reset",       "guest-crash"};
static_assert(sizeof(ExitReason) <= 64, "an exit fits in a cache line");

[[nodiscard]] constexpr std::string_view name(const ExitReason& exit) {
  return kExitNames[exit.index()];
}

}  // namespace retrap
