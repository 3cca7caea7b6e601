// Exceptions: which belong to the guest, which go to EL2, and their syndromes.
#include "sim/unicorn/aarch64/core.h"

namespace retrap::unicorn::aarch64 {
namespace {

using retrap::aarch64::ExceptionClass;
using retrap::aarch64::make_esr;
using retrap::aarch64::MemoryInstruction;
using retrap::aarch64::MemoryOp;
namespace abort_iss = retrap::aarch64::abort_iss;
namespace fsc = retrap::aarch64::fsc;
namespace pstate = retrap::aarch64::pstate;
namespace sysreg_iss = retrap::aarch64::sysreg_iss;

/// The engine's exception numbers, as UC_HOOK_INTR delivers them.
enum class EngineException : int {
  Undefined = 1,  ///< also every trapped MRS and MSR, and a finished software step
  SupervisorCall = 2,
  DataAbort = 4,  ///< alignment only: all others are refused fills
  Breakpoint = 7,
  HypervisorCall = 11,
  HypervisorTrap = 12,  ///< SMC under HCR_EL2.TSC
  SecureMonitorCall = 13,
};

ExceptionClass abort_class(bool fetch, unsigned el) {
  if (fetch) {
    return el == 0 ? ExceptionClass::InstructionAbortLower : ExceptionClass::InstructionAbortSame;
  }
  return el == 0 ? ExceptionClass::DataAbortLower : ExceptionClass::DataAbortSame;
}

std::uint32_t immediate16(std::uint32_t word) {
  return static_cast<std::uint32_t>(extract(word, 20, 5));
}

// DDI 0487, D24.2.37, "ISS encoding for an exception from a Data Abort": the access.
std::uint32_t access_syndrome(const MemoryInstruction& insn) {
  if (!insn.syndrome) return 0;
  return abort_iss::kIsv | static_cast<std::uint32_t>(insn.size_log2) << abort_iss::kSasShift |
         (insn.sign_extend ? abort_iss::kSse : 0) |
         static_cast<std::uint32_t>(insn.rt) << abort_iss::kSrtShift |
         (insn.wide ? abort_iss::kSf : 0) | (insn.ordered ? abort_iss::kAr : 0);
}

// Registers that EL0 may reach if EL1 lets it: a refusal is EC 0x18, not "unknown".
bool is_trapped_at_el0(const retrap::aarch64::SysRegFields& reg) {
  if (reg.op1 != 3) return false;
  if (reg.op0 == 1) return reg.crn == 7;  // DC and IC by address: UCI, DZE
  if (reg.op0 != 3) return false;
  if (reg.crn == 0) return true;                                           // CTR, DCZID: UCT, DZE
  if (reg.crn == 4) return reg.crm == 2 && reg.op2 == 1;                   // DAIF: UMA
  return reg.crn == 14 && (reg.crm == 0 || reg.crm == 2 || reg.crm == 3);  // timers: CNTKCTL
}

}  // namespace

Core::Next Core::trap(std::uint32_t esr, std::uint64_t far, std::uint64_t hpfar) {
  current_->exit = {.kind = RawExit::Kind::Trap, .esr = esr, .far = far, .hpfar = hpfar};
  return Next::Exit;
}

Core::Next Core::fail(std::uint64_t reason) {
  current_->exit = {.kind = RawExit::Kind::Failed, .esr = reason};
  return Next::Exit;
}

Core::Next Core::take_fault(std::uint32_t esr, std::optional<std::uint64_t> far) {
  ++retired_;
  if (retrap::aarch64::is_at_own_vector(*current_->cpu)) {
    current_->exit = {.kind = RawExit::Kind::Endless, .esr = esr, .far = far.value_or(0)};
    return Next::Exit;
  }
  retrap::aarch64::enter_el1(*current_->cpu,
                             {.return_address = current_->pc, .esr = esr, .far = far});
  return Next::GoOn;
}

Core::Next Core::stage2_abort(std::uint64_t far, std::uint32_t iss, bool fetch) {
  const auto ec = fetch ? ExceptionClass::InstructionAbortLower : ExceptionClass::DataAbortLower;
  return trap(make_esr(ec, iss), far, (refusal_.walk.ipa >> 12) << 4);
}

const std::optional<MemoryInstruction>& Core::decode(std::uint32_t word) {
  if (word != decoded_word_ || !decoded_) {
    decoded_ = retrap::aarch64::decode_memory(word);
    decoded_word_ = word;
  }
  return decoded_;
}

Core::Next Core::on_refusal() {
  const Refusal& refusal = refusal_;
  const Walk& walk = refusal.walk;
  const bool fetch = refusal.access == AccessType::Fetch;
  const std::uint64_t pc = current_->pc;
  // A jump was the last instruction before the limit: what its target causes comes after it.
  if (fetch && retired_ >= limit_) return Next::GoOn;
  if (fetch && registers_.in_aarch32()) return fail(kLost);
  if (fetch && (pc & 3) != 0) return take_fault(make_esr(ExceptionClass::PcAlignment, 0), pc);
  std::uint64_t far = fetch ? pc : refusal.va;
  bool write = refusal.access == AccessType::Write;
  std::uint32_t access = 0;
  if (refusal.word && decode(*refusal.word)) {
    // The fill hook knows the page; the instruction knows the address. An access that comes from
    // the page before faults at the start of this one.
    const MemoryInstruction& insn = *decoded_;
    const std::uint64_t start = retrap::aarch64::effective_address(insn, pc, registers_);
    if (extract(start, 55, 12) == extract(refusal.va, 55, 12)) far = start;
    write = write || (insn.store && !insn.load);
    access = access_syndrome(insn);
  }
  const std::uint32_t iss = walk.fsc | (!fetch && write ? abort_iss::kWnR : 0);
  const bool external = walk.outcome == Walk::Outcome::NoMemory;
  switch (walk.outcome) {
    case Walk::Outcome::Stage2:       return stage2_abort(far, iss | access, fetch);
    case Walk::Outcome::Stage2OnWalk: return stage2_abort(far, iss | abort_iss::kS1Ptw, fetch);
    case Walk::Outcome::NoMemory:
    case Walk::Outcome::Ok:
    case Walk::Outcome::Stage1:       break;
  }
  const unsigned el = pstate::el(registers_.pstate());
  return take_fault(make_esr(abort_class(fetch, el), iss | (external ? fsc::kExternal : 0)), far);
}

Core::Next Core::on_exception_number() {
  const std::uint64_t pc = current_->pc;
  const auto word_at = [&](std::uint64_t at) { return instruction_at(at).value_or(0); };
  switch (static_cast<EngineException>(exception_number_)) {
    case EngineException::HypervisorCall: return trap(registers_.syndrome());
    case EngineException::Undefined:      return on_undefined();
    case EngineException::SupervisorCall:
      retrap::aarch64::enter_el1(
          *current_->cpu, {.return_address = pc,
                           .esr = make_esr(ExceptionClass::Svc64, immediate16(word_at(pc - 4))),
                           .far = std::nullopt});
      return Next::GoOn;
    case EngineException::HypervisorTrap:
      return trap(make_esr(ExceptionClass::Smc64, immediate16(word_at(pc))));
    case EngineException::Breakpoint:
      return take_fault(make_esr(ExceptionClass::Brk64, immediate16(word_at(pc))), std::nullopt);
    case EngineException::DataAbort: {
      const auto insn = retrap::aarch64::decode_memory(word_at(pc));
      const std::uint64_t far =
          insn ? retrap::aarch64::effective_address(*insn, pc, registers_) : 0;
      const std::uint32_t write = insn && insn->store && !insn->load ? abort_iss::kWnR : 0;
      return take_fault(
          make_esr(abort_class(false, pstate::el(registers_.pstate())), fsc::kAlignment | write),
          far);
    }
    case EngineException::SecureMonitorCall: break;
  }
  return fail(0x100 | static_cast<std::uint64_t>(exception_number_));
}

Core::Next Core::on_undefined() {
  // A trap that EL2 asked for comes with its syndrome. What the engine does not know is undefined
  // in its eyes: the instruction says what it was.
  const std::uint32_t known = registers_.syndrome();
  if (retrap::aarch64::class_of(known) == ExceptionClass::SysReg &&
      pstate::el(registers_.pstate()) != 0) {
    return trap(known);
  }
  const std::uint32_t word = instruction_at(current_->pc).value_or(0);
  const unsigned el = pstate::el(registers_.pstate());
  std::uint32_t esr = make_esr(ExceptionClass::Unknown, 0);
  if ((word & 0xffc0'0000) == 0xd500'0000 && extract(word, 20, 19) != 0) {
    return on_system_instruction(word, el);
  } else if (el == 0 && (word & 0xfff8'f01f) == 0xd500'401f) {
    // MSR (immediate) to DAIF with SCTLR_EL1.UMA = 0: reported with CRn 4 and Rt 31.
    esr = make_esr(
        ExceptionClass::SysReg,
        static_cast<std::uint32_t>(extract(word, 7, 5) << 17 | extract(word, 18, 16) << 14 |
                                   4 << 10 | 31 << 5 | extract(word, 11, 8) << 1));
  } else if ((word & 0xffff'ffdf) == 0xd503'205f) {
    // WFE or WFI at EL0 with SCTLR_EL1.nTWE or nTWI = 0.
    const std::uint32_t is_wfe = word == 0xd503'205f ? 1 : 0;
    esr = make_esr(ExceptionClass::Wfx, retrap::aarch64::kConditionAlways | is_wfe);
  }
  return take_fault(esr, std::nullopt);
}

Core::Next Core::on_system_instruction(std::uint32_t word, unsigned el) {
  const auto iss = static_cast<std::uint32_t>(
      extract(word, 20, 19) << 20 | extract(word, 7, 5) << 17 | extract(word, 18, 16) << 14 |
      extract(word, 15, 12) << 10 | extract(word, 4, 0) << 5 | extract(word, 11, 8) << 1 |
      extract(word, 21, 21));
  const std::uint32_t esr = make_esr(ExceptionClass::SysReg, iss);
  if (el != 0) return trap(esr);
  const auto reg = retrap::aarch64::fields_of(iss);
  if (reg.op0 == 3 && reg.op1 == 3 && reg.crn == 14) {
    // What CNTKCTL_EL1 allows EL0, CNTHCTL_EL2 traps: the physical counter and its timer.
    const std::uint64_t allowed = registers_.sysreg(SysReg::CNTKCTL_EL1);
    const bool counter = reg.crm == 0 && reg.op2 == 1 && has_bit(allowed, 0);
    const bool timer = reg.crm == 2 && has_bit(allowed, 9);
    if (counter || timer) return trap(esr);
  }
  return take_fault(is_trapped_at_el0(reg) ? esr : make_esr(ExceptionClass::Unknown, 0),
                    std::nullopt);
}

}  // namespace retrap::unicorn::aarch64
