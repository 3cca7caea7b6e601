// The table of trapped system registers, and its way onto the bus.
#include "arch/aarch64/sysregs.h"

#include <algorithm>
#include <array>

#include "arch/aarch64/idregs.h"

namespace retrap::aarch64 {
namespace {

using enum Direction;
using enum SysRegGroup;

constexpr SysRegRow one(std::string_view name, SysReg reg, Direction direction, SysRegGroup group) {
  return {
      .name = name, .first = number(reg), .registers = 1, .direction = direction, .group = group};
}
constexpr SysRegRow several(std::string_view name, std::uint32_t first, std::uint32_t registers,
                            Direction direction, SysRegGroup group) {
  return {
      .name = name, .first = first, .registers = registers, .direction = direction, .group = group};
}

// clang-format off
constexpr std::array kUnsortedRows = {
    // Debug registers (MDCR_EL2.TDA, TDOSA, TDRA): there is no debugger in this machine.
    several("OSDTRRX_EL1",   sysreg_number(2, 0, 0, 0, 2), 1, ReadWrite, Debug),
    several("MDCCINT_EL1",   sysreg_number(2, 0, 0, 2, 0), 1, ReadWrite, Debug),
    one("MDSCR_EL1",         SysReg::MDSCR_EL1,               ReadWrite, Debug),
    several("OSDTRTX_EL1",   sysreg_number(2, 0, 0, 3, 2), 1, ReadWrite, Debug),
    several("OSECCR_EL1",    sysreg_number(2, 0, 0, 6, 2), 1, ReadWrite, Debug),
    several("DBGBVRn_EL1",   sysreg_number(2, 0, 0, 0, 4), 6, ReadWrite, Debug),
    several("DBGBCRn_EL1",   sysreg_number(2, 0, 0, 0, 5), 6, ReadWrite, Debug),
    several("DBGWVRn_EL1",   sysreg_number(2, 0, 0, 0, 6), 4, ReadWrite, Debug),
    several("DBGWCRn_EL1",   sysreg_number(2, 0, 0, 0, 7), 4, ReadWrite, Debug),
    several("MDRAR_EL1",     sysreg_number(2, 0, 1, 0, 0), 1, ReadOnly,  Debug),
    one("OSLAR_EL1",         SysReg::OSLAR_EL1,               WriteOnly, Debug),
    one("OSLSR_EL1",         SysReg::OSLSR_EL1,               ReadOnly,  Debug),
    several("OSDLR_EL1",     sysreg_number(2, 0, 1, 3, 4), 1, ReadWrite, Debug),
    several("DBGPRCR_EL1",   sysreg_number(2, 0, 1, 4, 4), 1, ReadWrite, Debug),
    several("DBGCLAIMSET",   sysreg_number(2, 0, 7, 8, 6), 1, ReadWrite, Debug),
    several("DBGCLAIMCLR",   sysreg_number(2, 0, 7, 9, 6), 1, ReadWrite, Debug),
    several("DBGAUTHSTATUS", sysreg_number(2, 0, 7, 14, 6), 1, ReadOnly, Debug),
    several("MDCCSR_EL0",    sysreg_number(2, 3, 0, 1, 0), 1, ReadOnly,  Debug),
    several("DBGDTR_EL0",    sysreg_number(2, 3, 0, 4, 0), 1, ReadWrite, Debug),
    several("DBGDTRxX_EL0",  sysreg_number(2, 3, 0, 5, 0), 1, ReadWrite, Debug),
    // Identification (HCR_EL2.TID3): CRm 1-7, reserved ones included.
    several("ID_*_0",        sysreg_number(3, 0, 0, 1, 0), 7, ReadOnly,  Identification),
    several("ID_*_1",        sysreg_number(3, 0, 0, 1, 1), 7, ReadOnly,  Identification),
    several("ID_*_2",        sysreg_number(3, 0, 0, 1, 2), 7, ReadOnly,  Identification),
    several("ID_*_3",        sysreg_number(3, 0, 0, 1, 3), 7, ReadOnly,  Identification),
    several("ID_*_4",        sysreg_number(3, 0, 0, 1, 4), 7, ReadOnly,  Identification),
    several("ID_*_5",        sysreg_number(3, 0, 0, 1, 5), 7, ReadOnly,  Identification),
    several("ID_*_6",        sysreg_number(3, 0, 0, 1, 6), 7, ReadOnly,  Identification),
    several("ID_*_7",        sysreg_number(3, 0, 0, 1, 7), 7, ReadOnly,  Identification),
    // Physical counter and timer (CNTHCTL_EL2).
    one("CNTPCT_EL0",        SysReg::CNTPCT_EL0,              ReadOnly,  PhysicalTimer),
    one("CNTP_TVAL_EL0",     SysReg::CNTP_TVAL_EL0,           ReadWrite, PhysicalTimer),
    one("CNTP_CTL_EL0",      SysReg::CNTP_CTL_EL0,            ReadWrite, PhysicalTimer),
    one("CNTP_CVAL_EL0",     SysReg::CNTP_CVAL_EL0,           ReadWrite, PhysicalTimer),
    // The GIC CPU interface. ICC_SGI1R_EL1 is an exit of its own, SendIPI, and here for its
    // direction.
    one("ICC_PMR_EL1",       SysReg::ICC_PMR_EL1,             ReadWrite, Interrupts),
    one("ICC_IAR0_EL1",      SysReg::ICC_IAR0_EL1,            ReadOnly,  Interrupts),
    one("ICC_EOIR0_EL1",     SysReg::ICC_EOIR0_EL1,           WriteOnly, Interrupts),
    one("ICC_HPPIR0_EL1",    SysReg::ICC_HPPIR0_EL1,          ReadOnly,  Interrupts),
    one("ICC_BPR0_EL1",      SysReg::ICC_BPR0_EL1,            ReadWrite, Interrupts),
    one("ICC_AP0R0_EL1",     SysReg::ICC_AP0R0_EL1,           ReadWrite, Interrupts),
    one("ICC_AP1R0_EL1",     SysReg::ICC_AP1R0_EL1,           ReadWrite, Interrupts),
    one("ICC_DIR_EL1",       SysReg::ICC_DIR_EL1,             WriteOnly, Interrupts),
    one("ICC_RPR_EL1",       SysReg::ICC_RPR_EL1,             ReadOnly,  Interrupts),
    one("ICC_SGI1R_EL1",     SysReg::ICC_SGI1R_EL1,           WriteOnly, Interrupts),
    one("ICC_ASGI1R_EL1",    SysReg::ICC_ASGI1R_EL1,          WriteOnly, Interrupts),
    one("ICC_SGI0R_EL1",     SysReg::ICC_SGI0R_EL1,           WriteOnly, Interrupts),
    one("ICC_IAR1_EL1",      SysReg::ICC_IAR1_EL1,            ReadOnly,  Interrupts),
    one("ICC_EOIR1_EL1",     SysReg::ICC_EOIR1_EL1,           WriteOnly, Interrupts),
    one("ICC_HPPIR1_EL1",    SysReg::ICC_HPPIR1_EL1,          ReadOnly,  Interrupts),
    one("ICC_BPR1_EL1",      SysReg::ICC_BPR1_EL1,            ReadWrite, Interrupts),
    one("ICC_CTLR_EL1",      SysReg::ICC_CTLR_EL1,            ReadWrite, Interrupts),
    one("ICC_SRE_EL1",       SysReg::ICC_SRE_EL1,             ReadWrite, Interrupts),
    one("ICC_IGRPEN0_EL1",   SysReg::ICC_IGRPEN0_EL1,         ReadWrite, Interrupts),
    one("ICC_IGRPEN1_EL1",   SysReg::ICC_IGRPEN1_EL1,         ReadWrite, Interrupts),
};
// clang-format on

template <std::size_t N>
consteval std::array<SysRegRow, N> sorted(std::array<SysRegRow, N> rows) {
  std::sort(rows.begin(), rows.end(),
            [](const SysRegRow& a, const SysRegRow& b) { return a.first < b.first; });
  return rows;
}
constexpr auto kRows = sorted(kUnsortedRows);

template <std::size_t N>
consteval bool is_disjoint(const std::array<SysRegRow, N>& rows) {
  for (std::size_t i = 1; i < N; ++i) {
    if (rows[i - 1].first + rows[i - 1].size() > rows[i].first) return false;
  }
  return true;
}
static_assert(is_disjoint(kRows));

const SysRegRow* find_row(std::uint32_t wanted) {
  const auto after = std::upper_bound(
      kRows.begin(), kRows.end(), wanted,
      [](std::uint32_t number, const SysRegRow& row) { return number < row.first; });
  if (after == kRows.begin()) return nullptr;
  const SysRegRow* const row = &*(after - 1);
  return row->has(wanted) ? row : nullptr;
}

}  // namespace

std::span<const SysRegRow> sysreg_rows() {
  return kRows;
}

bool is_misdirected(std::uint32_t number, bool read) {
  const SysRegRow* const row = find_row(number);
  return row != nullptr && row->direction == (read ? WriteOnly : ReadOnly);
}

/// One row of the table on the bus. The vCPU has already refused what goes in the wrong direction.
class SystemRegisters::RowDevice final : public Device {
 public:
  RowDevice(SystemRegisters& owner, const SysRegRow& row) : owner_(owner), row_(row) {}

  std::string_view name() const override { return row_.name; }
  std::uint64_t size() const override { return row_.size(); }
  IoResult<std::uint64_t> read(const Access& access) override {
    if (row_.direction == WriteOnly) return tl::unexpected(IoError::WriteOnly);
    return owner_.read(row_, number_at(access), access.vcpu);
  }
  IoResult<> write(const Access& access, std::uint64_t value) override {
    if (row_.direction == ReadOnly) return tl::unexpected(IoError::ReadOnly);
    owner_.write(row_, number_at(access), access.vcpu, value);
    return {};
  }
  void reset() override {}
  void digest(Digest&) const override {}

 private:
  [[nodiscard]] std::uint32_t number_at(const Access& access) const {
    return row_.first + static_cast<std::uint32_t>(access.offset);
  }

  SystemRegisters& owner_;
  const SysRegRow& row_;
};

SystemRegisters::SystemRegisters(Gicv3& gic, std::span<const std::unique_ptr<GenericTimer>> timers)
    : gic_(gic), timers_(timers), mdscr_(timers.size(), 0) {}

Result<> SystemRegisters::attach(Bus& bus) {
  for (const SysRegRow& row : kRows) {
    RETRAP_TRY(bus.add(row.first, std::make_unique<RowDevice>(*this, row)));
  }
  return {};
}

std::uint64_t SystemRegisters::read(const SysRegRow& row, std::uint32_t number, VcpuId vcpu) {
  const std::uint32_t cpu = index(vcpu);
  switch (row.group) {
    case Identification: return id_register(number);
    case PhysicalTimer:  return timers_[cpu]->read_timer(SysReg{number});
    case Interrupts:     return gic_.read_interface(cpu, SysReg{number});
    case Debug:          break;
  }
  if (SysReg{number} == SysReg::MDSCR_EL1) return mdscr_[cpu];
  return SysReg{number} == SysReg::OSLSR_EL1 ? 8 : 0;  // OSLM: the lock is there, and open
}

void SystemRegisters::write(const SysRegRow& row, std::uint32_t number, VcpuId vcpu,
                            std::uint64_t value) {
  const std::uint32_t cpu = index(vcpu);
  switch (row.group) {
    case Identification: return;
    case PhysicalTimer:  timers_[cpu]->write_timer(SysReg{number}, value); return;
    case Interrupts:     gic_.write_interface(cpu, SysReg{number}, value); return;
    case Debug:
      if (SysReg{number} == SysReg::MDSCR_EL1) mdscr_[cpu] = value;
  }
}

void SystemRegisters::reset() {
  std::ranges::fill(mdscr_, 0);
}

void SystemRegisters::digest(Digest& into) const {
  into.add(std::as_bytes(std::span(mdscr_)));
}

}  // namespace retrap::aarch64
