// The table of CSRs.
#include "arch/riscv64/csr.h"

#include <algorithm>
#include <array>

namespace retrap::riscv64 {
namespace {

using enum CsrKind;

// Privileged Architecture, "CSR Listing". A hart without Sstc, Smstateen, Sscofpmf and debug
// triggers; senvcfg came with version 1.12 and has nothing to configure here.
// clang-format off
constexpr std::array<CsrRow, 39> kCsrs = {{
    {0x001, 0x001, "fflags",       Guest},
    {0x002, 0x002, "frm",          Guest},
    {0x003, 0x003, "fcsr",         Guest},
    {0x100, 0x100, "sstatus",      Guest},
    {0x104, 0x104, "sie",          Guest},
    {0x105, 0x105, "stvec",        Guest},
    {0x106, 0x106, "scounteren",   Guest},
    {0x140, 0x140, "sscratch",     Guest},
    {0x141, 0x141, "sepc",         Guest},
    {0x142, 0x142, "scause",       Guest},
    {0x143, 0x143, "stval",        Guest},
    {0x144, 0x144, "sip",          Guest},
    {0x180, 0x180, "satp",         Guest},
    {0x200, 0x200, "vsstatus",     Hypervisor},
    {0x204, 0x205, "vsie, vstvec", Hypervisor},
    {0x240, 0x244, "vsscratch, vsepc, vscause, vstval, vsip", Hypervisor},
    {0x280, 0x280, "vsatp",        Hypervisor},
    {0x5c0, 0x5ff, "custom supervisor", Custom},
    {0x600, 0x600, "hstatus",      Hypervisor},
    {0x602, 0x602, "hedeleg",      Hypervisor},
    {0x603, 0x603, "hideleg",      Hypervisor},
    {0x604, 0x604, "hie",          Hypervisor},
    {0x605, 0x605, "htimedelta",   Hypervisor},
    {0x606, 0x606, "hcounteren",   Hypervisor},
    {0x607, 0x607, "hgeie",        Hypervisor},
    {0x643, 0x643, "htval",        Hypervisor},
    {0x644, 0x644, "hip",          Hypervisor},
    {0x645, 0x645, "hvip",         Hypervisor},
    {0x64a, 0x64a, "htinst",       Hypervisor},
    {0x680, 0x680, "hgatp",        Hypervisor},
    {0x800, 0x8ff, "custom user",  Custom},
    {0x9c0, 0x9ff, "custom supervisor", Custom},
    {0xc00, 0xc00, "cycle",        Counter},
    {0xc01, 0xc01, "time",         Time},
    {0xc02, 0xc02, "instret",      Counter},
    {0xc03, 0xc1f, "hpmcounter",   Counter},
    {0xcc0, 0xcff, "custom user, read-only", Custom},
    {0xdc0, 0xdff, "custom supervisor, read-only", Custom},
    {0xe12, 0xe12, "hgeip",        Hypervisor},
}};
// clang-format on
static_assert(std::ranges::is_sorted(kCsrs, {}, &CsrRow::first));

/// By number: the row, plus one; or zero.
constexpr auto kRowOf = [] {
  std::array<std::uint8_t, 0x1000> rows{};
  for (std::size_t row = 0; row < kCsrs.size(); ++row) {
    for (unsigned number = kCsrs[row].first; number <= kCsrs[row].last; ++number) {
      rows[number] = static_cast<std::uint8_t>(row + 1);
    }
  }
  return rows;
}();

}  // namespace

const CsrRow* find_csr(std::uint16_t number) {
  const std::size_t row = number < kRowOf.size() ? kRowOf[number] : 0;
  return row == 0 ? nullptr : &kCsrs[row - 1];
}

std::optional<Cause> csr_trap(const CsrInstruction& access, Privilege privilege,
                              std::uint64_t scounteren) {
  const CsrRow* row = find_csr(access.csr);
  if (row == nullptr || row->kind == Custom) return Cause::IllegalInstruction;
  if (access.writes() && csr_is_read_only(access.csr)) return Cause::IllegalInstruction;
  switch (row->kind) {
    case Guest: {
      const bool allowed = csr_privilege(access.csr) <= static_cast<unsigned>(privilege);
      // VU-mode on a supervisor CSR: HS-mode would be allowed to.
      return allowed ? std::nullopt : std::optional(Cause::VirtualInstruction);
    }
    case Time:
      return counter_is_visible(access.csr, privilege, scounteren)
                 ? std::nullopt
                 : std::optional(Cause::VirtualInstruction);
    case Counter:
    case Hypervisor: return Cause::VirtualInstruction;
    case Custom:     break;
  }
  return Cause::IllegalInstruction;
}

}  // namespace retrap::riscv64
