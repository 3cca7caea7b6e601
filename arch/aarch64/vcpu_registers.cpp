// Every register of a vCPU by name, for dumps and digests.
#include <array>

#include "arch/aarch64/vcpu.h"
#include "vmm/base/bytes.h"

namespace retrap::aarch64 {
namespace {

struct Row {
  std::string_view name;
  SysReg reg;
};

// clang-format off
constexpr std::array<Row, 25> kSystem = {{
    {"SP_EL0",         SysReg::SP_EL0},         {"SP_EL1",         SysReg::SP_EL1},
    {"ELR_EL1",        SysReg::ELR_EL1},        {"SPSR_EL1",       SysReg::SPSR_EL1},
    {"ESR_EL1",        SysReg::ESR_EL1},        {"FAR_EL1",        SysReg::FAR_EL1},
    {"PAR_EL1",        SysReg::PAR_EL1},        {"VBAR_EL1",       SysReg::VBAR_EL1},
    {"SCTLR_EL1",      SysReg::SCTLR_EL1},      {"ACTLR_EL1",      SysReg::ACTLR_EL1},
    {"CPACR_EL1",      SysReg::CPACR_EL1},      {"TTBR0_EL1",      SysReg::TTBR0_EL1},
    {"TTBR1_EL1",      SysReg::TTBR1_EL1},      {"TCR_EL1",        SysReg::TCR_EL1},
    {"MAIR_EL1",       SysReg::MAIR_EL1},       {"AMAIR_EL1",      SysReg::AMAIR_EL1},
    {"AFSR0_EL1",      SysReg::AFSR0_EL1},      {"AFSR1_EL1",      SysReg::AFSR1_EL1},
    {"CONTEXTIDR_EL1", SysReg::CONTEXTIDR_EL1}, {"TPIDR_EL1",      SysReg::TPIDR_EL1},
    {"TPIDR_EL0",      SysReg::TPIDR_EL0},      {"TPIDRRO_EL0",    SysReg::TPIDRRO_EL0},
    {"CNTKCTL_EL1",    SysReg::CNTKCTL_EL1},    {"FPCR",           SysReg::FPCR},
    {"FPSR",           SysReg::FPSR},
}};
constexpr std::array<std::string_view, 31> kGeneral = {
    "X0",  "X1",  "X2",  "X3",  "X4",  "X5",  "X6",  "X7",  "X8",  "X9",  "X10",
    "X11", "X12", "X13", "X14", "X15", "X16", "X17", "X18", "X19", "X20", "X21",
    "X22", "X23", "X24", "X25", "X26", "X27", "X28", "X29", "X30"};
constexpr std::array<std::array<std::string_view, 2>, 32> kVectors = {{
    {"V0.D[0]", "V0.D[1]"},   {"V1.D[0]", "V1.D[1]"},   {"V2.D[0]", "V2.D[1]"},
    {"V3.D[0]", "V3.D[1]"},   {"V4.D[0]", "V4.D[1]"},   {"V5.D[0]", "V5.D[1]"},
    {"V6.D[0]", "V6.D[1]"},   {"V7.D[0]", "V7.D[1]"},   {"V8.D[0]", "V8.D[1]"},
    {"V9.D[0]", "V9.D[1]"},   {"V10.D[0]", "V10.D[1]"}, {"V11.D[0]", "V11.D[1]"},
    {"V12.D[0]", "V12.D[1]"}, {"V13.D[0]", "V13.D[1]"}, {"V14.D[0]", "V14.D[1]"},
    {"V15.D[0]", "V15.D[1]"}, {"V16.D[0]", "V16.D[1]"}, {"V17.D[0]", "V17.D[1]"},
    {"V18.D[0]", "V18.D[1]"}, {"V19.D[0]", "V19.D[1]"}, {"V20.D[0]", "V20.D[1]"},
    {"V21.D[0]", "V21.D[1]"}, {"V22.D[0]", "V22.D[1]"}, {"V23.D[0]", "V23.D[1]"},
    {"V24.D[0]", "V24.D[1]"}, {"V25.D[0]", "V25.D[1]"}, {"V26.D[0]", "V26.D[1]"},
    {"V27.D[0]", "V27.D[1]"}, {"V28.D[0]", "V28.D[1]"}, {"V29.D[0]", "V29.D[1]"},
    {"V30.D[0]", "V30.D[1]"}, {"V31.D[0]", "V31.D[1]"},
}};
// clang-format on

}  // namespace

CodeAtPc Aarch64Vcpu::code_at_pc() {
  CodeAtPc code;
  const auto instruction = cpu_.instruction();
  if (instruction && store_le(code.bytes, 0, *instruction)) code.size = sizeof(*instruction);
  return code;
}

std::vector<NamedRegister> Aarch64Vcpu::registers() const {
  std::vector<NamedRegister> all;
  all.reserve(kGeneral.size() + 2 + kSystem.size() + 2 * kVectors.size());
  for (unsigned i = 0; i < kGeneral.size(); ++i) all.push_back({kGeneral[i], cpu_.x(i)});
  all.push_back({"PC", cpu_.pc()});
  all.push_back({"PSTATE", cpu_.pstate()});
  for (const Row& row : kSystem) all.push_back({row.name, cpu_.sysreg(row.reg)});
  for (unsigned i = 0; i < kVectors.size(); ++i) {
    const Vector value = cpu_.v(i);
    all.push_back({kVectors[i][0], value.low});
    all.push_back({kVectors[i][1], value.high});
  }
  return all;
}

void Aarch64Vcpu::digest(Digest& into) const {
  for (const NamedRegister& reg : registers()) into.add(reg.value);
  into.add(parts_.power.is_on(index_) ? 1 : 0);
}

}  // namespace retrap::aarch64
