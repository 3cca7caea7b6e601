// The engine's set-up, its hooks, and what they emulate.
#include "sim/unicorn/riscv64/processor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "arch/riscv64/decode.h"
#include "sim/unicorn/exit_checks.h"

namespace retrap::unicorn::riscv64 {
namespace {

using namespace retrap::riscv64;  // the names of the manual

// mstatus of Unicorn 2.1.4 (QEMU 5.0): TVM where it is, TW at bit 29 and not 21.
constexpr std::uint64_t kTvm = bit(20);
constexpr std::uint64_t kTw = bit(29);

constexpr std::uint32_t kSfenceMask = 0xfe00'7fff;
constexpr std::uint32_t kSfence = 0x1200'0073;
constexpr std::uint32_t kSret = 0x1020'0073;
constexpr std::uint32_t kEbreak = 0x0010'0073;
constexpr std::uint32_t kCompressedEbreak = 0x9002;
constexpr std::uint16_t kCsrSie = 0x104;
constexpr std::uint16_t kCsrSip = 0x144;
constexpr std::uint16_t kCsrSepc = 0x141;
constexpr std::uint16_t kCsrSatp = 0x180;
constexpr std::uint16_t kCsrTime = 0xc01;

AccessKind kind_of(uc_mem_type type) {
  if (type == UC_MEM_FETCH) return AccessKind::Fetch;
  return type == UC_MEM_WRITE ? AccessKind::Store : AccessKind::Load;
}

bool is_system(std::uint32_t instruction) {
  return (instruction & 0x7f) == 0x73;
}

bool writes_sepc(std::uint32_t instruction) {
  const auto access = decode_csr(instruction);
  return access && access->csr == kCsrSepc && access->writes();
}

}  // namespace

Result<std::unique_ptr<Processor>> Processor::make(unsigned harts, HostMemory& memory, Clock& clock,
                                                   AddressSpace& space) {
  if (harts == 0 || harts > kMaxVcpus) {
    return fail(ErrorCode::InvalidInput, "{} harts; there can be 1 to {}", harts, kMaxVcpus);
  }
  RETRAP_TRY(Engine engine, Engine::open({.arch = UC_ARCH_RISCV, .mode = UC_MODE_RISCV64}, memory));
  RETRAP_TRY(Env* const env, Env::find(engine.get()));
  // Not make_unique: the constructor is private.
  std::unique_ptr<Processor> processor(
      new Processor(std::move(engine), *env, memory, clock, space));
  for (unsigned i = 0; i < harts; ++i) {
    processor->harts_.push_back(std::make_unique<Hart>(*processor));
  }
  processor->active_ = processor->harts_.front().get();
  for (const auto& hart : processor->harts_) hart->reset();
  processor->activate(*processor->harts_.front());
  return processor;
}

Processor::Processor(Engine engine, Env& env, HostMemory& memory, Clock& clock, AddressSpace& space)
    : engine_(std::move(engine)),
      env_(env),
      fills_(FillExceptions::find(engine_.get(), &env)),
      memory_(memory),
      clock_(clock),
      mmu_({memory, space, engine_, blocks_, *this}) {
  static_cast<void>(drop_exit_checks(engine_.get()));
  add_hooks();
  // The engine starts in M-mode. It delivers nothing by itself but interrupts.
  const auto write = [this](int id, std::uint64_t value) {
    check(uc_reg_write(engine_.get(), id, &value), "reg_write");
  };
  write(UC_RISCV_REG_MIDELEG, kSupervisorInterrupts);
  write(UC_RISCV_REG_MEDELEG, 0);
  write(UC_RISCV_REG_MSTATUS, kTvm | kTw);
  memory_.add_listener(this);
}

Processor::~Processor() {
  memory_.remove_listener(this);
}

void Processor::add_hooks() {
  engine_.add_hook(UC_HOOK_BLOCK, reinterpret_cast<void*>(&on_block), this);
  engine_.add_hook(UC_HOOK_INTR, reinterpret_cast<void*>(&on_interrupt), this);
  engine_.add_hook(UC_HOOK_TLB_FILL, reinterpret_cast<void*>(&on_tlb_fill), this);
  engine_.add_hook(UC_HOOK_EDGE_GENERATED, reinterpret_cast<void*>(&on_new_block), this);
  // Where such a hook is, the engine does not search its TLB for entries of each page that it
  // translates a block from: (M1) makes that search needless. These never fire: nothing is
  // unmapped. They must not cover host-physical addresses, which stores are looked up by.
  const std::uint64_t base = memory_.base().raw();
  const std::uint64_t end = base + memory_.size();
  constexpr int kType = UC_HOOK_MEM_FETCH_UNMAPPED;
  if (base != 0) engine_.add_hook(kType, reinterpret_cast<void*>(&on_never), this, 0, base - 1);
  if (end != 0) {
    engine_.add_hook(kType, reinterpret_cast<void*>(&on_never), this, end, ~std::uint64_t{0});
  }
}

void Processor::switch_to(const Hart& hart) {
  for (const auto& other : harts_) {
    if (other.get() != &hart) continue;
    active_->park();
    active_ = other.get();
    active_->unpark();
    mmu_.set_satp(active_->satp());
    mmu_.flush_engine();  // SUM and MXR are in the entries
  }
}

// ---- Hooks ------------------------------------------------------------------------------------

void Processor::on_block(uc_engine* /*uc*/, std::uint64_t pc, std::uint32_t size, void* user) {
  auto& self = *static_cast<Processor*>(user);
  const std::uint64_t found = self.blocks_.find(pc, size);
  const std::uint64_t count = self.hot_.count + found;
  if (found <= BlockCounts::kMaxCount && count <= self.hot_.limit) [[likely]] {
    self.hot_.count = count;
    self.hot_.pc = pc;
    return;
  }
  self.slow_block(pc, size);
}

// The engine has added 4 to the program counter, whatever the instruction's length.
void Processor::on_interrupt(uc_engine* /*uc*/, std::uint32_t number, void* user) {
  auto& self = *static_cast<Processor*>(user);
  if (number != FillExceptions::kNumber) {
    self.deal_in_place(self.interrupt(number));
    return;
  }
  self.env_.pc -= 4;
  if (!self.fills_.take()) return;
  const bool exit = self.after_run(UC_ERR_EXCEPTION, self.next_stop_);
  self.deal_in_place(exit ? Next::Exit : Next::GoOn);
}

bool Processor::on_tlb_fill(uc_engine* /*uc*/, std::uint64_t va, uc_mem_type type,
                            uc_tlb_entry* entry, void* user) {
  return static_cast<Processor*>(user)->fill(va, type, *entry);
}

// Code has changed, or is new: what was known about a block at this address is not true of it.
void Processor::on_new_block(uc_engine* /*uc*/, uc_tb* block, uc_tb* /*previous*/, void* user) {
  static_cast<Processor*>(user)->blocks_.drop(block->pc);
}

bool Processor::on_never(uc_engine* /*uc*/, uc_mem_type /*type*/, std::uint64_t /*at*/,
                         int /*size*/, std::int64_t /*value*/, void* /*user*/) {
  return false;
}

void Processor::stop_before(std::uint64_t pc, std::uint32_t size, BlockStop why) {
  block_stop_ = why;
  stopped_at_ = pc;
  stopped_size_ = size;
  check(uc_emu_stop(engine_.get()), "emu_stop");
}

// The guest may have changed its tables without a fence, and go on with code that they no longer
// map: where a page is known as code, what was known stays true.
const std::uint8_t* Processor::block_bytes(std::uint64_t pc) {
  const bool plain = mmu_.is_plain_code(pc);
  if (plain) {
    if (const std::uint8_t* const bytes = mmu_.code(pc)) return bytes;
  }
  const Translated fetched =
      mmu_.translate(pc, AccessKind::Fetch, active_->privilege_now(), 0, true);
  if (!fetched.ok) return nullptr;
  if (plain) mmu_.add_code_page(pc, align_down(fetched.hpa, kPageSize));
  return host_bytes(fetched.hpa);
}

// Whatever the slots do not know: first visits, pages that are not plain code, the limit.
[[gnu::noinline]] void Processor::slow_block(std::uint64_t pc, std::uint32_t size) {
  if (sepc_written_) clear_sepc_bit();
  if (!changed_code_.empty()) return stop_before(pc, size, BlockStop::Invalidate);
  if ((pc & 1) != 0) return stop_before(pc, size, BlockStop::OddAddress);
  const bool plain = mmu_.is_plain_code(pc);
  const std::uint8_t* const bytes = block_bytes(pc);
  if (bytes == nullptr) return stop_before(pc, size, BlockStop::NotFetched);
  // Behind a fault of the fetch, which the engine's TLB may know of or not.
  if (may_give_turn_away()) return stop_before(pc, size, BlockStop::TurnIsDue);
  // The last instruction may go on in the next page; blocks do not.
  const auto in_page =
      std::min<std::uint32_t>(size, static_cast<std::uint32_t>(kPageSize - (pc & (kPageSize - 1))));
  const std::uint32_t count = count_instructions(bytes, in_page);
  const std::uint32_t system = system_at_end(pc, bytes, in_page, size);
  if (is_sensitive(system)) return stop_before(pc, size, BlockStop::Counter);
  if (hot_.count + count > limit_) return stop_before(pc, size, BlockStop::Limit);
  sepc_written_ = writes_sepc(system);
  if (sepc_written_) hot_.limit = 0;  // look at the next block
  const bool learnable = plain && !sepc_written_ && in_page == size &&
                         count <= BlockCounts::kMaxCount && size <= BlockCounts::kMaxSize;
  if (learnable) {
    blocks_.learn(pc, size, count);
    if (unlearned_pc_ == pc) unlearned_pc_ = kNoBlock;
  } else {
    unlearned_pc_ = pc;
    unlearned_count_ = count;
  }
  hot_.count += count;
  hot_.pc = pc;
  if (hot_.count >= clock_.turn_due() && count != 0 &&
      is_branch(instruction_at(pc + offset_of_instruction(bytes, count - 1)))) {
    branched_at_ = hot_.count;
  }
}

std::uint32_t Processor::system_at_end(std::uint64_t pc, const std::uint8_t* bytes,
                                       std::uint32_t in_page, std::uint32_t size) {
  if (in_page == size) {
    std::uint32_t tail = 0;
    if (size < sizeof(tail)) return 0;
    std::memcpy(&tail, bytes + size - sizeof(tail), sizeof(tail));
    if (!is_system(tail)) return 0;
  }
  const std::uint32_t last = offset_of_instruction(bytes, count_instructions(bytes, in_page) - 1);
  const std::uint32_t instruction = instruction_at(pc + last);
  return is_system(instruction) ? instruction : 0;
}

// "Supervisor Exception Program Counter": bit 0 is always zero, but the engine keeps what is
// written, and SRET would go to an odd address.
void Processor::clear_sepc_bit() {
  sepc_written_ = false;
  env_.sepc &= ~std::uint64_t{1};
  hot_.limit = hot_limit();
}

// The engine would answer the counters from the host's time-stamp counter.
bool Processor::is_sensitive(std::uint32_t instruction) const {
  const auto access = decode_csr(instruction);
  if (!access) return false;
  if (access->csr >= 0xc00 && access->csr <= 0xc1f) return access->csr != kCsrTime;
  return active_->emulates_interrupt_csrs() && (access->csr == kCsrSip || access->csr == kCsrSie);
}

bool Processor::fill(std::uint64_t va, uc_mem_type type, uc_tlb_entry& entry) {
  if (identity_) {
    entry.paddr = va;
    entry.perms = UC_PROT_ALL;
    return true;
  }
  const AccessKind access = kind_of(type);
  if (stop_ != nullptr && searches_stop(va, access)) [[unlikely]] {
    stop_->refused = true;
    return false;
  }
  const Privilege privilege = active_->privilege_now();
  if (mmu_.fill(va, access, privilege, env_.mstatus, entry)) return true;
  failed_fill_ = {.happened = true, .va = va, .access = access};
  if (stop_ == nullptr) fills_.raise();
  return false;
}

// Having left the guest, the engine looks up where it was told to stop. A trap may have changed
// privilege or tables since, so this is no access of the guest's: it marks no table, and failing is
// no fault. Only EBREAK leaves without the knowledge of a hook.
bool Processor::searches_stop(std::uint64_t va, AccessKind access) {
  constexpr std::uint64_t kPageMask = ~(kPageSize - 1);
  if (access != AccessKind::Fetch || ((va ^ stop_->pc) & kPageMask) != 0) return false;
  if (has_left()) return true;
  if (((va ^ env_.pc) & kPageMask) == 0) return false;
  const std::uint32_t instruction = instruction_at(env_.pc);
  return instruction == kEbreak || instruction == kCompressedEbreak;
}

Processor::Next Processor::interrupt(std::uint32_t number) {
  const std::uint64_t pc = env_.pc - 4;
  const Privilege privilege = active_->privilege_now();
  active_->set_pc(pc);
  const auto exit = [&](Cause cause, std::uint64_t value) {
    leave({.scause = static_cast<std::uint64_t>(cause),
           .sepc = pc,
           .stval = value,
           .privilege = privilege});
    return Next::Exit;
  };
  const auto deliver = [&](Cause cause, std::uint64_t value) {
    return trap(cause, value, pc) ? Next::Exit : Next::GoOn;
  };
  if (static_cast<Cause>(number) == Cause::EcallFromU) {  // ends its block, and is counted in it
    --hot_.count;
    if (privilege == Privilege::User) return deliver(Cause::EcallFromU, 0);
    return exit(Cause::EcallFromVs, 0);
  }
  take_back_from(pc);
  // The engine leaves an illegal compressed instruction out of its block: it may be one too many.
  if (hot_.count >= limit_) {
    leave({.scause = kInterrupt | kSupervisorTimer, .sepc = pc});
    return Next::Exit;
  }
  switch (static_cast<Cause>(number)) {
    case Cause::IllegalInstruction: {
      const std::uint32_t instruction = instruction_at(pc);
      if (privilege_allows_emulation(privilege, instruction) && emulate_system(instruction)) {
        ++hot_.count;
        active_->set_pc(pc + 4);
        return Next::GoOn;
      }
      return exit(cause_of(instruction, privilege), instruction);
    }
    case Cause::LoadMisaligned:
    case Cause::StoreMisaligned: {
      // Atomics: the engine takes all for loads, and gives no address.
      const auto atomic = decode_memory(instruction_at(pc));
      if (!atomic) return exit(Cause::HardwareError, pc);
      return deliver(atomic->writes_memory() ? Cause::StoreMisaligned : Cause::LoadMisaligned,
                     env_.x[atomic->rs1]);
    }
    default: return exit(Cause::HardwareError, number);
  }
}

// "Virtual Instruction Exception": what HS-mode could do, and VS- or VU-mode may not.
Cause Processor::cause_of(std::uint32_t instruction, Privilege privilege) const {
  if (const auto access = decode_csr(instruction)) {
    return csr_trap(*access, privilege, env_.scounteren).value_or(Cause::IllegalInstruction);
  }
  const bool supervisor_only =
      instruction == kSret || (instruction & kSfenceMask) == kSfence || instruction == kWfi;
  return supervisor_only ? Cause::VirtualInstruction : Cause::IllegalInstruction;
}

// ---- Emulation --------------------------------------------------------------------------------

bool Processor::privilege_allows_emulation(Privilege privilege, std::uint32_t instruction) const {
  if (!is_system(instruction)) return false;
  if (privilege == Privilege::Supervisor) return true;
  const auto access = decode_csr(instruction);
  return access && access->csr == kCsrTime &&
         counter_is_visible(kCsrTime, privilege, env_.scounteren);
}

bool Processor::emulate_system(std::uint32_t instruction) {
  if ((instruction & kSfenceMask) == kSfence) {
    const unsigned address = (instruction >> 15) & 31;
    if (address == 0) {
      mmu_.fence_all();
    } else {
      mmu_.fence(env_.x[address]);
    }
    return true;
  }
  const auto access = decode_csr(instruction);
  if (!access) return false;
  if (access->csr == kCsrTime && !access->writes()) {
    active_->set_x(access->rd, clock_.ns_at(hot_.count) / kNsPerTick);
    return true;
  }
  return access->csr == kCsrSatp && emulate_satp(*access);
}

bool Processor::emulate_satp(const CsrInstruction& access) {
  const std::uint64_t old = active_->satp();
  if (access.writes()) {
    const std::uint64_t now = access.apply(old, operand(access));
    if (satp_is_supported(now)) {
      active_->set_satp(now);
      mmu_.set_satp(now);
    }
  }
  active_->set_x(access.rd, old);
  return true;
}

void Processor::emulate_interrupt_csr(const CsrInstruction& access) {
  const bool is_sip = access.csr == kCsrSip;
  const std::uint64_t old = is_sip ? active_->pending() : active_->enabled();
  if (access.writes()) {
    const std::uint64_t now = access.apply(old, operand(access));
    if (is_sip) {
      active_->set_software_pending((now & kSsip) != 0);
    } else {
      active_->write_csr(UC_RISCV_REG_SIE, now);
      active_->choose_visible();
    }
  }
  active_->set_x(access.rd, old);
}

std::uint64_t Processor::operand(const CsrInstruction& access) const {
  return access.immediate ? access.source : env_.x[access.source];
}

// ---- Code -------------------------------------------------------------------------------------

const std::uint8_t* Processor::host_bytes(std::uint64_t hpa) const {
  return reinterpret_cast<const std::uint8_t*>(memory_.data()) + (hpa - memory_.base().raw());
}

const std::uint8_t* Processor::known_code(std::uint64_t pc) {
  if (const std::uint8_t* const bytes = mmu_.code(pc)) return bytes;
  const Translated fetched =
      mmu_.translate(pc, AccessKind::Fetch, active_->privilege_now(), 0, false);
  return fetched.ok ? host_bytes(fetched.hpa) : nullptr;
}

std::optional<std::uint16_t> Processor::fetch(std::uint64_t va) {
  const Translated fetched =
      mmu_.translate(va, AccessKind::Fetch, active_->privilege_now(), 0, false);
  if (!fetched.ok || (va & 1) != 0) return std::nullopt;
  std::uint16_t half = 0;
  std::memcpy(&half, host_bytes(fetched.hpa), sizeof(half));
  return half;
}

std::uint32_t Processor::instruction_at(std::uint64_t va) {
  if (const std::uint8_t* const bytes = mmu_.code(va);
      bytes != nullptr && (va & (kPageSize - 1)) <= kPageSize - 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes, sizeof(word));
    return instruction_length(word) == 2 ? word & 0xffff : word;
  }
  const auto low = fetch(va);
  if (!low) return 0;
  if (instruction_length(*low) == 2) return *low;
  const auto high = fetch(va + 2);
  return high ? static_cast<std::uint32_t>(*high) << 16 | *low : 0;
}

// Not at once: it may come from a walk inside a hook.
void Processor::code_page_written(HostPhys page) {
  if (!mmu_.has_code(page)) return;
  changed_code_.push_back(page);
  hot_.limit = 0;
}

void Processor::invalidate_code() {
  const std::vector<HostPhys> pages = std::exchange(changed_code_, {});
  for (const HostPhys page : pages) {
    remove_translations(page, kPageSize);
    mmu_.drop_code(page);
  }
}

// Translations are found by virtual address: in M-mode, whose fills answer va = hpa for a while.
void Processor::remove_translations(HostPhys at, std::uint64_t size) {
  identity_ = true;
  active_->in_machine_mode([&] {
    check(uc_ctl_remove_cache(engine_.get(), at.raw(), at.raw() + size), "remove_cache");
  });
  identity_ = false;
}

}  // namespace retrap::unicorn::riscv64
