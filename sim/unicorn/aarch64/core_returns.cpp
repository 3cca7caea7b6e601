// Exception returns that the engine would get wrong: AArch32, illegal ones, PSTATE.IL.
#include "sim/unicorn/aarch64/core.h"

namespace retrap::unicorn::aarch64 {
namespace {

namespace pstate = retrap::aarch64::pstate;

constexpr std::uint32_t kModeMask = 0xf;  // SPSR_EL1.M[3:0]

// DDI 0487, D1.3.4, "Illegal return events and PSTATE.IL": only EL0t, EL1t and EL1h are there.
bool is_illegal(std::uint64_t spsr) {
  const std::uint64_t mode = spsr & kModeMask;
  return (spsr & pstate::kAArch32) != 0 || (mode != 0 && mode != 4 && mode != 5);
}

}  // namespace

bool Core::is_odd_return(std::uint64_t spsr) {
  return is_illegal(spsr) || (spsr & pstate::kIl) != 0;
}

// An ERET ends its block, and a block that ends in one is marked. What SPSR_EL1 has does not matter
// at EL0, where ERET is undefined.
int Core::odd_return_in(std::uint64_t at, std::uint32_t instructions) {
  if (pstate::el(registers_.pstate()) == 0) return -1;
  const std::byte* const code = code_at(at);
  if (code == nullptr) return -1;
  const auto last = static_cast<int>(instructions) - 1;
  return word_of(code, instructions - 1) == kEret ? last : -1;
}

// The engine would enter AArch32, or go on as if PSTATE.IL were clear. Where the return is illegal,
// exception level and stack pointer stay; the exception is the next instruction's. Of the address
// of an AArch32 return, bits 1 and 0 are unknown: clear, here.
Core::Next Core::return_oddly() {
  const std::uint64_t spsr = registers_.sysreg(SysReg::SPSR_EL1);
  const std::uint64_t to = registers_.direct(UC_ARM64_REG_ELR_EL1);
  constexpr std::uint32_t kFromSpsr = pstate::kNzcv | pstate::kDaif;
  const auto kept = static_cast<std::uint32_t>(spsr) & kFromSpsr;
  const auto mode = is_illegal(spsr) ? registers_.pstate() : static_cast<std::uint32_t>(spsr);
  set_pstate(*current_, kept | (mode & kModeMask) | pstate::kIl);
  current_->pc = (spsr & pstate::kAArch32) != 0 ? to & ~std::uint64_t{3} : to;
  ++retired_;
  return Next::GoOn;
}

}  // namespace retrap::unicorn::aarch64
