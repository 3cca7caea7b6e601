// The window on the CPU state inside the engine: the one place that knows Unicorn 2.1.4's layout.
#pragma once

#include <unicorn/unicorn.h>

#include <cstddef>
#include <cstdint>

#include "vmm/base/result.h"

namespace retrap::unicorn::riscv64 {

/// CPURISCVState, from its start.
///
/// The public interface reaches the same words by a hundred times the work; an exit needs a dozen
/// of them. Whatever may be written here has no copy elsewhere in the engine, except: `mip` is for
/// reading, and of `mstatus` neither SUM, MXR nor MPRV may be changed (the engine flushes its TLB
/// for them). `x` and `pc` are exact outside uc_emu_start and in the hook of UC_HOOK_INTR; while
/// translated code runs, they may be in host registers.
struct Env {
  std::uint64_t x[32];
  std::uint64_t f[32];
  std::uint64_t pc;
  std::uint64_t load_res;  ///< the reservation of LR: kNoReservation, or its address
  std::uint64_t load_val;
  std::uint64_t frm;
  std::uint64_t badaddr;
  std::uint64_t guest_phys_fault_addr;
  std::uint64_t priv_ver;
  std::uint64_t misa;
  std::uint64_t misa_mask;
  std::uint32_t features;
  std::uint32_t padding0;
  std::uint64_t priv;
  std::uint64_t virt;
  std::uint64_t resetvec;
  std::uint64_t mhartid;
  std::uint64_t mstatus;
  std::uint64_t mip;
  std::uint32_t miclaim;
  std::uint32_t padding1;
  std::uint64_t mie;
  std::uint64_t mideleg;
  std::uint64_t sptbr;
  std::uint64_t satp;
  std::uint64_t sbadaddr;  ///< stval
  std::uint64_t mbadaddr;
  std::uint64_t medeleg;
  std::uint64_t stvec;
  std::uint64_t sepc;
  std::uint64_t scause;
  std::uint64_t padding2[28];
  std::uint64_t scounteren;
  std::uint64_t mcounteren;
  std::uint64_t sscratch;

  static constexpr std::uint64_t kNoReservation = ~std::uint64_t{0};

  /// Finds the state of `uc`, a new engine, and checks every field that we use by writing through
  /// the public register interface. Backend where this build of Unicorn lays the state out in
  /// another way. The registers are as they were, and the engine is in M-mode.
  [[nodiscard]] static Result<Env*> find(uc_engine* uc);
};
static_assert(offsetof(Env, priv) == 592 && offsetof(Env, mstatus) == 624 &&
              offsetof(Env, stvec) == 704 && offsetof(Env, scounteren) == 952);

}  // namespace retrap::unicorn::riscv64
