// Entering the guest, and what is not an exit of its own.
#include "arch/x86_64/vcpu.h"

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/exit_table.h"
#include "arch/x86_64/floating_bus.h"
#include "arch/x86_64/registers.h"
#include "vmm/base/check.h"
#include "vmm/exit_relay.h"

namespace retrap::x86_64 {
namespace {

constexpr auto kUndefinedOpcode = std::uint8_t{6};
constexpr auto kGeneralProtection = std::uint8_t{13};
constexpr auto kMachineCheck = std::uint8_t{18};
constexpr unsigned kMachineCheckEnable = 6;                      // CR4.MCE
constexpr std::uint64_t kNotSupported = ~std::uint64_t{38} + 1;  // -ENOSYS
constexpr std::uint64_t kSipiPage = 4096;

}  // namespace

Vcpu::Vcpu(VcpuId id, const VcpuParts& parts)
    : id_(id),
      parts_(parts),
      msrs_(parts.cpu, parts.interrupts.apics(), index(id), parts.clock, parts.mmio) {
  Vcpu::reset();
}

void Vcpu::reset() {
  CpuState state;
  state.gpr[static_cast<std::size_t>(Gpr::Rdx)] = cpu_model::kSignature;
  parts_.cpu.set_state(state);
  msrs_.reset();
  block_nmi(false);
  awaited_ = Awaited::Nothing;
  next_exit_.reset();
}

void Vcpu::set_entry(GuestPhys entry, std::uint64_t arg) {
  CpuState state;
  const std::uint64_t base = entry.align_down(kSipiPage).raw();
  Segment& code = state.segment(SegmentName::Cs);
  code.selector = static_cast<std::uint16_t>(base >> 4);
  code.base = base;
  state.rip = entry.raw() % kSipiPage;
  state.gpr[static_cast<std::size_t>(Gpr::Rdx)] = cpu_model::kSignature;
  state.gpr[static_cast<std::size_t>(Gpr::Rsi)] = arg;
  parts_.cpu.set_state(state);
  parts_.interrupts.apics().signals(number()).waits_for_startup = false;
  block_nmi(false);
  awaited_ = Awaited::Nothing;
  next_exit_.reset();
}

/// What happens between an exit of the CPU and its next entry.
class Vcpu::Turn final : public RawExitHandler {
 public:
  Turn(Vcpu& vcpu, ExitHandler& handler) : vcpu_(vcpu), relay_(handler) {}

  bool handle(const RawExit& exit) override {
    Handled handled = vcpu_.handle(exit);
    return goes_on(handled);
  }
  [[nodiscard]] bool goes_on() {
    Handled none;
    return goes_on(none);
  }

  [[nodiscard]] const ExitReason& last() const { return relay_.last(); }

 private:
  /// False: last() has been handled. `exit` is used up. It comes by reference: a copy of what has
  /// just been written is slow.
  [[nodiscard]] bool goes_on(Handled& exit) {
    RETRAP_CHECK(vcpu_.awaited_ == Awaited::Nothing || exit, "the last exit has been answered");
    while (exit || vcpu_.has_own_exit()) {
      if (!exit) exit = vcpu_.before_entry();
      if (exit && !relay_.goes_on_after(*exit)) return false;
      exit.reset();
    }
    vcpu_.deliver_events();
    return true;
  }

  Vcpu& vcpu_;
  ExitRelay relay_;
};

ExitReason Vcpu::run_with(ExitHandler& handler) {
  Turn turn(*this, handler);
  if (turn.goes_on()) (void)parts_.cpu.run_with(turn);
  return turn.last();
}

ExitReason Vcpu::run() {
  FirstExit<ExitHandler, ExitReason> first;
  return run_with(first);
}

// Whether before_entry() has something to do.
bool Vcpu::has_own_exit() const {
  const LocalApics& apics = parts_.interrupts.apics();
  return next_exit_ || parts_.requests.any() || apics.has_startup() || apics.signals(number()).init;
}

Vcpu::Handled Vcpu::before_entry() {
  if (next_exit_) return std::exchange(next_exit_, std::nullopt);
  if (parts_.requests.any()) return parts_.requests.take();
  LocalApics& apics = parts_.interrupts.apics();
  if (apics.has_startup()) {
    const auto startup = apics.take_startup();
    const GuestPhys entry(std::uint64_t{startup->vector} * kSipiPage);
    return exits::CpuUp{
        .target_cpu = apics.apic(startup->target).id(), .entry_point = entry, .arg = 0};
  }
  CpuSignals& signals = apics.signals(number());
  if (!signals.init) return std::nullopt;
  signals.init = false;
  if (signals.startup) {
    set_entry(GuestPhys(*std::exchange(signals.startup, std::nullopt) * kSipiPage), 0);
    return std::nullopt;
  }
  CpuState state;
  state.gpr[static_cast<std::size_t>(Gpr::Rdx)] = cpu_model::kSignature;
  parts_.cpu.set_state(state);
  block_nmi(false);
  signals.waits_for_startup = true;
  return exits::CpuDown{.state = 0};
}

void Vcpu::block_nmi(bool blocked) {
  nmi_is_blocked_ = blocked;
  parts_.cpu.intercept_iret(blocked);
}

// One event an entry: NMI first, then the highest interrupt; the windows for what has to wait.
void Vcpu::deliver_events() {
  Cpu& cpu = parts_.cpu;
  Interrupts& interrupts = parts_.interrupts;
  CpuSignals& signals = interrupts.apics().signals(number());
  bool nmi = signals.nmi && !nmi_is_blocked_;
  if (nmi && !cpu.has_pending_event()) {
    signals.nmi = nmi = false;
    cpu.inject(Event::nmi());
    interrupts.tell_delivery(VcpuId{number()}, kNmiVector);
    block_nmi(true);
  }
  bool waiting = interrupts.pending(number());
  if (waiting && !cpu.has_pending_event() && cpu.can_take_interrupt()) {
    if (const auto vector = interrupts.acknowledge(number())) {
      cpu.inject(Event::interrupt(*vector));
      interrupts.tell_delivery(VcpuId{number()}, *vector);
    }
    waiting = interrupts.pending(number());
  }
  cpu.request_windows(waiting, nmi);
}

Vcpu::Handled Vcpu::handle(const RawExit& exit) {
  static constexpr auto kDirect = ExitTable::make_direct();
  const auto code = static_cast<std::uint32_t>(exit.code);
  const auto handler = code < kDirect.size() ? kDirect[code] : ExitTable::find(exit.code);
  return (this->*handler)(exit);
}

bool Vcpu::wakeup_pending() const {
  const LocalApics& apics = parts_.interrupts.apics();
  const CpuSignals& signals = apics.signals(number());
  const bool nmi = signals.nmi && !nmi_is_blocked_;
  if (nmi || signals.init || next_exit_ || parts_.requests.any()) return true;
  const bool unmasked = (parts_.cpu.rflags() & flag::kInterrupt) != 0;
  return unmasked && parts_.interrupts.pending(number());
}

void Vcpu::complete(std::uint64_t value) {
  Cpu& cpu = parts_.cpu;
  const RawExit& exit = cpu.last_exit();
  const Awaited awaited = std::exchange(awaited_, Awaited::Nothing);
  const bool string = (exit.info1 & ioio::kString) != 0;
  switch (awaited) {
    case Awaited::RegisterRead:
      // RDMSR: two halves of 32 bits (defects V9 and X2).
      cpu.set_gpr(Gpr::Rax, value & low_bits(32));
      cpu.set_gpr(Gpr::Rdx, value >> 32);
      return retire(exit);
    case Awaited::PortRead: {
      if (string) return finish_string_io(true, value);
      const auto bytes = static_cast<unsigned>(extract(exit.info1, 6, 4));
      cpu.set_gpr(Gpr::Rax, merge_register(cpu.gpr(Gpr::Rax), value, bytes));
      return retire(exit);
    }
    case Awaited::PortWrite:
      if (string) return finish_string_io(false, 0);
      return retire(exit);
    case Awaited::RegisterWrite: return retire(exit);
    case Awaited::Nothing:       RETRAP_CHECK(false, "complete() answers an exit"); return;
  }
}

void Vcpu::refuse() {
  switch (awaited_) {
    case Awaited::PortRead:
    case Awaited::PortWrite: return complete(~std::uint64_t{0});
    case Awaited::RegisterRead:
    case Awaited::RegisterWrite:
      awaited_ = Awaited::Nothing;
      parts_.cpu.inject(Event::exception(kGeneralProtection, 0));
      return;
    case Awaited::Nothing: RETRAP_CHECK(false, "refuse() answers an exit"); return;
  }
}

Emulated Vcpu::emulate(AccessPort& port) {
  const RawExit& exit = parts_.cpu.last_exit();
  const bool is_table = (exit.info1 & npf::kGuestTable) != 0;
  if (exit.during_delivery || is_table) return Emulated::NoAccess;
  if ((exit.info1 & npf::kFetch) != 0) return Emulated::Unknown;
  Emulator emulator(parts_.cpu, port, &parts_.memory);
  const Emulated done = emulator.run(exit, decoder_);
  if (done == Emulated::NestedFault) next_exit_ = nested_fault_of(emulator.nested_fault());
  return done;
}

void Vcpu::inject_abort(const exits::NestedPageFault& fault) {
  const RawExit exit = parts_.cpu.last_exit();
  const ExitReason crash = exits::GuestCrash{
      .cause = static_cast<std::uint64_t>(SvmExit::NestedPageFault), .address = fault.addr.raw()};
  if (exit.during_delivery) {
    next_exit_ = crash;
    return;
  }
  if (has_bit(parts_.cpu.cr4(), kMachineCheckEnable)) {
    parts_.cpu.inject(Event::exception(kMachineCheck));
    return;
  }
  if ((exit.info1 & npf::kGuestTable) != 0) {
    next_exit_ = crash;
    return;
  }
  if ((exit.info1 & npf::kFetch) != 0) {
    parts_.cpu.inject(Event::exception(kUndefinedOpcode));
    return;
  }
  FloatingBus floating(parts_.memory, parts_.mmio, id_);
  switch (emulate(floating)) {
    case Emulated::Retired:
    case Emulated::GuestFault:
    case Emulated::NestedFault: return;
    case Emulated::NoAccess:
    case Emulated::Unknown:     next_exit_ = crash; return;
  }
}

Result<std::uint64_t> Vcpu::gpr(unsigned index) const {
  if (index >= 16) return fail(ErrorCode::InvalidInput, "x86_64 has no register {}", index);
  return parts_.cpu.gpr(Gpr(index));
}

Result<> Vcpu::set_gpr(unsigned index, std::uint64_t value) {
  if (index >= 16) return fail(ErrorCode::InvalidInput, "x86_64 has no register {}", index);
  parts_.cpu.set_gpr(Gpr(index), value);
  return {};
}

std::uint64_t Vcpu::not_supported() const {
  return kNotSupported;
}

CodeAtPc Vcpu::code_at_pc() {
  std::array<std::uint8_t, 15> fetched{};
  CodeAtPc code{.size = parts_.cpu.fetch(fetched), .bits = 8 * parts_.cpu.code_bytes()};
  for (std::size_t i = 0; i < code.size; ++i) code.bytes[i] = std::byte{fetched[i]};
  return code;
}

std::vector<NamedRegister> Vcpu::registers() const {
  std::vector<NamedRegister> all = parts_.cpu.registers();
  msrs_.add_registers(all);
  return all;
}

void Vcpu::digest(Digest& into) const {
  parts_.cpu.digest(into);
  msrs_.digest(into);
  into.add(static_cast<std::uint64_t>(awaited_) | std::uint64_t{nmi_is_blocked_} << 8);
  into.add(next_exit_ ? next_exit_->index() + 1 : 0);
}

}  // namespace retrap::x86_64
