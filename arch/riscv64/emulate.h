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

/// Performs `instruction`, whose access begins at the guest-virtual `address`; `faulting` is the
/// address in it that stage 2 refused. The bytes on the page of `faulting` are accessed first, so
/// that a refusal leaves the rest untouched. Registers change only where the outcome is Retired;
/// the program counter is the caller's. LR and SC have no reservation on devices: NoAccess.
[[nodiscard]] EmulationResult emulate_memory(Cpu& cpu, const MemoryInstruction& instruction,
                                             std::uint64_t address, std::uint64_t faulting,
                                             AccessPort& port);

/// What an atomic operation stores: `memory` and `operand` are zero above `width`.
[[nodiscard]] std::uint64_t apply(AmoOperation operation, Width width, std::uint64_t memory,
                                  std::uint64_t operand);

}  // namespace retrap::riscv64
