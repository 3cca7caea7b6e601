// Finds the CPU state of an engine by what was written to it, and checks its layout.
#include "sim/unicorn/aarch64/env.h"

#include <cstring>
#include <iterator>
#include <span>

#include "sim/unicorn/cpu_object.h"
#include "sim/unicorn/engine.h"

namespace retrap::unicorn::aarch64 {
namespace {

constexpr std::array<std::uint32_t, 5> kStates = {0x3c5, 0x5000'0045, 0xa000'0185, 0x6010'0004, 0};

constexpr std::uint64_t sentinel(unsigned index) {
  return 0x5115'c0de'0000'0000 + index * 0x0101'0101ULL;
}

int id_of(unsigned index) {
  if (index == 29) return UC_ARM64_REG_X29;
  if (index == 30) return UC_ARM64_REG_X30;
  return UC_ARM64_REG_X0 + static_cast<int>(index);
}

template <class T>
void write(uc_engine* uc, int id, T value) {
  check(uc_reg_write(uc, id, &value), "reg_write");
}

/// Every register by the public interface, each with a value of its own.
void write_all(uc_engine* uc, unsigned first) {
  for (unsigned i = 0; i < 31; ++i) write(uc, id_of(i), sentinel(first + i));
  write(uc, UC_ARM64_REG_SP, sentinel(first + 31));
  write(uc, UC_ARM64_REG_PC, sentinel(first + 32));
  write(uc, UC_ARM64_REG_ELR_EL1, sentinel(first + 33));
  write(uc, UC_ARM64_REG_SP_EL0, sentinel(first + 34));
  write(uc, UC_ARM64_REG_SP_EL1, sentinel(first + 35));
  write(uc, UC_ARM64_REG_CP_REG,
        uc_arm64_cp_reg{0, 0, 3, 4, 0, sentinel(first + 36)});  // VPIDR_EL2
  write(uc, UC_ARM64_REG_CP_REG,
        uc_arm64_cp_reg{0, 0, 3, 4, 5, sentinel(first + 37)});  // VMPIDR_EL2
  write(uc, UC_ARM64_REG_V31, std::array{sentinel(first + 38), sentinel(first + 39)});
}

bool registers_match(const Env& env, unsigned first) {
  bool same = env.pc == sentinel(first + 32) && env.elr[1] == sentinel(first + 33) &&
              env.sp[0] == sentinel(first + 34) && env.sp[1] == sentinel(first + 35) &&
              env.vpidr == sentinel(first + 36) && env.vmpidr == sentinel(first + 37) &&
              env.v31[0] == sentinel(first + 38) && env.v31[1] == sentinel(first + 39);
  for (unsigned i = 0; i < 32; ++i) same = same && env.x[i] == sentinel(first + i);
  return same && env.aarch64 == 1;
}

bool pstate_matches(uc_engine* uc, Env& env) {
  bool same = true;
  for (const std::uint32_t state : kStates) {
    write(uc, UC_ARM64_REG_PSTATE, state);
    same = same && env.pstate() == state;
    env.set_pstate(~state & 0xf010'03c5);
    std::uint32_t read = 0;
    check(uc_reg_read(uc, UC_ARM64_REG_PSTATE, &read), "reg_read");
    same = same && read == (~state & 0xf010'03c5);
  }
  return same;
}

/// Of a new engine. No register reaches the monitor; all around it is zero.
bool monitor_is_open(const Env& env) {
  std::uint64_t before = 0;
  std::memcpy(&before, std::end(env.to_monitor) - sizeof before, sizeof before);
  return before == 0 && env.exclusive_addr == Env::kNothing && env.exclusive_value == 0;
}

std::byte* search(uc_engine* uc) {
  write_all(uc, 0);
  std::array<std::uint64_t, 33> wanted{};
  for (unsigned i = 0; i < wanted.size(); ++i) wanted[i] = sentinel(i);
  std::byte* const found = find_in_cpu(uc, std::as_bytes(std::span(wanted)), sizeof(Env));
  return found == nullptr ? nullptr : found - offsetof(Env, x);
}

// Another set of values: what follows them is the engine's own, and not a copy.
std::string_view mismatch(uc_engine* uc, std::byte* found) {
  write_all(uc, 100);
  Env& env = *reinterpret_cast<Env*>(found);
  if (!registers_match(env, 100)) return "registers";
  if (!monitor_is_open(env)) return "the exclusive monitor";
  return pstate_matches(uc, env) ? "" : "PSTATE";
}

}  // namespace

Result<Env*> Env::find(uc_engine* uc) {
  return find_state(uc, search, mismatch).map([](std::byte* found) {
    return reinterpret_cast<Env*>(found);
  });
}

}  // namespace retrap::unicorn::aarch64
