// Registers of a hart, in the engine or in its context.
#include "sim/unicorn/riscv64/hart.h"

#include <string_view>

#include "sim/unicorn/riscv64/processor.h"

namespace retrap::unicorn::riscv64 {
namespace {

using retrap::riscv64::Csr;

constexpr std::uint64_t kFloatOn = 0x6000;  ///< mstatus.FS = Dirty

int id_of(Csr number) {
  switch (number) {
    case Csr::Fflags:     return UC_RISCV_REG_FFLAGS;
    case Csr::Frm:        return UC_RISCV_REG_FRM;
    case Csr::Fcsr:       return UC_RISCV_REG_FCSR;
    case Csr::Scounteren: return UC_RISCV_REG_SCOUNTEREN;
    case Csr::Vsstatus:   return UC_RISCV_REG_SSTATUS;
    case Csr::Vsie:       return UC_RISCV_REG_SIE;
    case Csr::Vstvec:     return UC_RISCV_REG_STVEC;
    case Csr::Vsscratch:  return UC_RISCV_REG_SSCRATCH;
    case Csr::Vsepc:      return UC_RISCV_REG_SEPC;
    case Csr::Vscause:    return UC_RISCV_REG_SCAUSE;
    case Csr::Vstval:     return UC_RISCV_REG_STVAL;
    case Csr::Vsip:       return UC_RISCV_REG_SIP;
    case Csr::Vsatp:      return UC_RISCV_REG_SATP;
  }
  return UC_RISCV_REG_INVALID;
}

bool is_float(int id) {
  return id == UC_RISCV_REG_FFLAGS || id == UC_RISCV_REG_FRM || id == UC_RISCV_REG_FCSR;
}

constexpr std::array<std::string_view, 32> kXNames = {
    "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",  "x10",
    "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",
    "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "x31"};
constexpr std::array<std::string_view, 32> kFNames = {
    "f0",  "f1",  "f2",  "f3",  "f4",  "f5",  "f6",  "f7",  "f8",  "f9",  "f10",
    "f11", "f12", "f13", "f14", "f15", "f16", "f17", "f18", "f19", "f20", "f21",
    "f22", "f23", "f24", "f25", "f26", "f27", "f28", "f29", "f30", "f31"};

struct CsrName {
  std::string_view name;
  Csr number;
};
constexpr std::array<CsrName, 12> kCsrNames = {{
    {"fcsr", Csr::Fcsr},
    {"sstatus", Csr::Vsstatus},
    {"sie", Csr::Vsie},
    {"stvec", Csr::Vstvec},
    {"scounteren", Csr::Scounteren},
    {"sscratch", Csr::Vsscratch},
    {"sepc", Csr::Vsepc},
    {"scause", Csr::Vscause},
    {"stval", Csr::Vstval},
    {"sip", Csr::Vsip},
    {"satp", Csr::Vsatp},
    {"frm", Csr::Frm},
}};

}  // namespace

Hart::Hart(Processor& processor)
    : processor_(processor), uc_(processor.engine().get()), env_(processor.env()) {
  check(uc_context_alloc(uc_, &parked_), "context_alloc");
  check(uc_context_save(uc_, parked_), "context_save");
}

Hart::~Hart() {
  uc_context_free(parked_);
}

void Hart::wake() const {
  processor_.activate(*this);
}

bool Hart::is_active() const {
  return processor_.is_active(*this);
}

// The engine checks the privilege of a CSR access from outside too, and then silently does
// nothing. Its own way to set the privilege loses the reservation of LR.
std::uint64_t Hart::read_csr(int id) const {
  const std::uint64_t status = env_.mstatus;
  if (is_float(id)) env_.mstatus |= kFloatOn;
  std::uint64_t value = 0;
  in_machine_mode([&] { check(uc_reg_read(uc_, id, &value), "reg_read"); });
  env_.mstatus = status;
  return value;
}

void Hart::write_csr(int id, std::uint64_t value) const {
  const std::uint64_t status = env_.mstatus;
  if (is_float(id)) env_.mstatus |= kFloatOn;
  in_machine_mode([&] { check(uc_reg_write(uc_, id, &value), "reg_write"); });
  if (is_float(id)) env_.mstatus = status;
}

const retrap::riscv64::RawExit& Hart::run() {
  FirstExit<RawExitHandler, const retrap::riscv64::RawExit> first;
  return run_with(first);
}

const retrap::riscv64::RawExit& Hart::run_with(RawExitHandler& handler) {
  processor_.run(*this, handler);
  return exit_;
}

std::uint64_t Hart::x(unsigned index) const {
  wake();
  return env_.x[index];
}

void Hart::set_x(unsigned index, std::uint64_t value) {
  wake();
  if (index != 0) env_.x[index] = value;
}

std::array<std::uint64_t, 8> Hart::arguments() const {
  constexpr unsigned kA0 = 10;
  wake();
  std::array<std::uint64_t, 8> values{};
  for (unsigned i = 0; i < values.size(); ++i) values[i] = env_.x[kA0 + i];
  return values;
}

std::uint64_t Hart::f(unsigned index) const {
  wake();
  return env_.f[index];
}

void Hart::set_f(unsigned index, std::uint64_t value) {
  wake();
  env_.f[index] = value;
}

Privilege Hart::privilege() const {
  wake();
  return privilege_now();
}

void Hart::set_privilege(Privilege value) {
  wake();
  if (value == privilege_now()) return;
  env_.priv = static_cast<std::uint64_t>(value);
  env_.load_res = Env::kNoReservation;
}

std::uint64_t Hart::csr(Csr number) const {
  if (number == Csr::Vsatp) return satp_;
  if (number == Csr::Vsip) return pending();
  if (number == Csr::Vsie) return enabled();
  wake();
  if (number == Csr::Scounteren) return env_.scounteren;
  return read_csr(id_of(number));
}

void Hart::set_csr(Csr number, std::uint64_t value) {
  wake();
  if (number == Csr::Vsatp) {
    if (!retrap::riscv64::satp_is_supported(value)) return;
    satp_ = value;
    processor_.mmu().set_satp(value);
    return;
  }
  if (number == Csr::Vsip) {
    set_software_pending((value & kSsip) != 0);
    return;
  }
  if (number == Csr::Vsepc) value &= ~std::uint64_t{1};
  write_csr(id_of(number), value);
  if (number == Csr::Vsie) choose_visible();
}

void Hart::set_software_pending(bool pending) {
  show(lines_ | (pending ? kSsip : 0));
}

void Hart::choose_visible() {
  show(lines_ | (pending() & kSsip));
}

void Hart::show(std::uint64_t pending) {
  const bool external_first = (pending & enabled() & kSeip) != 0;
  const std::uint64_t visible = external_first ? kSeip : pending;
  hidden_ = pending & ~visible;
  if (visible != (env_.mip & kSupervisorInterrupts)) write_csr(UC_RISCV_REG_MIP, visible);
}

std::uint64_t Hart::hvip() const {
  return pending() << 1;
}

void Hart::set_hvip(std::uint64_t mask, std::uint64_t value) {
  wake();
  const std::uint64_t changed = (mask >> 1) & kSupervisorInterrupts;
  const std::uint64_t now = (pending() & ~changed) | ((value >> 1) & changed);
  lines_ = now & (kStip | kSeip);
  show(now);
}

void Hart::retire(unsigned length) {
  pc_ += length;
  Clock& clock = processor_.clock();
  clock.retire_to(clock.retired() + 1);
}

std::optional<std::uint16_t> Hart::fetch(std::uint64_t va) {
  wake();
  return processor_.fetch(va);
}

// The harts share what is remembered of the guest's tables; the TLB is the active one's, and is
// empty whenever another becomes it.
void Hart::flush_tlb() {
  processor_.mmu().fence_all();
}

void Hart::reset() {
  wake();
  lines_ = 0;
  hidden_ = 0;
  satp_ = 0;
  exit_ = {};
  write_csr(UC_RISCV_REG_MIP, 0);
  for (std::uint64_t& value : env_.x) value = 0;
  for (std::uint64_t& value : env_.f) value = 0;
  for (const CsrName& row : kCsrNames) {
    if (row.number == Csr::Vsip || row.number == Csr::Vsatp) continue;
    write_csr(id_of(row.number), 0);
  }
  pc_ = 0;
  env_.priv = static_cast<std::uint64_t>(Privilege::Supervisor);
  env_.load_res = Env::kNoReservation;
  processor_.mmu().set_satp(0);
  processor_.mmu().fence_all();
}

// Not in a context: the accrued floating-point flags, and the engine's own idea of what is pending.
void Hart::park() {
  check(uc_context_save(uc_, parked_), "context_save");
  parked_fflags_ = read_csr(UC_RISCV_REG_FFLAGS);
  parked_mip_ = env_.mip;
  parked_mie_ = env_.mie;
}

void Hart::unpark() {
  check(uc_context_restore(uc_, parked_), "context_restore");
  write_csr(UC_RISCV_REG_FFLAGS, parked_fflags_);
  write_csr(UC_RISCV_REG_MIP, parked_mip_);
  check(uc_context_restore(uc_, parked_), "context_restore");
}

std::vector<NamedRegister> Hart::registers() const {
  std::vector<NamedRegister> out;
  out.push_back({"pc", pc()});
  for (unsigned i = 1; i < 32; ++i) out.push_back({kXNames[i], x(i)});
  for (unsigned i = 0; i < 32; ++i) out.push_back({kFNames[i], f(i)});
  for (const CsrName& row : kCsrNames) {
    if (row.number != Csr::Frm) out.push_back({row.name, csr(row.number)});
  }
  out.push_back({"privilege", static_cast<std::uint64_t>(privilege())});
  return out;
}

void Hart::digest(Digest& into) const {
  for (const NamedRegister& entry : registers()) into.add(entry.value);
}

}  // namespace retrap::unicorn::riscv64
