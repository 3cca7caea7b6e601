// The window on the CPU state inside the engine: the one place that knows Unicorn 2.1.4's layout.
#pragma once

#include <unicorn/unicorn.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "arch/aarch64/registers.h"
#include "vmm/base/result.h"

namespace retrap::unicorn::aarch64 {

/// CPUARMState, from its start.
///
/// The public interface reaches the same words by a hundred times the work; an exit needs a dozen
/// of them. None has a copy elsewhere in the engine, but what translated code assumes of PSTATE is
/// in `hflags`, which a write to any system register brings up to date. Exact outside
/// uc_emu_start; inside, where the hooks' comments say so.
struct Env {
  std::uint32_t r[16];  // AArch32
  std::uint64_t x[32];  ///< x[31] is the stack pointer that PSTATE selects
  std::uint64_t pc;
  std::uint32_t rest_of_pstate;  ///< without NZCV, DAIF, BTYPE and nRW
  std::uint32_t aarch64;         ///< 1, or 0 in AArch32
  std::uint32_t hflags;
  std::uint32_t uncached_cpsr;
  std::uint32_t spsr;
  std::uint32_t padding;
  std::uint64_t banked_spsr[8];
  std::uint32_t banked_r13_r14[16];
  std::uint32_t usr_fiq_regs[10];
  std::uint32_t carry;
  std::uint32_t overflow;  ///< bit 31
  std::uint32_t negative;  ///< bit 31
  std::uint32_t not_zero;
  std::uint32_t q, ge, thumb, condexec_bits;
  std::uint32_t btype;
  std::uint32_t padding1;
  std::uint64_t daif;
  std::uint64_t elr[4];  ///< by exception level
  std::uint64_t sp[4];   ///< by exception level; that which is selected is stale
  std::byte system[2192];
  std::uint64_t vpidr;
  std::uint64_t vmpidr;
  std::byte m_profile[184];
  std::uint32_t syndrome;  ///< of the last exception, as ESR_EL2 would have it
  std::byte to_vectors[7996];
  std::uint64_t v31[2];  ///< its lowest 128 bits; the registers are 256 bytes apart
  std::byte to_monitor[992];
  std::uint64_t exclusive_addr;  ///< what the exclusive monitor watches: kNothing, or its address
  std::uint64_t exclusive_value;

  static constexpr std::uint64_t kNothing = ~std::uint64_t{0};

  /// In SPSR layout.
  [[nodiscard]] std::uint32_t pstate() const {
    return (negative & 0x8000'0000) | (not_zero == 0 ? 1u << 30 : 0) | carry << 29 |
           (overflow & 0x8000'0000) >> 3 | rest_of_pstate | static_cast<std::uint32_t>(daif) |
           btype << 10;
  }
  void set_pstate(std::uint32_t value) {
    using retrap::aarch64::pstate::kDaif;
    using retrap::aarch64::pstate::kNzcv;
    not_zero = ~value & 1u << 30;
    negative = value;
    carry = value >> 29 & 1;
    overflow = value << 3 & 0x8000'0000;
    daif = value & kDaif;
    btype = value >> 10 & 3;
    rest_of_pstate = value & ~(kNzcv | kDaif | 3u << 10);
  }

  /// Finds the state of `uc`, a new engine, and checks every field that we use by writing through
  /// the public register interface. Backend where this build of Unicorn lays the state out in
  /// another way. The registers are as they were.
  [[nodiscard]] static Result<Env*> find(uc_engine* uc);
};
static_assert(offsetof(Env, pc) == 320 && offsetof(Env, banked_spsr) == 352 &&
              offsetof(Env, daif) == 560 && offsetof(Env, vpidr) == 2824 &&
              offsetof(Env, syndrome) == 3024 && offsetof(Env, v31) == 11024 &&
              offsetof(Env, exclusive_addr) == 12032);

}  // namespace retrap::unicorn::aarch64
