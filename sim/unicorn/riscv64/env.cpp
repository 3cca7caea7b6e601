// Finds the CPU state of an engine by what was written to it, and checks its layout.
#include "sim/unicorn/riscv64/env.h"

#include <array>
#include <span>

#include "sim/unicorn/cpu_object.h"
#include "sim/unicorn/engine.h"

namespace retrap::unicorn::riscv64 {
namespace {

constexpr std::uint64_t sentinel(unsigned index) {
  return 0x5115'c0de'0000'0000 + index * 0x0101'0101ULL;
}

void write(uc_engine* uc, int id, std::uint64_t value) {
  check(uc_reg_write(uc, id, &value), "reg_write");
}

/// Every register by the public interface, each with a value of its own.
void write_all(uc_engine* uc, unsigned first) {
  for (unsigned i = 1; i < 32; ++i) {
    write(uc, UC_RISCV_REG_X0 + static_cast<int>(i), sentinel(first + i));
  }
  for (unsigned i = 0; i < 32; ++i) {
    write(uc, UC_RISCV_REG_F0 + static_cast<int>(i), sentinel(first + 32 + i));
  }
  write(uc, UC_RISCV_REG_PC, sentinel(first + 64));
  write(uc, UC_RISCV_REG_SEPC, sentinel(first + 65));
  write(uc, UC_RISCV_REG_SCAUSE, sentinel(first + 66));
  write(uc, UC_RISCV_REG_STVAL, sentinel(first + 67));
  write(uc, UC_RISCV_REG_SSCRATCH, sentinel(first + 68));
  write(uc, UC_RISCV_REG_STVEC, sentinel(first + 69) & ~3ULL);
  write(uc, UC_RISCV_REG_SCOUNTEREN, first & 7);
  write(uc, UC_RISCV_REG_MSTATUS, 0x122);  // SPP, SPIE, SIE
  write(uc, UC_RISCV_REG_MIP, 0x202);
  write(uc, UC_RISCV_REG_MIE, 0x220);
  write(uc, UC_RISCV_REG_MIDELEG, 0x222);
}

bool registers_match(const Env& env, unsigned first) {
  bool same = env.x[0] == 0 && env.pc == sentinel(first + 64);
  for (unsigned i = 1; i < 32; ++i) same = same && env.x[i] == sentinel(first + i);
  for (unsigned i = 0; i < 32; ++i) same = same && env.f[i] == sentinel(first + 32 + i);
  return same;
}

bool csrs_match(const Env& env, unsigned first) {
  return env.sepc == sentinel(first + 65) && env.scause == sentinel(first + 66) &&
         env.sbadaddr == sentinel(first + 67) && env.sscratch == sentinel(first + 68) &&
         env.stvec == (sentinel(first + 69) & ~3ULL) && env.scounteren == (first & 7) &&
         env.mstatus == 0x122 && env.mip == 0x202 && env.mie == 0x220 && env.mideleg == 0x222;
}

/// The privilege, and the reservation that every change of it breaks.
bool privilege_matches(uc_engine* uc, Env& env) {
  bool same = true;
  for (const std::uint64_t privilege : {0ULL, 1ULL, 3ULL}) {
    env.load_res = 0;
    write(uc, UC_RISCV_REG_PRIV, privilege);
    same = same && env.priv == privilege && env.load_res == Env::kNoReservation;
  }
  return same;
}

/// The general registers with their first values, as they lie in the state.
std::byte* search(uc_engine* uc) {
  write_all(uc, 0);
  std::array<std::uint64_t, 32> wanted{};
  for (unsigned i = 1; i < wanted.size(); ++i) wanted[i] = sentinel(i);
  return find_in_cpu(uc, std::as_bytes(std::span(wanted)), sizeof(Env));
}

// Another set of values: what follows them is the engine's own, and not a copy.
std::string_view mismatch(uc_engine* uc, std::byte* found) {
  write_all(uc, 100);
  Env& env = *reinterpret_cast<Env*>(found);
  std::string_view wrong;
  if (!registers_match(env, 100)) wrong = "registers";
  if (wrong.empty() && !csrs_match(env, 100)) wrong = "CSRs";
  if (wrong.empty() && !privilege_matches(uc, env)) wrong = "privilege";
  write(uc, UC_RISCV_REG_MIP, 0);
  return wrong;
}

}  // namespace

Result<Env*> Env::find(uc_engine* uc) {
  return find_state(uc, search, mismatch).map([](std::byte* found) {
    return reinterpret_cast<Env*>(found);
  });
}

}  // namespace retrap::unicorn::riscv64
