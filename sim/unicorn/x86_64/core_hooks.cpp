// What the engine calls while it runs. Nothing here may own anything: abort_instruction() leaves by
// a longjmp.
#include <algorithm>

#include "sim/unicorn/x86_64/core.h"
#include "vmm/base/check.h"

namespace retrap::unicorn::x86_64 {
namespace {

template <class R, class... Args>
void* address_of(R (*callback)(Args...)) {
  return reinterpret_cast<void*>(callback);
}

Core& core(void* self) {
  return *static_cast<Core*>(self);
}

// An MSR outside the ranges of the permission map: reading it in guest mode is always intercepted.
constexpr std::uint32_t kInterceptedMsr = 0x5000'0000;
constexpr std::uint32_t kVmexit = 0x100;

// Of a block that hits itself, only the storing instruction runs again. One that goes on to the
// next is a restart wherever it is met in the current block; of the others the start must be seen.
bool may_be_begun_again(const KnownBlock& known, std::uint32_t instructions) {
  return known.store == Store::Loops || (known.store == Store::Onward && instructions == 1);
}

}  // namespace

void Core::add_hooks() {
  engine_.add_hook(UC_HOOK_BLOCK, address_of(&on_block), this);
  engine_.add_hook(UC_HOOK_EDGE_GENERATED, address_of(&on_edge), this);
  engine_.add_hook(UC_HOOK_INTR, address_of(&on_interrupt), this);
  engine_.add_hook(UC_HOOK_TLB_FILL, address_of(&on_fill), this);
  engine_.add_hook(UC_HOOK_MEM_INVALID, address_of(&on_poison), this, layout::kPoison,
                   layout::kPoison + kPageSize - 1);
  engine_.add_instruction_hook(UC_X86_INS_IN, address_of(&on_in), this);
  engine_.add_instruction_hook(UC_X86_INS_OUT, address_of(&on_out), this);
  engine_.add_instruction_hook(UC_X86_INS_SYSCALL, address_of(&on_syscall), this);
  engine_.add_instruction_hook(UC_X86_INS_SYSENTER, address_of(&on_sysenter), this);
  engine_.add_instruction_hook(UC_X86_INS_RDTSC, address_of(&on_rdtsc), this);
  engine_.add_instruction_hook(UC_X86_INS_RDTSCP, address_of(&on_rdtscp), this);
  // These never fire. Where a hook of this kind covers the address of a new block, the translator
  // leaves out a scan of the whole TLB, which invariants C1 and C2 make unnecessary. They must not
  // cover host memory: stores there would stay on the slow path.
  const std::uint64_t base = memory_.base().raw();
  if (base != 0)
    engine_.add_hook(UC_HOOK_MEM_FETCH_UNMAPPED, address_of(&on_never), this, 0, base - 1);
  engine_.add_hook(UC_HOOK_MEM_FETCH_UNMAPPED, address_of(&on_never), this, base + memory_.size(),
                   ~std::uint64_t{0});
}

void Core::on_block(uc_engine* /*uc*/, std::uint64_t pc, std::uint32_t size, void* self) {
  if (!core(self).counter_.enter(pc, size)) [[unlikely]]
    core(self).slow_block(pc, size);
}

void Core::on_edge(uc_engine* /*uc*/, uc_tb* made, uc_tb* /*from*/, void* self) {
  if (core(self).mode_.entering()) return;
  core(self).counter_.learn(made->pc, made->size, made->icount);
}

[[gnu::noinline]] void Core::slow_block(std::uint64_t pc, std::uint32_t size) {
  if (mode_.entering()) return;
  if (step_ != Step::Off) {
    if (step_ == Step::Running) {
      // An instruction that hits its own bytes is translated anew before it does anything.
      if (pc == counter_.current().pc && hook_env_.in_shadow()) return;
      return stop_at_block(Stop::Block);
    }
    if (step_is_trapped_) return stop_at_block(Stop::Trapped);
    step_ = Step::Running;
    return counter_.enter_slow({pc, size, 1});
  }
  const KnownBlock* known = counter_.find(pc, size);
  std::uint32_t instructions = 0;
  if (known == nullptr || !known->inspected || known->block.instructions == 0) {
    const bool resumes = (hook_env_.head().eflags & rflags::kRf) != 0;
    if (resumes || hook_env_.has_code_base() || hook_env_.has_wide_rip()) {
      stopped_block_ = pc;
      return stop_at_block(Stop::Odd);
    }
    instructions = inspect_block(pc, size);
    if (sites_.has_noted()) {
      stopped_block_ = pc;
      return stop_at_block(Stop::Block);
    }
    known = counter_.find(pc, size);
  } else {
    instructions = known->block.instructions;
  }
  if (!mmu_.watches_stores() || !may_be_begun_again(*known, instructions)) {
    counter_.reveal(*known);
  } else if (known->store == Store::Onward) {
    undo_restart(pc);
  } else if (instructions == 1) {
    if (is_begun_again(pc)) return;
  } else if (mmu_.may_be_hit(hook_env_.head(), pc, size)) {
    step_once_ = true;  // who begins again can be told where nothing stands in front of it
    return stop_at_block(Stop::Block);
  }
  if (mmu_.watches_stores() && counter_.count() >= watch_end_) mmu_.flush();
  if (window_wanted_ && window_is_open()) return stop_at_block(Stop::Block);
  if (!mmu_.code().stale().empty()) return stop_at_block(Stop::Block);
  if (counter_.count() + instructions > limit_) return stop_at_block(Stop::Cut);
  counter_.enter_slow({pc, size, instructions});
}

// The number of instructions of a block that the fast half may not take (yet): it is new, or known
// with several numbers.
std::uint32_t Core::inspect_block(std::uint64_t pc, std::uint32_t size) {
  std::array<std::uint8_t, kPageSize + 16> bytes;
  const std::size_t wanted = std::min<std::size_t>(size, bytes.size());
  const std::size_t count = mmu_.read_code(hook_env_.head(), pc, std::span(bytes).first(wanted));
  std::uint32_t instructions = 0;
  Store store = Store::None;
  for (std::size_t at = 0; at < count;) {
    const Instruction in = decode(std::span(bytes).subspan(at, count - at), hook_env_.code_bytes());
    ++instructions;
    if (in.length == 0) break;
    if (is_trapped(in) && !sites_.contains(pc + at)) sites_.note(pc + at);
    store = store_of(in, std::span(bytes).subspan(at, count - at));
    at += in.length;
  }
  instructions = std::max<std::uint32_t>(instructions, 1);

  KnownBlock* known = counter_.find(pc, size);
  if (known == nullptr) {
    counter_.learn(pc, size, instructions);
    known = counter_.find(pc, size);
  }
  known->store = store;
  known->inspected = !sites_.has_noted();
  return known->block.instructions == 0 ? instructions : known->block.instructions;
}

// A store into the running block makes the engine abandon it and run the storing instruction again
// as a block of its own: what of the old one did not run is not retired.
void Core::undo_restart(std::uint64_t pc) {
  const Block& current = counter_.current();
  if (current.pc == Block::kNone || !current.holds(pc)) return;
  counter_.take_back(count_between(hook_env_, current.pc, pc));
}

// The same of an instruction that may be its own successor: an iteration moves RCX, a call RSP. It
// is begun again once only.
bool Core::is_begun_again(std::uint64_t pc) {
  const EnvHead& head = hook_env_.head();
  const std::array now{head.regs[static_cast<unsigned>(Gpr::Rcx)],
                       head.regs[static_cast<unsigned>(Gpr::Rsp)]};
  const bool again = counter_.current().pc == pc && progress_ == now;
  progress_.reset();
  if (!again) progress_ = now;
  return again;
}

bool Core::window_is_open() {
  return (hook_env_.head().eflags & rflags::kIf) != 0 && !hook_env_.in_shadow();
}

void Core::stop_at_block(Stop why) {
  counter_.leave();
  stop_ = why;
  uc_emu_stop(engine_.get());
}

void Core::on_interrupt(uc_engine* uc, std::uint32_t number, void* self) {
  Core& it = core(self);
  if (it.done_port_) {
    if (!it.after_done_port()) uc_emu_stop(uc);
    return;
  }
  if (number == FillExceptions::kNumber) {
    if (!it.fills_.take()) return;
    it.stop_ = Stop::Memory;
  } else if (it.stop_ == Stop::None) {
    it.stop_ = Stop::Interrupt;
    it.interrupt_ = number;
  }
  if (!it.may_stay() || it.stop_ < Stop::Interrupt) {
    uc_emu_stop(uc);
    return;
  }
  Vcpu& cpu = *it.loaded_;  // the handler may reset it
  const Next next = it.deal_with_stop(cpu);
  if (!it.stay(cpu, next)) uc_emu_stop(uc);
}

// The engine does a load across a page end as two aligned ones, and such a store byte by byte. A
// fault in there is at the start or at the end of a page, and not where the operand begins.
bool Core::may_be_half_access() const {
  const MemoryFault& fault = mmu_.pending();
  const std::uint64_t offset = fault.gpa & (kPageSize - 1);
  return !fault.exact && (offset == 0 || offset + fault.size == kPageSize);
}

// The API's RDMSR raises an intercept, which unwinds to the engine's loop with the instruction
// undone. It costs RCX.
void Core::abort_instruction(Stop why) {
  stop_ = why;
  kept_rcx_ = hook_env_.head().regs[static_cast<unsigned>(Gpr::Rcx)];
  rcx_is_lost_ = true;
  uc_x86_msr msr{kInterceptedMsr, 0};
  uc_reg_read(engine_.get(), UC_X86_REG_MSR, &msr);
  RETRAP_CHECK(false, "an instruction could not be aborted: {}", kVmexit);
  std::abort();
}

void Core::on_syscall(uc_engine* /*uc*/, void* self) {
  core(self).abort_instruction(Stop::Syscall);
}
void Core::on_sysenter(uc_engine* /*uc*/, void* self) {
  core(self).abort_instruction(Stop::Sysenter);
}

int Core::on_rdtsc(uc_engine* /*uc*/, void* self) {
  core(self).read_tsc(false);
  return 1;
}
int Core::on_rdtscp(uc_engine* /*uc*/, void* self) {
  core(self).read_tsc(true);
  return 1;
}

void Core::read_tsc(bool with_aux) {
  const Block& block = counter_.current();
  const std::uint64_t linear = hook_env_.linear_rip();
  std::uint64_t count = counter_.count();
  if (block.holds(linear)) {
    count -= block.instructions - count_between(hook_env_, block.pc, linear);
  }
  const std::uint64_t tsc = clock_.ns_at(count) + loaded_->tsc_offset;
  const std::uint64_t low = tsc & 0xffff'ffff;
  const std::uint64_t high = tsc >> 32;
  uc_reg_write(engine_.get(), UC_X86_REG_RAX, &low);
  uc_reg_write(engine_.get(), UC_X86_REG_RDX, &high);
  if (!with_aux) return;
  const std::uint64_t aux = loaded_->env.msrs().tsc_aux & 0xffff'ffff;  // WRMSR exits
  uc_reg_write(engine_.get(), UC_X86_REG_RCX, &aux);
}

bool Core::on_fill(uc_engine* /*uc*/, std::uint64_t linear, uc_mem_type type, uc_tlb_entry* entry,
                   void* self) {
  Core& it = core(self);
  if (it.mode_.entering()) [[unlikely]]
    return GuestMode::fill(linear, entry);
  if (it.mmu_.fill(linear, type, entry)) return true;
  if (it.mmu_.pending().exact && it.may_stay()) it.fills_.raise();
  return false;
}

bool Core::on_poison(uc_engine* /*uc*/, uc_mem_type type, std::uint64_t address, int size,
                     std::int64_t /*value*/, void* self) {
  const bool write = type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT;
  core(self).mmu_.on_poison(address, write, static_cast<unsigned>(size));
  core(self).abort_instruction(Stop::Memory);
}

// The hook stands by address: what is there now may be another instruction.
void Core::on_trapped(uc_engine* /*uc*/, std::uint64_t pc, std::uint32_t /*size*/, void* self) {
  Core& it = core(self);
  std::array<std::uint8_t, 15> bytes{};
  const std::size_t count = it.mmu_.read_code(it.hook_env_.head(), pc, bytes);
  const Instruction in = decode(std::span(bytes).first(count), it.hook_env_.code_bytes());
  if (is_trapped(in)) it.abort_instruction(Stop::Trapped);
  // A code hook leaves a stale copy of the status flags where PUSHF would find it.
  it.hook_env_.head().eflags &= ~(rflags::kStatus | rflags::kDf);
}

bool Core::on_never(uc_engine* /*uc*/, uc_mem_type /*type*/, std::uint64_t /*address*/,
                    int /*size*/, std::int64_t /*value*/, void* /*self*/) {
  return false;
}

}  // namespace retrap::unicorn::x86_64
