// Running a CPU: start, find out why the engine stopped, go on or come back.
#include "sim/unicorn/aarch64/core.h"

#include <algorithm>

#include "sim/unicorn/host_clock.h"

namespace retrap::unicorn::aarch64 {
namespace {

using retrap::aarch64::ExceptionClass;
using retrap::aarch64::make_esr;
namespace pstate = retrap::aarch64::pstate;

constexpr std::uint32_t kWfi = 0xd503'207f;
constexpr int kUndefined = 1;  // the engine's number, also for a finished software step
// The longest block: a page of instructions.
constexpr std::uint64_t kMaxBlock = kPageSize / 4;

}  // namespace

const RawExit& Core::run(CpuContext& cpu, RawExitHandler& handler) {
  if (running_ != &cpu) begin_turn(cpu);
  handler_ = &handler;
  Next next = Next::TakeOver;
  while (next != Next::Leave) {
    if (next == Next::TakeOver) take_over(cpu);
    next = enter();
    if (next == Next::Exit) next = hand_over();
  }
  return cpu.exit;
}

// The engine compares values where hardware watches for stores. Whatever another CPU has stored in
// the meantime, a store-exclusive must fail: as after the ERET that would have brought us here.
void Core::begin_turn(CpuContext& cpu) {
  running_ = &cpu;
  registers(cpu).open_monitor();
}

// The registers, the tables and the time may be others than when the engine was left.
void Core::take_over(CpuContext& cpu) {
  if (current_ != &cpu) switch_to(cpu);
  if (generation_ != space_.generation()) {
    generation_ = space_.generation();
    mmu_.forget_stage2();
    code_pages_.forget();
    flush_tlb();
  }
  if (one_store_ != kNoPage) close_code_page();
  // Another engine may have translated what this one may write.
  if (memory_.code_marks() != code_marks_) flush_tlb();
  retired_ = clock_.retired();
  limit_ = clock_.stop_at();
  set_stepping(false);
}

Core::Next Core::enter() {
  if (interrupt_is_due()) take_interrupt();
  if (pending()) apply_pending();
  if (retired_ >= limit_) {
    current_->exit = {.kind = RawExit::Kind::Stopped};
    return Next::Exit;
  }
  if (stepping_) registers_.set_raw_pstate(registers_.pstate() | pstate::kSs);
  const std::uint64_t started_at = current_->pc;
  begin_at(started_at);
  const uc_err error = engine_.start(started_at);
  return dealt_with_ ? *dealt_with_ : after_stop(error, started_at);
}

// No block has run yet.
void Core::begin_at(std::uint64_t pc) {
  refusal_.valid = false;
  exception_number_ = -1;
  attention_ = {};
  block_end_ = pc;
  dealt_with_.reset();
  reconsider();
}

Core::Next Core::hand_over() {
  clock_.retire_to(retired_);
  code_marks_ = memory_.code_marks();
  const HostClockGoesOn guard;
  return handler_->handle(running_->exit) ? Next::TakeOver : Next::Leave;
}

// In the hook of an exception. False: the engine has to be left.
bool Core::deal_in_place(uc_err error) {
  if (stepping_ || deferred_) return false;
  Next next = after_stop(error, current_->pc);
  if (next == Next::Exit) next = hand_over();
  dealt_with_ = next;
  return next != Next::Leave && stay_in_engine(next);
}

// True: the guest goes on where its state says, without the engine being left.
bool Core::stay_in_engine(Next next) {
  if (next == Next::TakeOver) {
    if (current_ != running_ || generation_ != space_.generation()) return false;
    if (memory_.code_marks() != code_marks_) return false;
    retired_ = clock_.retired();
    limit_ = clock_.stop_at();
  }
  if (interrupt_is_due()) take_interrupt();
  if (pending() || stepping_ || retired_ >= limit_) return false;
  registers_.set_pc(current_->pc);
  begin_at(current_->pc);
  return true;
}

Core::Next Core::after_stop(uc_err error, std::uint64_t started_at) {
  if (one_store_ != kNoPage) [[unlikely]]
    close_code_page();
  if (stepping_ || deferred_) [[unlikely]] {
    current_->pc = registers_.pc();
    const bool step_done = stepping_ && exception_number_ == kUndefined && is_step_done(started_at);
    if (stepping_) registers_.set_raw_pstate(registers_.pstate() & ~pstate::kSs);
    if (deferred_) return defer();
    if (step_done && !(error == UC_ERR_EXCEPTION && refusal_.valid)) {
      return finish_step(started_at);
    }
  }
  if (error == UC_ERR_EXCEPTION && refusal_.valid) {
    current_->pc = refusal_.access == AccessType::Fetch ? registers_.pc() : refusal_.pc;
    // A fetch fails between two blocks: the one before has run to its end.
    if (refusal_.access != AccessType::Fetch && !uncount()) return fail(kLost);
    return refusal_.to_code ? open_code_page() : on_refusal();
  }
  current_->pc = registers_.pc();
  if (exception_number_ >= 0) {
    if (!uncount()) return fail(kLost);
    return on_exception_number();
  }
  if (attention_.at_block) return after_attention();
  if (error == UC_ERR_OK) {
    if (!uncount()) return fail(kLost);
    return wait_for_interrupt();
  }
  return fail(static_cast<std::uint64_t>(error));
}

// The AT at PC - 4 has done nothing: it runs again when stage 2 has what it needs.
Core::Next Core::defer() {
  current_->pc -= 4;
  retired_ -= 1;
  current_->exit = *deferred_;
  deferred_.reset();
  return Next::Exit;
}

Core::Next Core::after_attention() {
  if (attention_.aarch32) return fail(kLost);
  if (attention_.misaligned || attention_.in_window) {
    // Such a block must be looked at again when it comes again: it may not stay translated.
    translations_.drop_everything();
  }
  // At the limit the fault is what happens after it.
  if (retired_ >= limit_) return Next::GoOn;
  const std::uint64_t pc = current_->pc;
  if (attention_.misaligned) return take_fault(make_esr(ExceptionClass::PcAlignment, 0), pc);
  if (attention_.in_window) {
    const bool el0 = pstate::el(registers_.pstate()) == 0;
    return take_fault(
        make_esr(el0 ? ExceptionClass::InstructionAbortLower : ExceptionClass::InstructionAbortSame,
                 retrap::aarch64::fsc::kTranslation),
        pc);
  }
  // Behind what the engine's TLB may have said instead.
  if (attention_.turn_is_due && !pending() && !interrupt_is_due()) {
    branched_at_ = kNever;  // said once
    current_->exit = {.kind = RawExit::Kind::Stopped};
    return Next::Exit;
  }
  if (attention_.illegal_state) {
    return take_fault(make_esr(ExceptionClass::IllegalState, 0), std::nullopt);
  }
  if (attention_.fp_offset == 0) {
    return take_fault(make_esr(ExceptionClass::FpAccess, retrap::aarch64::kConditionAlways),
                      std::nullopt);
  }
  if (attention_.eret_offset == 0) return return_oddly();
  if (retired_ < limit_ && !pending() && !interrupt_is_due()) {
    const int offset = std::max(attention_.fp_offset, attention_.eret_offset);
    step_until_ = offset > 0 ? retired_ + static_cast<std::uint64_t>(offset) : kNever;
    set_stepping(true);
  }
  return Next::GoOn;
}

// SS is cleared by the step, except where the instruction jumped to itself.
bool Core::is_step_done(std::uint64_t started_at) const {
  return (registers_.pstate() & pstate::kSs) == 0 || current_->pc != started_at;
}

// Exactly one instruction has retired; the PC may be anywhere.
Core::Next Core::finish_step(std::uint64_t started_at) {
  if (retired_ >= limit_ || retired_ >= step_until_) set_stepping(false);
  // A WFI that is stepped does not halt the engine.
  if (current_->pc == started_at + 4 && instruction_at(started_at) == kWfi) {
    return wait_for_interrupt();
  }
  return Next::GoOn;
}

// The engine has stepped over the WFI; a trap leaves the PC at it.
Core::Next Core::wait_for_interrupt() {
  current_->pc -= 4;
  retired_ -= 1;
  return trap(make_esr(ExceptionClass::Wfx, retrap::aarch64::kConditionAlways));
}

void Core::set_stepping(bool on) {
  if (on == stepping_) return;
  stepping_ = on;
  registers_.set_sysreg(SysReg::MDSCR_EL1, on ? 1 : 0);  // the guest's own value is the monitor's
}

bool Core::interrupt_is_due() const {
  return current_->virtual_irq && (registers_.pstate() & pstate::kI) == 0;
}

void Core::take_interrupt() {
  retrap::aarch64::enter_el1(*current_->cpu, {.type = retrap::aarch64::ExceptionEntry::Type::Irq,
                                              .return_address = current_->pc,
                                              .esr = std::nullopt,
                                              .far = std::nullopt});
}

void Core::apply_pending() {
  code_pages_.forget();
  add_wanted_hooks();
  add_wfe_hooks();
  if (translations_.pending()) translations_.apply(engine_);
  if (flush_wanted_) flush_tlb();
}

// False where the engine stopped outside the block that it was in: it is in a state that is not
// modelled, and nothing that it says can be believed.
bool Core::uncount() {
  const std::uint64_t left = (block_end_ - current_->pc) >> 2;
  if (left > kMaxBlock) return false;
  retired_ -= left;
  if (left != 0) branched_at_ = kNever;
  return true;
}

void Core::reconsider() {
  const bool marks_matter =
      (current_->fpen != 3 && fp_.any()) || (current_->odd_return && erets_.any());
  const bool look = first_blocks_ || current_->virtual_irq || current_->illegal_state ||
                    marks_matter || pending() || deferred_.has_value();
  const std::uint64_t due = clock_.turn_due();
  early_ = look || due == 0 ? 0 : std::min(limit_, due - 1);
}

void Core::switch_to(CpuContext& cpu) {
  if (current_ != nullptr) {
    set_stepping(false);
    check(uc_context_save(engine_.get(), current_->saved), "context_save");
  }
  check(uc_context_restore(engine_.get(), cpu.saved), "context_restore");
  current_ = &cpu;
  regime_valid_ = false;
  code_pages_.forget();
  flush_tlb();
}

void Core::load_regime() {
  mmu_.set_regime({.sctlr = registers_.sysreg(SysReg::SCTLR_EL1),
                   .tcr = registers_.sysreg(SysReg::TCR_EL1),
                   .ttbr0 = registers_.direct(UC_ARM64_REG_TTBR0_EL1),
                   .ttbr1 = registers_.direct(UC_ARM64_REG_TTBR1_EL1)});
  regime_valid_ = true;
}

// The PSTATE register of the engine neither swaps stack pointers nor has the translator look at
// it; a write to any system register does the latter.
void Core::set_pstate(CpuContext& cpu, std::uint32_t value) {
  Registers& regs = registers(cpu);
  const auto bank = [](std::uint32_t state) {
    return pstate::el(state) != 0 && (state & pstate::kSpSel) != 0 ? 1u : 0u;
  };
  // There is no EL2 or AArch32 to put the guest into.
  constexpr std::uint32_t kEl1Bits = pstate::kNzcv | pstate::kIl | pstate::kDaif | 5;
  value &= kEl1Bits;
  if (pstate::el(value) == 0) value &= ~pstate::kSpSel;
  const std::uint32_t from = regs.pstate();
  regs.set_bank_sp(bank(from), regs.sp());
  cpu.illegal_state = (value & pstate::kIl) != 0;
  regs.set_raw_pstate(value);
  regs.set_sp(regs.bank_sp(bank(value)));
  regs.set_sysreg(SysReg::AFSR1_EL1, regs.sysreg(SysReg::AFSR1_EL1));
}

std::uint64_t Core::sysreg(CpuContext& cpu, SysReg reg) {
  const Registers& regs = registers(cpu);
  const bool on_sp_el0 = pstate::el(regs.pstate()) == 0 || (regs.pstate() & pstate::kSpSel) == 0;
  switch (reg) {
    case SysReg::SP_EL0:   return on_sp_el0 ? regs.sp() : regs.bank_sp(0);
    case SysReg::SP_EL1:   return on_sp_el0 ? regs.bank_sp(1) : regs.sp();
    case SysReg::VBAR_EL1: return regs.direct(UC_ARM64_REG_VBAR_EL1);
    case SysReg::FPCR:     return regs.direct(UC_ARM64_REG_FPCR);
    case SysReg::FPSR:     return regs.direct(UC_ARM64_REG_FPSR);
    default:               return regs.sysreg(reg);
  }
}

void Core::set_sysreg(CpuContext& cpu, SysReg reg, std::uint64_t value) {
  Registers& regs = registers(cpu);
  switch (reg) {
    case SysReg::SP_EL0:
    case SysReg::SP_EL1: {
      const unsigned el = reg == SysReg::SP_EL1 ? 1 : 0;
      const bool on_sp_el0 =
          pstate::el(regs.pstate()) == 0 || (regs.pstate() & pstate::kSpSel) == 0;
      if (on_sp_el0 == (el == 0)) regs.set_sp(value);
      regs.set_bank_sp(el, value);
      return;
    }
    case SysReg::ELR_EL1: regs.set_direct(UC_ARM64_REG_ELR_EL1, value); return;
    case SysReg::ESR_EL1: regs.set_direct(UC_ARM64_REG_ESR_EL1, value); return;
    case SysReg::FAR_EL1: regs.set_direct(UC_ARM64_REG_FAR_EL1, value); return;
    case SysReg::FPCR:    regs.set_direct(UC_ARM64_REG_FPCR, value); return;
    case SysReg::FPSR:    regs.set_direct(UC_ARM64_REG_FPSR, value); return;
    case SysReg::SPSR_EL1:
      cpu.odd_return = is_odd_return(value);
      regs.set_sysreg(reg, value);
      return;
    case SysReg::CPACR_EL1:
      cpu.fpen = static_cast<unsigned>(extract(value, 21, 20));
      regs.set_sysreg(reg, value);
      return;
    case SysReg::SCTLR_EL1:
    case SysReg::TCR_EL1:
    case SysReg::TTBR0_EL1:
    case SysReg::TTBR1_EL1:
      regs.set_sysreg(reg, value);
      regime_valid_ = false;
      code_pages_.forget();
      flush_tlb();
      return;
    default: regs.set_sysreg(reg, value);
  }
}

void Core::retire(CpuContext& cpu) {
  cpu.pc += 4;
  clock_.retire_to(clock_.retired() + 1);
}

void Core::set_virtual_irq(CpuContext& cpu, bool level) {
  cpu.virtual_irq = level;
  if (current_ == &cpu) reconsider();
}

Walk Core::stage1(CpuContext& cpu, std::uint64_t va, unsigned permissions, Privilege privilege) {
  (void)registers(cpu);
  if (!regime_valid_) load_regime();
  return mmu_.stage1(va, permissions, privilege);
}

void Core::code_page_written(HostPhys page) {
  translations_.drop(page.raw());
  if (current_ != nullptr) reconsider();
}

}  // namespace retrap::unicorn::aarch64
