// Registers of a hart, in the engine or in its context.
#include "sim/unicorn/riscv64/hart.h"

#include <string_view>

#include "sim/unicorn/riscv64/processor.h"

namespace retrap::unicorn::riscv64 {
namespace {

using retrap::riscv64::Csr;

constexpr std::uint64_t kMachineMode = 3;
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

Hart::Hart(Processor& processor) : processor_(processor), uc_(processor.engine().get()) {
  check(uc_context_alloc(uc_, &parked_), "context_alloc");
  check(uc_context_alloc(uc_, &scratch_), "context_alloc");
  check(uc_context_save(uc_, parked_), "context_save");
}

Hart::~Hart() {
  uc_context_free(parked_);
  uc_context_free(scratch_);
}

void Hart::wake() const {
  processor_.activate(*this);
}

std::uint64_t Hart::read(int id) const {
  std::uint64_t value = 0;
  check(uc_reg_read(uc_, id, &value), "reg_read");
  return value;
}

void Hart::write(int id, std::uint64_t value) const {
  check(uc_reg_write(uc_, id, &value), "reg_write");
}

// The engine checks the privilege of a CSR access from outside too, and then silently does
// nothing. Writing the privilege loses the reservation of LR: the context brings it back.
void Hart::save_scratch() const {
  check(uc_context_save(uc_, scratch_), "context_save");
  write(UC_RISCV_REG_PRIV, kMachineMode);
}

void Hart::restore_scratch() const {
  check(uc_context_restore(uc_, scratch_), "context_restore");
}

std::uint64_t Hart::read_csr(int id) const {
  if (!is_float(id) && privilege_now() == Privilege::Supervisor) return read(id);
  return in_machine_mode([&] {
    if (is_float(id)) write(UC_RISCV_REG_MSTATUS, read(UC_RISCV_REG_MSTATUS) | kFloatOn);
    return read(id);
  });
}

void Hart::write_csr(int id, std::uint64_t value) const {
  const std::uint64_t privilege = read(UC_RISCV_REG_PRIV);
  write(UC_RISCV_REG_PRIV, kMachineMode);
  if (is_float(id)) {
    const std::uint64_t status = read(UC_RISCV_REG_MSTATUS);
    write(UC_RISCV_REG_MSTATUS, status | kFloatOn);
    write(id, value);
    write(UC_RISCV_REG_MSTATUS, status);
  } else {
    write(id, value);
  }
  write(UC_RISCV_REG_PRIV, privilege);
}

const retrap::riscv64::RawExit& Hart::run() {
  known_privilege_.reset();
  exit_ = processor_.run(*this);
  using retrap::riscv64::Cause;
  const bool says = (exit_.scause & retrap::riscv64::kInterrupt) == 0 &&
                    exit_.scause != static_cast<std::uint64_t>(Cause::HardwareError);
  if (says) known_privilege_ = exit_.privilege;
  return exit_;
}

std::uint64_t Hart::x(unsigned index) const {
  wake();
  return read(UC_RISCV_REG_X0 + static_cast<int>(index));
}

void Hart::set_x(unsigned index, std::uint64_t value) {
  wake();
  if (index != 0) write(UC_RISCV_REG_X0 + static_cast<int>(index), value);
}

std::array<std::uint64_t, 8> Hart::arguments() const {
  wake();
  static constexpr std::array<int, 8> kIds = {UC_RISCV_REG_A0, UC_RISCV_REG_A1, UC_RISCV_REG_A2,
                                              UC_RISCV_REG_A3, UC_RISCV_REG_A4, UC_RISCV_REG_A5,
                                              UC_RISCV_REG_A6, UC_RISCV_REG_A7};
  std::array<std::uint64_t, 8> values{};
  std::array<void*, 8> places{};
  for (std::size_t i = 0; i < values.size(); ++i) places[i] = &values[i];
  check(uc_reg_read_batch(uc_, kIds.data(), places.data(), 8), "reg_read_batch");
  return values;
}

std::uint64_t Hart::f(unsigned index) const {
  wake();
  return read(UC_RISCV_REG_F0 + static_cast<int>(index));
}

void Hart::set_f(unsigned index, std::uint64_t value) {
  wake();
  write(UC_RISCV_REG_F0 + static_cast<int>(index), value);
}

Privilege Hart::privilege_now() const {
  if (known_privilege_) return *known_privilege_;
  return read(UC_RISCV_REG_PRIV) == 0 ? Privilege::User : Privilege::Supervisor;
}

Privilege Hart::privilege() const {
  if (known_privilege_) return *known_privilege_;
  wake();
  return privilege_now();
}

void Hart::set_privilege(Privilege value) {
  wake();
  if (value == privilege_now()) return;
  write(UC_RISCV_REG_PRIV, static_cast<std::uint64_t>(value));
  known_privilege_ = value;
}

std::uint64_t Hart::csr(Csr number) const {
  wake();
  if (number == Csr::Vsatp) return satp_;
  if (number == Csr::Vsip) return pending();
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
  write_csr(id_of(number), value);
  if (number == Csr::Vsie) choose_visible();
}

std::uint64_t Hart::pending() const {
  const std::uint64_t visible =
      in_machine_mode([&] { return read(UC_RISCV_REG_MIP); }) & kSupervisorInterrupts;
  return visible | hidden_;
}

void Hart::set_software_pending(bool pending) {
  show(lines_ | (pending ? kSsip : 0));
}

void Hart::choose_visible() {
  show(lines_ | (pending() & kSsip));
}

void Hart::show(std::uint64_t pending) {
  const auto [mip, sie] = in_machine_mode([&] {
    return std::pair(read(UC_RISCV_REG_MIP) & kSupervisorInterrupts, read(UC_RISCV_REG_MIE));
  });
  const bool external_first = (pending & sie & kSeip) != 0;
  const std::uint64_t visible = external_first ? kSeip : pending;
  hidden_ = pending & ~visible;
  if (visible != mip) write_csr(UC_RISCV_REG_MIP, visible);
}

std::uint64_t Hart::hvip() const {
  wake();
  return pending() << 1;
}

void Hart::set_hvip(std::uint64_t mask, std::uint64_t value) {
  wake();
  const std::uint64_t changed = (mask >> 1) & kSupervisorInterrupts;
  const std::uint64_t now = (pending() & ~changed) | ((value >> 1) & changed);
  lines_ = now & (kStip | kSeip);
  show(now);
}

void Hart::retire() {
  Clock& clock = processor_.clock();
  clock.retire_to(clock.retired() + 1);
}

std::optional<std::uint16_t> Hart::fetch(std::uint64_t va) {
  wake();
  return processor_.fetch(va);
}

void Hart::flush_tlb() {
  wake();
  processor_.mmu().fence_all();
}

void Hart::reset() {
  wake();
  lines_ = 0;
  hidden_ = 0;
  satp_ = 0;
  mxr_once = false;
  exit_ = {};
  write(UC_RISCV_REG_PRIV, kMachineMode);
  write(UC_RISCV_REG_MIP, 0);
  for (int i = 1; i < 32; ++i) write(UC_RISCV_REG_X0 + i, 0);
  for (int i = 0; i < 32; ++i) write(UC_RISCV_REG_F0 + i, 0);
  for (const CsrName& row : kCsrNames) {
    if (row.number == Csr::Vsip || row.number == Csr::Vsatp) continue;
    write_csr(id_of(row.number), 0);
  }
  pc_ = 0;
  known_privilege_ = Privilege::Supervisor;
  write(UC_RISCV_REG_PRIV, static_cast<std::uint64_t>(Privilege::Supervisor));
  processor_.mmu().set_satp(0);
  processor_.mmu().fence_all();
}

// Not in a context: the accrued floating-point flags, and the engine's own idea of what is pending.
void Hart::park() {
  check(uc_context_save(uc_, parked_), "context_save");
  parked_fflags_ = read_csr(UC_RISCV_REG_FFLAGS);
  parked_mip_ = in_machine_mode([&] { return read(UC_RISCV_REG_MIP); });
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
