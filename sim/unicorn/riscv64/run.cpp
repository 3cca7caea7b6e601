// The run loop: enter the engine, see why it came back, until there is an exit.
#include <algorithm>

#include "arch/riscv64/decode.h"
#include "sim/unicorn/riscv64/processor.h"

namespace retrap::unicorn::riscv64 {
namespace {

using namespace retrap::riscv64;  // the names of the manual

/// Fills in a row that fail where a walk succeeds at once afterwards.
constexpr unsigned kMaxSpurious = 4;

constexpr std::uint64_t page_of(std::uint64_t va) {
  return va & ~(kPageSize - 1);
}

}  // namespace

void Processor::run(Hart& hart, RawExitHandler& handler) {
  if (running_ != &hart) begin_turn(hart);
  handler_ = &handler;
  Next next = Next::TakeOver;
  while (next != Next::Leave) {
    if (next == Next::TakeOver) {
      activate(hart);
      take_over();
    }
    next = enter();
    if (next == Next::Exit) next = hand_over();
  }
}

// The engine compares values where hardware watches for stores. Whatever another hart has stored in
// the meantime, an SC must fail.
void Processor::begin_turn(Hart& hart) {
  running_ = &hart;
  activate(hart);
  env_.load_res = Env::kNoReservation;
}

// The registers, the tables and the time may be others than when the handler was called.
void Processor::take_over() {
  mmu_.watch_host();
  hot_.count = clock_.retired();
  limit_ = clock_.stop_at();
  spurious_ = 0;
  next_stop_ = {};
}

Processor::Next Processor::enter() {
  if (!changed_code_.empty()) invalidate_code();
  begin();
  if (hot_.count >= limit_) {
    (void)leave({.scause = kInterrupt | kSupervisorTimer, .sepc = active_->pc()});
    return Next::Exit;
  }
  const uc_err error = next_stop_.armed ? enter_up_to(next_stop_) : engine_.start(active_->pc());
  release_interrupts();
  if (dealt_with_) return *dealt_with_;
  return after_run(error, next_stop_) ? Next::Exit : Next::GoOn;
}

// No block has run yet.
void Processor::begin() {
  if (sepc_written_) clear_sepc_bit();
  hot_.limit = hot_limit();
  failed_fill_.happened = false;
  dealt_with_.reset();
  block_stop_ = BlockStop::None;
}

Processor::Next Processor::hand_over() {
  if (sepc_written_) clear_sepc_bit();
  clock_.retire_to(hot_.count);
  const HostClockGoesOn guard;
  return handler_->handle(running_->exit_) ? Next::TakeOver : Next::Leave;
}

// In the hook of an interrupt, whose program counter is that of the hart.
void Processor::deal_in_place(Next next) {
  if (stop_ == nullptr) {
    if (next == Next::Exit) next = hand_over();
    if (next != Next::Leave && stay_in_engine(next)) return;
  }
  dealt_with_ = next;
  hold_interrupts();
  check(uc_emu_stop(engine_.get()), "emu_stop");
}

// True: the guest goes on where its state says, without the engine being left.
bool Processor::stay_in_engine(Next next) {
  if (next == Next::TakeOver) {
    if (active_ != running_) return false;
    take_over();
  }
  if (!changed_code_.empty() || next_stop_.armed || hot_.count >= limit_) return false;
  begin();
  env_.pc = active_->pc();
  return true;
}

// On its way out the engine takes an interrupt that is pending by now, wherever its program counter
// is.
void Processor::hold_interrupts() {
  held_enables_ = env_.mie;
  env_.mie = 0;
}

void Processor::release_interrupts() {
  if (held_enables_) env_.mie = *held_enables_;
  held_enables_.reset();
}

// A limit of 0 sends every block through slow_block().
std::uint64_t Processor::hot_limit() const {
  const std::uint64_t due = clock_.turn_due();
  if (active_->emulates_interrupt_csrs() || due == 0) return 0;
  return std::min(limit_, due - 1);
}

/// Runs from the program counter to `stop` at most: in the middle of a block, which is translated
/// anew up to there.
///
/// Afterwards that translation must go, for it ends in leaving the engine. It is found by its host
/// address: a trap may have taken the guest to another privilege, or to other tables.
uc_err Processor::enter_up_to(StopPoint& stop) {
  uc_engine* const uc = engine_.get();
  const std::uint64_t pc = active_->pc();
  const std::uint8_t* const code = known_code(pc);
  check(uc_ctl_remove_cache(uc, pc, pc + 1), "remove_cache");
  check(uc_ctl_set_exits(uc, &stop.pc, 1), "set_exits");
  // Looking the block up may have filled TLB entries.
  failed_fill_.happened = false;
  stop_ = &stop;
  uc_err error = engine_.start(pc);
  stop_ = nullptr;
  if (stop.refused && !has_left()) error = UC_ERR_INSN_INVALID;  // which the refusal has replaced
  check(uc_ctl_set_exits(uc, nullptr, 0), "set_exits");
  const FailedFill failed = failed_fill_;
  stop.armed = false;
  stop.reached = error == UC_ERR_OK && !has_left() && env_.pc == stop.pc;
  // A block of no instructions at the exit itself would survive the engine's own clean-up.
  if (stop.reached || code == nullptr) {
    check(uc_ctl_remove_cache(uc, stop.pc - 1, stop.pc + 1), "remove_cache");
  }
  if (code != nullptr) {
    const auto offset = code - host_bytes(memory_.base().raw());
    remove_translations(
        memory_.base().wrapping_add(static_cast<std::uint64_t>(offset) + (stop.pc - 1 - pc)), 2);
  }
  failed_fill_ = failed;
  return error;
}

/// True where there is an exit.
bool Processor::after_run(uc_err error, StopPoint& stop) {
  const StopPoint was = stop;
  stop = {};
  if (was.reached) {
    active_->set_pc(was.pc);
    // On the way there, a trap may have used the time up, and the guest may have changed its code.
    return was.at_csr && hot_.count < limit_ && is_sensitive(instruction_at(was.pc)) &&
           at_sensitive(was.pc);
  }
  if (block_stop_ == BlockStop::NotFetched) {
    active_->set_pc(stopped_at_);
    return not_fetched(stop);
  }
  if (block_stop_ != BlockStop::None && block_stop_ != BlockStop::OddAddress) {
    return after_block_stop(stop);
  }
  // The engine's SRET keeps bit 0 of sepc, which does not exist ("Supervisor Exception Program
  // Counter").
  const std::uint64_t here = block_stop_ == BlockStop::None ? env_.pc : stopped_at_;
  active_->set_pc(here & ~std::uint64_t{1});
  if ((here & 1) != 0) return false;
  if (failed_fill_.happened) return after_failed_fill(stop);
  const std::uint64_t pc = active_->pc();
  if (error == UC_ERR_INSN_INVALID) {  // how the engine says EBREAK
    take_back_from(pc);
    return trap(Cause::Breakpoint, pc, pc);
  }
  return leave({.scause = static_cast<std::uint64_t>(Cause::HardwareError),
                .sepc = pc,
                .stval = static_cast<std::uint64_t>(error)});
}

// The guest's tables say no, whatever the engine's TLB remembers.
bool Processor::not_fetched(StopPoint& stop) {
  failed_fill_ = {.happened = true, .va = page_of(stopped_at_), .access = AccessKind::Fetch};
  mmu_.forget_failure();
  return after_failed_fill(stop);
}

// The block at stopped_at_ has not run.
bool Processor::after_block_stop(StopPoint& stop) {
  active_->set_pc(stopped_at_);
  if (block_stop_ == BlockStop::Invalidate) return false;
  if (block_stop_ == BlockStop::TurnIsDue) {
    branched_at_ = kNever;  // said once
    return leave({.scause = kInterrupt | kSupervisorTimer, .sepc = stopped_at_});
  }
  const std::uint8_t* const bytes = block_bytes(stopped_at_);
  if (bytes == nullptr) return not_fetched(stop);
  const auto in_page = std::min<std::uint32_t>(
      stopped_size_, static_cast<std::uint32_t>(kPageSize - (stopped_at_ & (kPageSize - 1))));
  const std::uint64_t room = limit_ - hot_.count;
  std::uint64_t runs = count_instructions(bytes, in_page);
  bool at_csr = false;
  if (block_stop_ == BlockStop::Counter) {
    --runs;
    at_csr = runs <= room;
  }
  if (runs > room) runs = room;
  if (runs == 0) return at_csr && room != 0 && at_sensitive(stopped_at_);
  stop = {.pc = stopped_at_ + offset_of_instruction(bytes, static_cast<std::uint32_t>(runs)),
          .armed = true,
          .at_csr = at_csr && runs < room};
  return false;
}

bool Processor::at_sensitive(std::uint64_t pc) {
  const std::uint32_t instruction = instruction_at(pc);
  const auto access = decode_csr(instruction);
  const Privilege privilege = active_->privilege_now();
  const bool counter = !access || access->csr >= 0xc00;
  if (!counter && privilege == Privilege::Supervisor) {
    emulate_interrupt_csr(*access);
    active_->set_pc(pc + 4);
    ++hot_.count;
    return false;
  }
  return leave({.scause = static_cast<std::uint64_t>(cause_of(instruction, privilege)),
                .sepc = pc,
                .stval = instruction,
                .privilege = privilege});
}

// The engine has left with the program counter at the faulting instruction.
bool Processor::after_failed_fill(StopPoint& stop) {
  const std::uint64_t pc = active_->pc();
  AccessKind access = failed_fill_.access;
  // A block that would have been one too many anyway.
  if (access == AccessKind::Fetch && hot_.count >= limit_) return false;
  std::uint64_t va = failed_fill_.va;
  std::uint64_t address_offset = 0;
  const MemoryInstruction* instruction = nullptr;
  if (access == AccessKind::Fetch) {
    if (page_of(pc) == page_of(va)) {
      va = pc;
    } else if (page_of(va) == pc - kPageSize) {
      // The engine takes a block of one illegal compressed instruction for empty, and looks for its
      // last byte on the page before.
      const auto instruction_bits = fetch(pc);
      return leave({.scause = static_cast<std::uint64_t>(Cause::IllegalInstruction),
                    .sepc = pc,
                    .stval = instruction_bits.value_or(0),
                    .privilege = active_->privilege_now()});
    } else {
      // The second half of an instruction, found when the block was translated: nothing has run.
      va = page_of(va);
      if (pc != va - 2) {
        stop = {.pc = va - 2, .armed = true};
        return false;
      }
    }
  } else {
    take_back_from(pc);
    const auto& decoded = accesses_.get(instruction_at(pc), [](std::uint64_t bits) {
      return decode_memory(static_cast<std::uint32_t>(bits));
    });
    if (decoded) {
      instruction = &*decoded;
      const std::uint64_t address =
          env_.x[instruction->rs1] + static_cast<std::uint64_t>(instruction->offset);
      va = page_of(address) == page_of(va) ? address : page_of(va);
      address_offset = va - address;
      // SC and the AMOs load first.
      if (instruction->writes_memory()) access = AccessKind::Store;
    }
  }
  const Privilege privilege = active_->privilege_now();
  const Translated walk = failed_walk(va, access, privilege);
  if (walk.ok) {
    if (++spurious_ <= kMaxSpurious) return false;
    return leave({.scause = static_cast<std::uint64_t>(Cause::HardwareError),
                  .sepc = pc,
                  .stval = va,
                  .privilege = privilege});
  }
  spurious_ = 0;
  if (walk.cause < Cause::InstructionGuestPageFault) return trap(walk.cause, va, pc);
  std::uint64_t htinst = instruction != nullptr ? transformed(*instruction, address_offset) : 0;
  if (walk.implicit) htinst = walk.implicit_write ? kImplicitWrite : kImplicitRead;
  return leave({.scause = static_cast<std::uint64_t>(walk.cause),
                .sepc = pc,
                .stval = va,
                .htval = walk.gpa >> 2,
                .htinst = htinst,
                .privilege = privilege});
}

/// Why `va` cannot be accessed, or that it can after all: the fill took the first access of an
/// atomic for a load.
Translated Processor::failed_walk(std::uint64_t va, AccessKind access, Privilege privilege) {
  if (mmu_.failed_at(failed_fill_.va, access) && page_of(va) == page_of(failed_fill_.va)) {
    Translated walk = mmu_.failure();
    if (!walk.implicit) walk.gpa |= va & (kPageSize - 1);
    return walk;
  }
  return mmu_.translate(va, access, privilege, env_.mstatus, true);
}

/// Delivers an exception to the guest's S-mode. True where that cannot work: a double trap.
bool Processor::trap(Cause cause, std::uint64_t value, std::uint64_t pc) {
  const bool supervisor = active_->privilege_now() == Privilege::Supervisor;
  const std::uint64_t vector = env_.stvec & ~std::uint64_t{3};
  if (supervisor && pc == vector) {
    return leave({.scause = static_cast<std::uint64_t>(Cause::DoubleTrap),
                  .sepc = pc,
                  .stval = value,
                  .htval = static_cast<std::uint64_t>(cause)});
  }
  if (!supervisor) active_->set_privilege(Privilege::Supervisor);
  std::uint64_t status = env_.mstatus;
  const bool enabled = (status & vsstatus::kSie) != 0;
  status &= ~(vsstatus::kSie | vsstatus::kSpie | vsstatus::kSpp);
  if (enabled) status |= vsstatus::kSpie;
  if (supervisor) status |= vsstatus::kSpp;
  env_.mstatus = status;
  env_.scause = static_cast<std::uint64_t>(cause);
  env_.sbadaddr = value;
  env_.sepc = pc;
  env_.pc = vector;  // in a hook the engine goes on there
  active_->set_pc(vector);
  return false;
}

/// Instructions of the current block from `pc` on were not retired.
void Processor::take_back_from(std::uint64_t pc) {
  const std::uint64_t start = hot_.pc;
  if (pc < start || page_of(pc) != page_of(start)) return;
  const std::uint32_t count =
      start == unlearned_pc_ ? unlearned_count_ : blocks_.last_at(start).value_or(0);
  const std::uint8_t* const bytes = known_code(start);
  if (bytes == nullptr) return;
  const std::uint32_t before = count_instructions(bytes, static_cast<std::uint32_t>(pc - start));
  if (before >= count) return;
  hot_.count -= count - before;
  branched_at_ = kNever;
}

}  // namespace retrap::unicorn::riscv64
