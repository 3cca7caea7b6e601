// The engine of a VM: its hooks, its turns, its stops.
#include "sim/unicorn/x86_64/core.h"

#include <algorithm>

#include "sim/unicorn/exit_checks.h"
#include "vmm/base/check.h"

namespace retrap::unicorn::x86_64 {
namespace {

// Which writes to control registers exit; see guest_mode.cpp.
constexpr std::uint16_t kCrWrites = 1U << 0 | 1U << 4 | 1U << 8;

/// So many instructions in a row that faulted at the start of a long block make it go by steps.
constexpr std::uint32_t kCrawl = 8;

/// After so many instructions stores into code are refused again. Their watch costs time.
constexpr std::uint64_t kWatch = 50'000;

/// A slice of so many goes by steps from the start: a block of the engine is longer than that.
constexpr std::uint64_t kFewInstructions = 4;

}  // namespace

Result<std::unique_ptr<Core>> Core::make(HostMemory& memory, Clock& clock,
                                         const AddressSpace& space) {
  RETRAP_TRY(Engine engine, Engine::open({.arch = UC_ARCH_X86,
                                          .mode = UC_MODE_64,
                                          // The only model with SVM, SMEP, SMAP and FSGSBASE.
                                          .cpu_model = UC_CPU_X86_EPYC},
                                         memory));
  // The first register access initialises the engine.
  std::uint64_t rip = 0;
  if (const uc_err error = uc_reg_read(engine.get(), UC_X86_REG_RIP, &rip)) {
    return fail(ErrorCode::Backend, "unicorn: reg_read: {}", uc_strerror(error));
  }
  RETRAP_TRY(const EnvLayout layout, EnvLayout::probe(engine.get()));
  static_cast<void>(drop_exit_checks(engine.get()));
  return std::unique_ptr<Core>(new Core(std::move(engine), memory, clock, space, layout));
}

Core::Core(Engine engine, HostMemory& memory, Clock& clock, const AddressSpace& space,
           const EnvLayout& layout)
    : engine_(std::move(engine)),
      memory_(memory),
      clock_(clock),
      space_(space),
      layout_(layout),
      monitor_(engine_),
      mode_(engine_, monitor_, layout),
      hook_env_(engine_.get(), layout),
      fills_(FillExceptions::find(engine_.get(), layout.live)),
      mmu_(engine_, memory, space, monitor_, hook_env_, *this),
      sites_(engine_, reinterpret_cast<void*>(&on_trapped), this) {
  hook_env_.attach();
  add_hooks();
  memory_.add_listener(this);
}

Core::~Core() {
  memory_.remove_listener(this);
}

std::unique_ptr<Vcpu> Core::make_vcpu() {
  auto cpu = std::make_unique<Vcpu>(engine_.get(), layout_);
  reset(*cpu, CpuState{});
  return cpu;
}

void Core::reset(Vcpu& cpu, const CpuState& state) {
  cpu.pending.reset();
  cpu.excepted_at = ~std::uint64_t{0};
  cpu.window_wanted = false;
  cpu.nmi_window_wanted = false;
  if (loaded_ != nullptr) loaded_->env.detach();
  must_leave_ = true;
  mode_.enter(state, cpu.env);
  cpu.env.detach();
  mmu_.flush();
  loaded_ = nullptr;
}

void Core::code_page_written(HostPhys page) {
  const std::size_t index = mmu_.code().index(page.raw());
  if (!mmu_.code().has_code(index)) return;
  mmu_.code().stale().push_back(index);
}

const RawExit& Core::run(Vcpu& cpu, RawExitHandler& handler) {
  handler_ = &handler;
  begin_turn(cpu);
  Next next = go_on(cpu, Next::Resume);
  while (next == Next::Resume) {
    enter(cpu);
    next = settled_ ? *settled_ : go_on(cpu, after_stop(cpu));
  }
  handler_ = nullptr;
  return cpu.exit;
}

// The monitor may have changed anything.
void Core::begin_turn(Vcpu& cpu) {
  load(cpu);
  counter_.set_count(clock_.retired());
  limit_ = clock_.stop_at();
  cutting_ = limit_ - counter_.count() <= kFewInstructions;
  step_once_ = false;
}

// From a stop to the next entry, or to the last exit.
Core::Next Core::go_on(Vcpu& cpu, Next next) {
  for (;;) {
    if (next == Next::Exit) {
      const HostClockGoesOn guard;
      if (!handler_->handle(cpu.exit)) return Next::Exit;
      begin_turn(cpu);
    }
    next = before_entry(cpu);
    if (next == Next::Resume) return next;
  }
}

// Stops that come by UC_HOOK_INTR, which the engine calls in its loop, outside of translated code.
// Out of a recursive access it must be left: it would take all later ones for a part of that.
bool Core::may_stay() const {
  if (handler_ == nullptr || in_hook_ || step_ != Step::Off) return false;
  return stop_ != Stop::Memory || !may_be_half_access();
}

// What run() does between two entries, without the way out of the engine and back. Flags are as
// outside meanwhile.
Core::Next Core::deal_with_stop(Vcpu& cpu) {
  in_hook_ = true;
  must_leave_ = false;
  cpu.env.join_flags();
  take_state(cpu);
  note_crawl(cpu.env);
  const Next next = go_on(cpu, after_stop(cpu));
  in_hook_ = false;
  return next;
}

// False: the engine must be left, and run() goes on from settled_.
bool Core::stay(Vcpu& cpu, Next next) {
  const bool here = loaded_ == &cpu && cpu.env.is_attached();
  if (here) cpu.env.split_flags();
  if (here && next == Next::Resume && step_ == Step::Off && !must_leave_) {
    forget_stop();
    return true;
  }
  settled_ = next;
  return false;
}

Completion Core::complete_on(Vcpu& cpu, std::span<const ScratchPage> pages) {
  load(cpu);
  counter_.set_count(clock_.retired());
  limit_ = ~std::uint64_t{0};
  must_leave_ = true;
  mmu_.set_scratch(pages);
  Completion result = Completion::Retired;
  Next next = Next::Resume;
  do {
    drop_stale();
    begin_step(cpu);
    enter(cpu);
    if (step_retired_) break;
    next = after_stop(cpu);
    if (next == Next::Exit || cpu.pending) break;
  } while (counter_.count() == clock_.retired());
  if (next == Next::Exit) {
    result = cpu.exit.code == SvmExit::NestedPageFault ? Completion::NestedFault
                                                       : Completion::Intercepted;
  } else if (cpu.pending) {
    result = Completion::Exception;
  }
  clock_.retire_to(counter_.count());
  for (std::size_t i = 0; i < pages.size(); ++i) {
    std::ranges::copy(monitor_.at(layout::kScratch + i * kPageSize, kPageSize),
                      pages[i].bytes.begin());
  }
  mmu_.clear_scratch();
  return result;
}

// The one place where CPUs change over.
void Core::load(Vcpu& cpu) {
  if (loaded_ != &cpu) {
    if (loaded_ != nullptr) loaded_->env.detach();
    mmu_.flush();
  }
  loaded_ = &cpu;
  if (generation_ != space_.generation()) {
    generation_ = space_.generation();
    mmu_.forget_nested();
  }
  mmu_.heed_others();
}

Core::Next Core::deliver_pending(Vcpu& cpu) {
  LinearMemory memory(mmu_, cpu.env);
  const bool software = cpu.pending->event.type == Event::Type::Software;
  const bool exception = cpu.pending->event.type == Event::Type::Exception;
  const bool fruitless = exception && cpu.excepted_at == counter_.count();
  if (fruitless && counter_.count() >= limit_) return leave(cpu, {.code = SvmExit::Limit});
  switch (deliver(*cpu.pending, cpu.env, memory)) {
    case Delivered::Done:
      if (software && cpu.pending->event.type == Event::Type::Software) {
        counter_.set_count(counter_.count() + 1);
      } else {
        note_standstill(cpu);
      }
      if (fruitless) counter_.set_count(counter_.count() + 1);
      if (exception) cpu.excepted_at = counter_.count();
      cpu.pending.reset();
      return Next::Resume;
    case Delivered::NestedFault: {
      const MemoryFault& fault = memory.fault();
      return leave(cpu, {.code = SvmExit::NestedPageFault,
                         .info1 = fault.error,
                         .info2 = fault.gpa,
                         .next_rip = 0,
                         .linear = fault.linear,
                         .size = fault.size,
                         .during_delivery = true});
    }
    case Delivered::Shutdown:   cpu.pending.reset(); return leave(cpu, {.code = SvmExit::Shutdown});
    case Delivered::Unmodelled: return leave(cpu, {.code = SvmExit::Unmodelled});
  }
  return Next::Resume;
}

Core::Next Core::before_entry(Vcpu& cpu) {
  if (cpu.pending && deliver_pending(cpu) == Next::Exit) return Next::Exit;
  if (cpu.nmi_window_wanted) return leave(cpu, {.code = SvmExit::Vintr});
  drop_stale();
  if (counter_.count() >= limit_) return leave(cpu, {.code = SvmExit::Limit});
  window_wanted_ = cpu.window_wanted;
  if (window_wanted_ && (cpu.env.head().eflags & rflags::kIf) != 0 && !cpu.env.in_shadow()) {
    return leave(cpu, {.code = SvmExit::Vintr});
  }
  // RF ends with the first instruction; in a block of the engine it would last to the end.
  const bool resumes = (cpu.env.head().eflags & rflags::kRf) != 0;
  if (step_once_ || cutting_ || resumes || crawl_ > kCrawl) {
    // A REP instruction runs as blocks of one iteration anyway; in a step its last one would be
    // merged with the end.
    if (!is_repeated_string(decode_at_rip(cpu.env))) {
      begin_step(cpu);
    } else {
      cpu.env.head().eflags &= ~rflags::kRf;
    }
    step_once_ = false;
  }
  return Next::Resume;
}

void Core::forget_stop() {
  stop_ = Stop::None;
  mmu_.clear_pending();
  counter_.leave();
  const bool attend = step_ != Step::Off || window_wanted_;
  counter_.set_limit(attend ? 0 : limit_);
  if (watches_seen_ != mmu_.watches()) [[unlikely]] {
    watches_seen_ = mmu_.watches();
    watch_end_ = counter_.count() + kWatch;
    counter_.hide_all();
  }
}

void Core::enter(Vcpu& cpu) {
  forget_stop();
  cpu.env.restore();
  settled_.reset();
  const uc_err error = engine_.start(cpu.env.head().eip);
  if (settled_) return;
  take_state(cpu);
  if (stop_ == Stop::None && error != UC_ERR_OK) {
    stop_ = mmu_.pending().kind == MemoryFault::Kind::None ? Stop::None : Stop::Memory;
    interrupt_ = static_cast<std::uint32_t>(error);
  }
  note_crawl(cpu.env);
  if (step_ != Step::Off) end_step(cpu);
}

// Where each instruction of a long block leaves at once, every entry would have the rest of the
// block translated, for nothing.
void Core::note_crawl(const Env& env) {
  constexpr std::uint32_t kLongBlock = 32;
  const Block& block = counter_.current();
  const bool fault = stop_ == Stop::Memory && !mmu_.pending().fetch;
  const bool first = block.instructions >= kLongBlock && block.pc == env.linear_rip();
  if (fault && (first || step_ != Step::Off)) {
    ++crawl_;
  } else {
    crawl_ = 0;
  }
}

void Core::take_state(Vcpu& cpu) {
  constexpr std::uint32_t kFirstIntercept = 0x160;
  const bool exception = stop_ == Stop::Interrupt && interrupt_ < kFirstIntercept;
  if (exception || cr_writes_open_) {
    EnvTail& tail = cpu.env.tail();
    tail.exception_is_int = 0;  // else the engine would move RIP at the next exception
    tail.old_exception = -1;
    tail.intercept_cr_write = kCrWrites;
    cr_writes_open_ = false;
  }
  if (cpu.env.has_code_base()) [[unlikely]]
    cpu.env.drop_code_base();
  if (cpu.env.has_wide_rip()) [[unlikely]]
    cpu.env.head().eip &= 0xffff'ffff;
  if (rcx_is_lost_) {
    cpu.env.head().regs[static_cast<unsigned>(Gpr::Rcx)] = kept_rcx_;
    rcx_is_lost_ = false;
  }
}

// In an interrupt shadow the engine translates one instruction at a time. Such blocks are kept
// apart from the usual ones, so that nothing has to be translated again.
void Core::begin_step(Vcpu& cpu) {
  step_ = Step::Armed;
  step_shadow_ = cpu.env.in_shadow();
  const Instruction in = decode_at_rip(cpu.env);
  step_begins_shadow_ = begins_shadow(in);
  step_is_trapped_ = is_trapped(in);
  cpu.env.head().hflags |= hf::kInhibit;
}

void Core::end_step(Vcpu& cpu) {
  // Also where the next instruction cannot be fetched.
  const bool fetch = stop_ == Stop::Memory && mmu_.pending().fetch;
  step_retired_ = stop_ == Stop::Block || (fetch && step_ == Step::Running);
  step_ = Step::Off;
  std::uint32_t& flags = cpu.env.head().hflags;
  const bool shadow = step_retired_ ? step_begins_shadow_ && !step_shadow_ : step_shadow_;
  flags = shadow ? flags | hf::kInhibit : flags & ~hf::kInhibit;
}

Core::Next Core::after_stop(Vcpu& cpu) {
  switch (stop_) {
    case Stop::Block:
      if (sites_.has_noted() && sites_.install(stopped_block_)) counter_.forget_all();
      return Next::Resume;
    case Stop::Cut: cutting_ = true; return Next::Resume;
    case Stop::Odd:
      check(uc_ctl_remove_cache(engine_.get(), stopped_block_, stopped_block_ + 1), "remove_cache");
      return Next::Resume;
    case Stop::Interrupt: return on_interrupt_stop(cpu);
    case Stop::PortIo:    return on_port_io(cpu);
    case Stop::Syscall:   return do_syscall(cpu);
    case Stop::Sysenter:  return do_sysenter(cpu);
    case Stop::Trapped:   return do_trapped(cpu);
    case Stop::Memory:    return on_memory_stop(cpu);
    case Stop::None:      break;
  }
  settle_count(cpu.env);
  return leave(cpu, {.code = SvmExit::Unmodelled, .info1 = interrupt_});
}

// A guest whose exceptions lead to exceptions for ever retires nothing: at some point time must
// pass for it all the same.
void Core::note_standstill(Vcpu& cpu) {
  constexpr std::uint32_t kPatience = 256;
  if (cpu.standstill_at != counter_.count()) cpu.standstill = 0;
  if (++cpu.standstill > kPatience) counter_.set_count(counter_.count() + 1);
  cpu.standstill_at = counter_.count();
}

void Core::settle_count(const Env& env) {
  const Block& block = counter_.current();
  if (block.pc == Block::kNone) return;
  const std::uint64_t linear = env.linear_rip();
  if (!block.holds(linear)) return counter_.leave();
  counter_.take_back(count_between(env, block.pc, linear));
}

std::uint32_t Core::count_between(const Env& env, std::uint64_t from, std::uint64_t to) {
  if (from == to) return 0;
  std::array<std::uint8_t, kPageSize + 16> bytes;
  const std::size_t wanted = std::min<std::size_t>(to - from + 15, bytes.size());
  const std::size_t count = mmu_.read_code(env.head(), from, std::span(bytes).first(wanted));
  std::uint32_t instructions = 0;
  for (std::size_t at = 0; at < to - from && at < count; ++instructions) {
    const Instruction in = decode(std::span(bytes).subspan(at, count - at), env.code_bytes());
    if (in.length == 0) break;
    at += in.length;
  }
  return instructions;
}

void Core::drop_stale() {
  std::vector<std::size_t>& stale = mmu_.code().stale();
  while (!stale.empty()) {
    const std::size_t page = stale.back();
    stale.pop_back();
    code_is_dropped_ = true;
    memory_.tell_code_written(HostPhys(mmu_.code().host(page)), this);
    mmu_.drop_code(page);
  }
}

void Core::retire(Vcpu& cpu, std::uint64_t rip) {
  EnvHead& head = cpu.env.head();
  head.eip = rip;
  head.hflags &= ~hf::kInhibit;
  head.eflags &= ~rflags::kRf;
  counter_.set_count(counter_.count() + 1);
  if ((head.eflags & rflags::kTf) != 0) {
    cpu.env.tail().dr[6] |= 1U << 14;  // BS
    cpu.pending = PendingEvent{.event = Event::exception(kDebug)};
  }
}

}  // namespace retrap::unicorn::x86_64
