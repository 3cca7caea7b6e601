// From scause to an exit reason, and back into the guest.
#include "arch/riscv64/vcpu.h"

#include <limits>

#include "arch/riscv64/decode.h"
#include "vmm/base/bytes.h"
#include "vmm/base/overloaded.h"
#include "vmm/exit_relay.h"

namespace retrap::riscv64 {
namespace {

constexpr unsigned kA0 = 10;
constexpr unsigned kA1 = 11;
constexpr std::uint64_t kOwnInterrupts = kVstip | kVseip;  ///< those that only the monitor sets

bool is_guest_page_fault(std::uint64_t scause) {
  return scause == static_cast<std::uint64_t>(Cause::InstructionGuestPageFault) ||
         scause == static_cast<std::uint64_t>(Cause::LoadGuestPageFault) ||
         scause == static_cast<std::uint64_t>(Cause::StoreGuestPageFault);
}

/// An atomic that loads and stores: LR and SC (funct5 00010 and 00011) do one of them.
bool is_amo(std::uint64_t htinst) {
  return (htinst & 0x7d) == 0x2d && extract(htinst, 31, 28) != 0b0001;
}

bool is_implicit(const RawExit& exit) {
  return exit.htinst == kImplicitRead || exit.htinst == kImplicitWrite;
}

/// What the guest's own access was, whatever of it stage 2 refused.
AccessKind access_of(const RawExit& exit, MappingFlags flags) {
  switch (static_cast<Cause>(exit.scause)) {
    case Cause::InstructionGuestPageFault: return AccessKind::Fetch;
    case Cause::LoadGuestPageFault:        return AccessKind::Load;
    case Cause::StoreGuestPageFault:       return AccessKind::Store;
    default:                               break;
  }
  if (allows(flags, MappingFlags::Execute)) return AccessKind::Fetch;
  return allows(flags, MappingFlags::Write) ? AccessKind::Store : AccessKind::Load;
}

/// The guest's tables in its memory, for the monitor's own loads. A and D stay as they are.
struct MemoryTables {
  AddressSpace& memory;

  [[nodiscard]] bool read(std::uint64_t gpa, std::uint64_t& entry) const {
    const auto value = memory.load<std::uint64_t>(GuestPhys(gpa));
    if (value) entry = *value;
    return value.has_value();
  }
  [[nodiscard]] static bool update(std::uint64_t, std::uint64_t) { return true; }
};

}  // namespace

Vcpu::Vcpu(unsigned hart, const VcpuParts& parts)
    : hart_(hart),
      hart_id_(parts.hart_id),
      cpu_(parts.cpu),
      clock_(parts.clock),
      memory_(parts.memory),
      sbi_(parts.sbi),
      plic_(parts.plic),
      finisher_(parts.finisher),
      alarm_(parts.clock.add_alarm(this)) {
  reset();
}

Vcpu::~Vcpu() {
  clock_.remove_alarm(alarm_);
}

/// Tells the monitor of each exit of the hart, until it wants no more.
class Vcpu::Turn final : public RawExitHandler {
 public:
  Turn(Vcpu& vcpu, ExitHandler& handler) : vcpu_(vcpu), relay_(handler) {}

  bool handle(const RawExit& exit) override {
    vcpu_.retired_ += vcpu_.clock_.retired() - vcpu_.entered_at_;
    return relay_.goes_on_after(vcpu_.reason(exit)) && goes_on();
  }

  /// What is due comes before the guest.
  [[nodiscard]] bool goes_on() {
    while (vcpu_.is_exit_due()) {
      if (!relay_.goes_on_after(vcpu_.due_exit())) return false;
    }
    vcpu_.prepare_entry();
    return true;
  }

  [[nodiscard]] const ExitReason& last() const { return relay_.last(); }

 private:
  Vcpu& vcpu_;
  ExitRelay relay_;
};

ExitReason Vcpu::run_with(ExitHandler& handler) {
  Turn turn(*this, handler);
  if (turn.goes_on()) (void)cpu_.run_with(turn);
  return turn.last();
}

ExitReason Vcpu::run() {
  FirstExit<ExitHandler, ExitReason> first;
  return run_with(first);
}

ExitReason Vcpu::due_exit() {
  if (crash_) return *crash_;
  if (finisher_.has_request()) return *finisher_.take_request();
  return csr_write();
}

void Vcpu::prepare_entry() {
  if (resume_) {
    const SbiSuspend::Resume resume = *resume_;
    set_entry(GuestPhys(resume.address), resume.opaque);
  }
  state_ = HartState::Started;
  apply_interrupts();
  entered_at_ = clock_.retired();
}

// Privileged Architecture, table "Exception codes": what hedeleg leaves to HS-mode.
ExitReason Vcpu::reason(const RawExit& exit) {
  if (exit.scause == (kInterrupt | kSupervisorTimer)) return exits::BudgetSpent{};
  if (is_guest_page_fault(exit.scause)) return on_guest_page_fault(exit);
  if (exit.scause == static_cast<std::uint64_t>(Cause::EcallFromVs)) return on_ecall();
  if (exit.scause == static_cast<std::uint64_t>(Cause::VirtualInstruction) ||
      exit.scause == static_cast<std::uint64_t>(Cause::IllegalInstruction)) {
    return on_instruction(exit);
  }
  if (exit.scause == static_cast<std::uint64_t>(Cause::DoubleTrap)) {
    return exits::GuestCrash{.cause = exit.htval, .address = exit.sepc};
  }
  return exits::GuestCrash{.cause = exit.scause, .address = exit.sepc};
}

ExitReason Vcpu::on_guest_page_fault(const RawExit& exit) const {
  const bool implicit = is_implicit(exit);
  const std::uint64_t low = implicit ? 0 : exit.stval & 3;
  MappingFlags flags = MappingFlags::Read;
  if (implicit) {
    if (exit.htinst == kImplicitWrite) flags = MappingFlags::Read | MappingFlags::Write;
  } else if (exit.scause == static_cast<std::uint64_t>(Cause::InstructionGuestPageFault)) {
    flags = MappingFlags::Execute;
  } else if (exit.scause == static_cast<std::uint64_t>(Cause::StoreGuestPageFault)) {
    flags = is_amo(exit.htinst) ? MappingFlags::Read | MappingFlags::Write : MappingFlags::Write;
  }
  return ExitReason(std::in_place_type<exits::NestedPageFault>, GuestPhys(exit.htval << 2 | low),
                    flags);
}

ExitReason Vcpu::on_ecall() {
  const auto [a0, a1, a2, a3, a4, a5, a6, a7] = cpu_.arguments();
  retire(4);
  if (a7 == eid::kHypercall) {
    return exits::Hypercall{.nr = a6, .args = {a0, a1, a2, a3, a4, a5}};
  }
  const SbiCall call{.extension = a7, .function = a6, .args = {a0, a1, a2, a3, a4, a5}};
  const SbiOutcome outcome = sbi_.call(hart_, call);
  const auto answer = [&](const SbiAnswer& result) {
    cpu_.set_x(kA0, result.error);
    if (result.value) cpu_.set_x(kA1, *result.value);
  };
  return std::visit(Overloaded{
                        [&](const SbiAnswer& result) -> ExitReason {
                          answer(result);
                          return exits::Nothing{};
                        },
                        [&](const SbiSuspend& suspend) -> ExitReason {
                          answer({.error = 0, .value = 0});
                          resume_ = suspend.resume;
                          return wakeup_pending() ? ExitReason(exits::Nothing{}) : exits::Halt{};
                        },
                        [&](const exits::CpuUp& up) -> ExitReason {
                          answer({.error = 0, .value = 0});
                          return up;
                        },
                        [](const auto& exit) -> ExitReason { return exit; },
                    },
                    outcome);
}

ExitReason Vcpu::on_instruction(const RawExit& exit) {
  auto word = static_cast<std::uint32_t>(exit.stval);
  if (word == 0) word = fetch(exit.sepc).value_or(0);  // hardware may leave stval zero
  if (word == kWfi && exit.privilege == Privilege::Supervisor) return on_wfi();
  if (const auto access = decode_csr(word)) return on_csr(*access, word, exit.privilege);
  return illegal_instruction(word);
}

ExitReason Vcpu::on_wfi() {
  retire(4);
  return wakeup_pending() ? ExitReason(exits::Nothing{}) : exits::Halt{};
}

ExitReason Vcpu::on_csr(const CsrInstruction& access, std::uint32_t word, Privilege privilege) {
  const CsrRow* row = find_csr(access.csr);
  if (row == nullptr || (access.writes() && csr_is_read_only(access.csr))) {
    return illegal_instruction(word);
  }
  if (row->kind == CsrKind::Counter || row->kind == CsrKind::Time) {
    if (!counter_is_visible(access.csr, privilege, cpu_.csr(Csr::Scounteren))) {
      return illegal_instruction(word);
    }
    cpu_.set_x(access.rd, counter(access.csr));
    retire(4);
    return exits::Nothing{};
  }
  if (row->kind != CsrKind::Custom ||
      csr_privilege(access.csr) > static_cast<unsigned>(privilege)) {
    return illegal_instruction(word);
  }
  csr_access_.emplace(access, word);
  if (access.reads()) {
    return ExitReason(std::in_place_type<exits::SysRegRead>, access.csr, access.rd);
  }
  csr_access_->write_is_due = true;
  return csr_write();
}

ExitReason Vcpu::csr_write() const {
  const CsrInstruction& access = csr_access_->instruction;
  return ExitReason(std::in_place_type<exits::SysRegWrite>, access.csr,
                    access.apply(csr_access_->old, operand(access)));
}

std::uint64_t Vcpu::operand(const CsrInstruction& access) const {
  return access.immediate ? access.source : cpu_.x(access.source);
}

// cycle is virtual time at 1 GHz; there are no events to count in the hpmcounters.
std::uint64_t Vcpu::counter(std::uint16_t number) const {
  switch (number) {
    case 0xc00: return clock_.now_ns();
    case 0xc01: return clock_.now_ns() / kNsPerTick;
    case 0xc02: return retired_;
    default:    return 0;
  }
}

void Vcpu::complete(std::uint64_t value) {
  if (!csr_access_) return;
  if (!csr_access_->write_is_due) {
    csr_access_->old = value;
    if (csr_access_->instruction.writes()) {
      csr_access_->write_is_due = true;
      return;
    }
  }
  const CsrInstruction& done = csr_access_->instruction;
  if (done.reads()) cpu_.set_x(done.rd, csr_access_->old);
  csr_access_.reset();
  retire(4);
}

void Vcpu::refuse() {
  if (!csr_access_) return;
  const std::uint32_t word = csr_access_->word;
  csr_access_.reset();
  deliver(Cause::IllegalInstruction, word);
}

Emulated Vcpu::emulate(AccessPort& port) {
  const RawExit& exit = cpu_.last_exit();
  if (!is_guest_page_fault(exit.scause) || is_implicit(exit) ||
      exit.scause == static_cast<std::uint64_t>(Cause::InstructionGuestPageFault)) {
    return Emulated::Unknown;
  }
  const auto& decoded = transformed_.get(exit.htinst, decode_transformed);
  std::optional<MemoryInstruction> fetched;
  const MemoryInstruction* instruction = nullptr;
  std::uint64_t address = exit.stval;
  if (decoded) {
    instruction = &decoded->instruction;
    address -= decoded->address_offset;
  } else {
    // Hardware may leave htinst zero. Where the instruction has gone meanwhile, it faults again.
    const auto word = fetch(exit.sepc);
    if (!word) return Emulated::NestedFault;
    fetched = decode_memory(*word);
    if (!fetched) return Emulated::Unknown;
    instruction = &*fetched;
    address = cpu_.x(instruction->rs1) + static_cast<std::uint64_t>(instruction->offset);
  }
  if (exit.stval - address >= bytes(instruction->width)) return Emulated::Unknown;
  const FaultingAccess where{.address = address,
                             .faulting = exit.stval,
                             .gpa = GuestPhys(exit.htval << 2 | (exit.stval & 3))};
  const EmulationResult result = emulate_memory(cpu_, *instruction, where, port);
  if (result.outcome == Emulated::Retired) retire(instruction->length);
  if (result.outcome == Emulated::GuestFault) deliver(result.trap.cause, result.trap.value);
  return result.outcome;
}

void Vcpu::inject_abort(const exits::NestedPageFault& fault) {
  const RawExit exit = cpu_.last_exit();
  deliver(access_fault(access_of(exit, fault.access_flags)), exit.stval);
}

std::optional<std::uint32_t> Vcpu::fetch(std::uint64_t va) {
  const auto low = cpu_.fetch(va);
  if (!low) return std::nullopt;
  if (instruction_length(*low) == 2) return *low;
  const auto high = cpu_.fetch(va + 2);
  if (!high) return std::nullopt;
  return static_cast<std::uint32_t>(*high) << 16 | *low;
}

CodeAtPc Vcpu::code_at_pc() {
  CodeAtPc code;
  while (code.size < code.bytes.size()) {
    const auto parcel = cpu_.fetch(cpu_.pc() + code.size);
    if (!parcel || !store_le(code.bytes, code.size, *parcel)) break;
    code.size += sizeof(*parcel);
  }
  return code;
}

void Vcpu::retire(unsigned length) {
  cpu_.retire(length);
  ++retired_;
}

ExitReason Vcpu::illegal_instruction(std::uint32_t word) {
  deliver(Cause::IllegalInstruction, word);
  return exits::Nothing{};
}

// "Trap Entry and Return" of S-mode.
void Vcpu::deliver(Cause cause, std::uint64_t value) {
  const std::uint64_t pc = cpu_.pc();
  const std::uint64_t vector = cpu_.csr(Csr::Vstvec) & ~std::uint64_t{3};
  const bool from_supervisor = cpu_.privilege() == Privilege::Supervisor;
  if (from_supervisor && pc == vector) {
    crash_ = exits::GuestCrash{.cause = static_cast<std::uint64_t>(cause), .address = pc};
    return;
  }
  std::uint64_t status = cpu_.csr(Csr::Vsstatus);
  const bool enabled = (status & vsstatus::kSie) != 0;
  status &= ~(vsstatus::kSie | vsstatus::kSpie | vsstatus::kSpp);
  if (enabled) status |= vsstatus::kSpie;
  if (from_supervisor) status |= vsstatus::kSpp;
  cpu_.set_csr(Csr::Vsstatus, status);
  cpu_.set_csr(Csr::Vscause, static_cast<std::uint64_t>(cause));
  cpu_.set_csr(Csr::Vstval, value);
  cpu_.set_csr(Csr::Vsepc, pc);
  cpu_.set_privilege(Privilege::Supervisor);
  cpu_.set_pc(vector);
}

void Vcpu::reset() {
  cpu_.reset();
  clock_.set_alarm(alarm_, kNever);
  state_ = hart_ == 0 ? HartState::Started : HartState::Stopped;
  timer_pending_ = false;
  deadline_ns_ = kNever;
  applied_hvip_ = 0;
  retired_ = 0;
  csr_access_.reset();
  resume_.reset();
  crash_.reset();
}

// "Hart State Management Extension": S-mode, satp 0, interrupts off, a0 hart id, a1 opaque.
void Vcpu::set_entry(GuestPhys entry, std::uint64_t arg) {
  cpu_.reset();
  applied_hvip_ = 0;
  csr_access_.reset();
  resume_.reset();
  crash_.reset();
  // As firmware leaves it: cycle, time and instret are U-mode's, and the vDSO of Linux reads time.
  cpu_.set_csr(Csr::Scounteren, 0b111);
  cpu_.set_pc(entry.raw());
  cpu_.set_x(kA0, hart_id_);
  cpu_.set_x(kA1, arg);
  state_ = HartState::Started;
}

Result<std::uint64_t> Vcpu::gpr(unsigned index) const {
  if (index > 31) return fail(ErrorCode::InvalidInput, "riscv64 has no register x{}", index);
  return cpu_.x(index);
}

Result<> Vcpu::set_gpr(unsigned index, std::uint64_t value) {
  if (index > 31) return fail(ErrorCode::InvalidInput, "riscv64 has no register x{}", index);
  cpu_.set_x(index, value);
  return {};
}

void Vcpu::set_return_value(std::uint64_t value) {
  cpu_.set_x(kA0, value);
}

std::uint64_t Vcpu::not_supported() const {
  return static_cast<std::uint64_t>(SbiError::NotSupported);
}

void Vcpu::answer_cpu_up(CpuUpResult result) {
  SbiError error = SbiError::Success;
  if (result == CpuUpResult::AlreadyOn) error = SbiError::AlreadyAvailable;
  if (result == CpuUpResult::NoSuchCpu) error = SbiError::InvalidParam;
  cpu_.set_x(kA0, static_cast<std::uint64_t>(error));
}

void Vcpu::set_timer(std::uint64_t ticks) {
  constexpr std::uint64_t kLastTick = std::numeric_limits<std::uint64_t>::max() / kNsPerTick;
  deadline_ns_ = ticks < kLastTick ? ticks * kNsPerTick : kNever;
  timer_pending_ = deadline_ns_ <= clock_.now_ns();
  clock_.set_alarm(alarm_, timer_pending_ ? kNever : deadline_ns_);
}

void Vcpu::on_alarm(std::uint64_t /*now_ns*/) {
  timer_pending_ = true;
}

std::uint64_t Vcpu::wanted_hvip() const {
  return (timer_pending_ ? kVstip : 0) | (plic_.output(hart_) ? kVseip : 0);
}

void Vcpu::apply_interrupts() {
  const std::uint64_t wanted = wanted_hvip();
  if (wanted == applied_hvip_) return;
  cpu_.set_hvip(kOwnInterrupts, wanted);
  applied_hvip_ = wanted;
}

// "Wait for Interrupt": what is pending and enabled in sie, whatever sstatus.SIE.
bool Vcpu::wakeup_pending() const {
  const std::uint64_t pending = (cpu_.hvip() & ~kOwnInterrupts) | wanted_hvip();
  return ((pending >> 1) & cpu_.csr(Csr::Vsie)) != 0;
}

std::optional<std::uint64_t> Vcpu::load(std::uint64_t va) {
  if (!is_aligned(va, 8)) return std::nullopt;
  const std::uint64_t status = cpu_.csr(Csr::Vsstatus);
  const VsContext context{.satp = cpu_.csr(Csr::Vsatp),
                          .privilege = Privilege::Supervisor,
                          .sum = (status & vsstatus::kSum) != 0,
                          .mxr = (status & vsstatus::kMxr) != 0};
  const VsWalk walk = walk_vs_stage(context, va, AccessKind::Load, MemoryTables{memory_});
  if (walk.kind != VsWalk::Kind::Ok) return std::nullopt;
  const auto value = memory_.load<std::uint64_t>(GuestPhys(walk.gpa));
  return value ? std::optional(*value) : std::nullopt;
}

void Vcpu::digest(Digest& into) const {
  cpu_.digest(into);
  into.add(static_cast<std::uint64_t>(state_) << 1 | std::uint64_t{timer_pending_});
  into.add(deadline_ns_);
  into.add(retired_);
  into.add(csr_access_ ? csr_access_->word : 0);
  into.add(resume_ ? resume_->address : 0);
  into.add(crash_ ? crash_->cause + 1 : 0);
}

}  // namespace retrap::riscv64
