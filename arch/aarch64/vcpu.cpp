// What each exception class means to the monitor.
#include "arch/aarch64/vcpu.h"

#include "arch/aarch64/emulate.h"
#include "arch/aarch64/sysregs.h"
#include "vmm/exit_relay.h"

namespace retrap::aarch64 {
namespace {

constexpr unsigned kGprs = 32;

/// FailEntry reasons and GuestCrash causes of ours are exception classes; this is none of them.
constexpr std::uint64_t kUnexpectedClass = 0x1000;

// SGI1R: INTID [27:24], target list [15:0], Aff1 [23:16], Aff2 [39:32], Aff3 [55:48], IRM [40],
// RS [47:44] (IHI 0069H, 12.2.21).
struct SoftwareInterrupt {
  explicit SoftwareInterrupt(std::uint64_t value)
      : intid(extract(value, 27, 24)),
        list(extract(value, 15, 0)),
        all_others(has_bit(value, 40)),
        target(extract(value, 55, 48) << 32 | extract(value, 39, 32) << 16 |
               extract(value, 23, 16) << 8 | extract(value, 47, 44) << 4) {}
  std::uint64_t intid;
  std::uint64_t list;
  bool all_others;
  std::uint64_t target;  ///< affinity of the first CPU of the list
};

}  // namespace

/// Tells the monitor of each exit of the CPU, until it wants no more.
class Aarch64Vcpu::Turn final : public RawExitHandler {
 public:
  Turn(Aarch64Vcpu& vcpu, ExitHandler& handler) : vcpu_(vcpu), relay_(handler) {}

  bool handle(const RawExit& exit) override {
    vcpu_.exit_ = &exit;
    if (vcpu_.is_undefined_access()) {
      vcpu_.inject_undefined();
    } else if (!relay_.goes_on_after(vcpu_.reason())) {
      return false;
    }
    return goes_on();
  }

  /// What is due comes before the guest.
  [[nodiscard]] bool goes_on() {
    while (vcpu_.is_exit_due()) {
      if (!relay_.goes_on_after(vcpu_.due_exit())) return false;
    }
    return true;
  }

  [[nodiscard]] const ExitReason& last() const { return relay_.last(); }

 private:
  Aarch64Vcpu& vcpu_;
  ExitRelay relay_;
};

ExitReason Aarch64Vcpu::run_with(ExitHandler& handler) {
  Turn turn(*this, handler);
  if (turn.goes_on()) (void)cpu_.run_with(turn);
  return turn.last();
}

ExitReason Aarch64Vcpu::run() {
  FirstExit<ExitHandler, ExitReason> first;
  return run_with(first);
}

ExitReason Aarch64Vcpu::due_exit() {
  if (crash_) return *crash_;
  return *parts_.finisher.take_request();
}

ExitReason Aarch64Vcpu::reason() {
  if (exit_->kind != RawExit::Kind::Trap) return ended();
  switch (class_of(exit_->esr)) {
    case ExceptionClass::DataAbortLower:
    case ExceptionClass::InstructionAbortLower: return on_abort();
    case ExceptionClass::Hvc64:                 return on_hypervisor_call();
    case ExceptionClass::Wfx:                   return on_wait();
    case ExceptionClass::Smc64:                 return on_secure_monitor_call();
    case ExceptionClass::SysReg:                return on_system_register();
    default:                                    return unexpected();
  }
}

ExitReason Aarch64Vcpu::ended() {
  switch (exit_->kind) {
    case RawExit::Kind::Stopped: return exits::BudgetSpent{};
    case RawExit::Kind::Endless:
      crash_ = exits::GuestCrash{.cause = exit_->esr, .address = cpu_.pc()};
      return *crash_;
    case RawExit::Kind::Failed:
    case RawExit::Kind::Trap:   break;
  }
  return exits::FailEntry{exit_->esr};
}

// Nothing that we trap has another class: the hardware is not what it says.
ExitReason Aarch64Vcpu::unexpected() const {
  const auto ec = static_cast<std::uint64_t>(class_of(exit_->esr));
  return exits::GuestCrash{.cause = kUnexpectedClass | ec, .address = cpu_.pc()};
}

// WFE does not trap (HCR_EL2.TWE is 0).
ExitReason Aarch64Vcpu::on_wait() {
  cpu_.retire();
  return exits::Halt{};
}

// The hardware has moved the PC behind an HVC already.
ExitReason Aarch64Vcpu::on_hypervisor_call() {
  if ((iss_of(exit_->esr) & 0xffff) != 0) {
    cpu_.set_x(0, not_supported());  // SMCCC: the immediate is zero
    return exits::Nothing{};
  }
  const Call call = cpu_.call();
  if (is_firmware_call(static_cast<std::uint32_t>(call.number))) return firmware_call(call);
  return exits::Hypercall{.nr = call.number, .args = call.args};
}

// There is no EL3: every SMC is a firmware call, or unknown.
ExitReason Aarch64Vcpu::on_secure_monitor_call() {
  cpu_.retire();
  if ((iss_of(exit_->esr) & 0xffff) != 0) {
    cpu_.set_x(0, not_supported());
    return exits::Nothing{};
  }
  return firmware_call(cpu_.call());
}

ExitReason Aarch64Vcpu::firmware_call(const Call& call) {
  const FirmwareAnswer answer = answer_firmware_call(
      {.function = static_cast<std::uint32_t>(call.number), .args = call.args}, parts_.power);
  if (answer.value) cpu_.set_x(0, static_cast<std::uint64_t>(*answer.value));
  if (std::holds_alternative<exits::CpuDown>(answer.exit)) parts_.power.set(index_, false);
  return answer.exit;
}

void Aarch64Vcpu::answer_cpu_up(CpuUpResult result) {
  const auto code = [&] {
    switch (result) {
      case CpuUpResult::Started:   return psci::kSuccess;
      case CpuUpResult::AlreadyOn: return psci::kAlreadyOn;
      case CpuUpResult::NoSuchCpu: return psci::kInvalidParameters;
    }
    return psci::kInternalFailure;
  };
  cpu_.set_x(0, static_cast<std::uint64_t>(code()));
}

// op0 1 is a system instruction that the guest may not have. Registers are polled: an access that
// was right once is right again.
bool Aarch64Vcpu::is_undefined_access() {
  if (class_of(exit_->esr) != ExceptionClass::SysReg) return false;
  if (exit_->kind != RawExit::Kind::Trap) return false;
  const std::uint32_t access = iss_of(exit_->esr) & (kSysRegMask | sysreg_iss::kRead);
  if (access == known_access_) return false;
  const bool read = (access & sysreg_iss::kRead) != 0;
  if (fields_of(access).op0 < 2 || is_misdirected(access & kSysRegMask, read)) return true;
  known_access_ = access;
  return false;
}

ExitReason Aarch64Vcpu::on_system_register() {
  const std::uint32_t iss = iss_of(exit_->esr);
  const std::uint32_t reg = iss & kSysRegMask;
  const unsigned rt = sysreg_iss::rt(iss);
  if ((iss & sysreg_iss::kRead) != 0) {
    return exits::SysRegRead{.addr = reg, .reg = static_cast<std::uint8_t>(rt)};
  }
  const std::uint64_t value = cpu_.x(rt);
  if (SysReg{reg} == SysReg::ICC_SGI1R_EL1) return send_interrupt(value);
  return exits::SysRegWrite{.addr = reg, .value = value};
}

ExitReason Aarch64Vcpu::send_interrupt(std::uint64_t value) {
  cpu_.retire();
  const SoftwareInterrupt interrupt(value);
  if (!interrupt.all_others && interrupt.list == 0) return exits::Nothing{};
  return exits::SendIPI{.target_cpu = interrupt.target,
                        .target_cpu_aux = interrupt.list,
                        .send_to_all = interrupt.all_others,
                        .send_to_self = false,
                        .vector = interrupt.intid};
}

// Nested fault first: whether a device is there is the monitor's to say.
ExitReason Aarch64Vcpu::on_abort() {
  const std::uint32_t iss = iss_of(exit_->esr);
  // Stage 2 has four kinds of faults; HPFAR_EL2 says nothing after any other abort.
  if ((iss & 0x3f) > (fsc::kPermission | 3)) return unexpected();
  const bool fetch = class_of(exit_->esr) == ExceptionClass::InstructionAbortLower;
  const bool on_walk = (iss & abort_iss::kS1Ptw) != 0;
  const std::uint64_t page = extract(exit_->hpfar, 39, 4) << 12;
  MappingFlags access = MappingFlags::Read;  // of a table, or of data
  if (!on_walk && fetch) access = MappingFlags::Execute;
  if (!on_walk && !fetch && (iss & abort_iss::kWnR) != 0) access = MappingFlags::Write;
  const std::uint64_t in_page = on_walk ? 0 : exit_->far & low_bits(12);
  return ExitReason(std::in_place_type<exits::NestedPageFault>, GuestPhys(page | in_page), access);
}

void Aarch64Vcpu::complete(std::uint64_t value) {
  const std::uint32_t iss = iss_of(exit_->esr);
  if ((iss & sysreg_iss::kRead) != 0) {
    cpu_.retire_with(sysreg_iss::rt(iss), value);
  } else {
    cpu_.retire();
  }
}

void Aarch64Vcpu::refuse() {
  inject_undefined();
}

Emulated Aarch64Vcpu::emulate(AccessPort& port) {
  const bool on_walk = (iss_of(exit_->esr) & abort_iss::kS1Ptw) != 0;
  if (class_of(exit_->esr) != ExceptionClass::DataAbortLower || on_walk) return Emulated::Unknown;
  const auto access = access_of(*exit_);
  const EmulationResult result =
      access ? emulate_access(cpu_, *access, port) : emulate_instruction(cpu_, port);
  if (result.outcome == Emulated::Retired) cpu_.retire();
  if (result.outcome == Emulated::GuestFault) inject_abort(result.fsc, result.far, result.write);
  return result.outcome;
}

void Aarch64Vcpu::inject(std::uint32_t esr, std::optional<std::uint64_t> far) {
  // It costs an instruction: a guest whose vectors fault for ever must reach its limit.
  parts_.clock.retire_to(parts_.clock.retired() + 1);
  if (is_at_own_vector(cpu_)) {
    crash_ = exits::GuestCrash{.cause = esr, .address = cpu_.pc()};
    return;
  }
  enter_el1(cpu_, {.return_address = cpu_.pc(), .esr = esr, .far = far});
}

void Aarch64Vcpu::inject_undefined() {
  inject(make_esr(ExceptionClass::Unknown, 0), std::nullopt);
}

void Aarch64Vcpu::inject_abort(std::uint32_t fsc, std::uint64_t far, bool write) {
  const bool fetch = class_of(exit_->esr) == ExceptionClass::InstructionAbortLower;
  const bool el0 = pstate::el(cpu_.pstate()) == 0;
  ExceptionClass ec = el0 ? ExceptionClass::DataAbortLower : ExceptionClass::DataAbortSame;
  if (fetch) {
    ec = el0 ? ExceptionClass::InstructionAbortLower : ExceptionClass::InstructionAbortSame;
  }
  inject(make_esr(ec, fsc | (write ? abort_iss::kWnR : 0)), far);
}

// A synchronous external abort. The level of the walk that met it is not in the syndrome of a
// stage-2 fault: 3 is reported.
void Aarch64Vcpu::inject_abort(const exits::NestedPageFault&) {
  const std::uint32_t iss = iss_of(exit_->esr);
  const bool on_walk = (iss & abort_iss::kS1Ptw) != 0;
  const bool fetch = class_of(exit_->esr) == ExceptionClass::InstructionAbortLower;
  inject_abort(on_walk ? fsc::kExternalOnWalk | 3 : fsc::kExternal, exit_->far,
               !fetch && (iss & abort_iss::kWnR) != 0);
}

void Aarch64Vcpu::reset() {
  cpu_.reset();
  crash_.reset();
  parts_.power.set(index_, false);
}

void Aarch64Vcpu::set_entry(GuestPhys entry, std::uint64_t arg) {
  cpu_.set_pc(entry.raw());
  cpu_.set_x(0, arg);
  parts_.power.set(index_, true);
  // The input follows the CPU interface through a reset of the CPU.
  cpu_.set_virtual_irq(parts_.gic.signals(index_));
}

Result<std::uint64_t> Aarch64Vcpu::gpr(unsigned index) const {
  if (index >= kGprs) return fail(ErrorCode::InvalidInput, "there is no register x{}", index);
  return cpu_.x(index);
}

Result<> Aarch64Vcpu::set_gpr(unsigned index, std::uint64_t value) {
  if (index >= kGprs) return fail(ErrorCode::InvalidInput, "there is no register x{}", index);
  cpu_.set_x(index, value);
  return {};
}

}  // namespace retrap::aarch64
