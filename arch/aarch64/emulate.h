// Performs a load or store that stage 2 refused, for the monitor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "arch/aarch64/cpu.h"
#include "arch/aarch64/decode.h"

namespace retrap::aarch64 {

/// How it ended. The program counter has not moved yet.
struct EmulationResult {
  Emulated outcome = Emulated::Unknown;
  /// GuestFault: the status code, the address and the direction of the guest's own abort.
  std::uint32_t fsc = 0;
  std::uint64_t far = 0;
  bool write = false;
};

/// What the syndrome of a data abort says about the access, where ISV is set.
struct SyndromeAccess {
  GuestPhys at;
  Width width;
  unsigned rt;
  Width register_width;
  bool sign_extend;
  bool write;
};

/// Nothing where ISV is clear, or where the access leaves its page.
[[nodiscard]] std::optional<SyndromeAccess> access_of(const RawExit& exit);

/// One access, known from the syndrome alone.
[[nodiscard]] EmulationResult emulate_access(Cpu& cpu, const SyndromeAccess& access,
                                             AccessPort& port);

/// The instruction at PC, whatever its form: pairs, writeback, SIMD, structures, atomics, DC ZVA,
/// accesses that cross a page. Registers change only where all of it succeeded.
[[nodiscard]] EmulationResult emulate_instruction(Cpu& cpu, AccessPort& port);

}  // namespace retrap::aarch64
