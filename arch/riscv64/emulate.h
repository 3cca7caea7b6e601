// Performs a load, store or atomic of a guest through an AccessPort.
#pragma once

#include <cstdint>

#include "arch/riscv64/cpu.h"
#include "arch/riscv64/decode.h"
#include "vmm/arch_vcpu.h"

namespace retrap::riscv64 {

/// Where the access of an instruction went wrong on the guest's side.
struct GuestTrap {
  Cause cause = Cause::LoadPageFault;
  std::uint64_t value = 0;  ///< stval
};

/// How an emulation ended, with the trap of Emulated::GuestFault.
struct EmulationResult {
  Emulated outcome;
  GuestTrap trap;
};

/// An access of a guest, and the address in it that stage 2 refused.
struct FaultingAccess {
  std::uint64_t address;   ///< guest-virtual, of its first byte
  std::uint64_t faulting;  ///< guest-virtual
  GuestPhys gpa;           ///< of `faulting`
};

/// Performs `instruction`, whose access is `where`. The bytes on the page of `faulting` are
/// accessed first, so that a refusal leaves the rest untouched. Registers change only where the
/// outcome is Retired; the program counter is the caller's. LR and SC have no reservation on
/// devices: NoAccess.
[[nodiscard]] EmulationResult emulate_memory(Cpu& cpu, const MemoryInstruction& instruction,
                                             const FaultingAccess& where, AccessPort& port);

/// What an atomic operation stores: `memory` and `operand` are zero above `width`.
[[nodiscard]] std::uint64_t apply(AmoOperation operation, Width width, std::uint64_t memory,
                                  std::uint64_t operand);

}  // namespace retrap::riscv64
