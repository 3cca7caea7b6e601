// Entry to EL1, done by hand: the same steps for injected exceptions and for the guest's own.
#include "arch/aarch64/cpu.h"

namespace retrap::aarch64 {
namespace {

// DDI 0487, D1.3.1.5, table of vector offsets: by where the exception comes from.
std::uint64_t vector_base(std::uint32_t from) {
  if (pstate::el(from) == 0) return 0x400;
  return (from & pstate::kSpSel) != 0 ? 0x200 : 0;
}

}  // namespace

bool is_at_own_vector(const Cpu& cpu) {
  const std::uint32_t state = cpu.pstate();
  return pstate::el(state) == 1 && (state & pstate::kSpSel) != 0 &&
         cpu.pc() == cpu.sysreg(SysReg::VBAR_EL1) + vector_base(state);
}

void enter_el1(Cpu& cpu, const ExceptionEntry& entry) {
  const std::uint32_t from = cpu.pstate();
  cpu.set_sysreg(SysReg::ELR_EL1, entry.return_address);
  if (entry.esr) cpu.set_sysreg(SysReg::ESR_EL1, *entry.esr);
  if (entry.far) cpu.set_sysreg(SysReg::FAR_EL1, *entry.far);
  cpu.set_pstate(pstate::kReset);
  cpu.set_sysreg(SysReg::SPSR_EL1, from);
  cpu.set_pc(cpu.sysreg(SysReg::VBAR_EL1) + vector_base(from) +
             static_cast<std::uint64_t>(entry.type));
}

}  // namespace retrap::aarch64
