// What the engine calls: blocks, translations, TLB fills, exceptions.
#include "sim/unicorn/aarch64/core.h"

namespace retrap::unicorn::aarch64 {
namespace {

namespace pstate = retrap::aarch64::pstate;

constexpr std::uint32_t kWfe = 0xd503'205f;
constexpr std::uint32_t kSevl = 0xd503'20bf;

// MRS, MSR and SYS that must reach a hook: timers, translation control, CPACR, SPSR; TLBI, AT.
constexpr bool is_watched(std::uint32_t word) {
  const std::uint64_t op1 = extract(word, 18, 16);
  const std::uint64_t crn = extract(word, 15, 12);
  const std::uint64_t crm = extract(word, 11, 8);
  if ((word & 0xfff8'0000) == 0xd508'0000) {
    if (crn == 8) return true;
    return crn == 7 && op1 == 0 && crm == 8;
  }
  if ((word & 0xffd0'0000) != 0xd510'0000) return false;
  const bool write = !has_bit(word, 21);
  if (write && (word & 0xffff'ffe0) == 0xd518'4000) return true;  // SPSR_EL1
  return crn == 14 || (write && op1 == 0 && (crn == 1 || crn == 2));
}

}  // namespace

void Core::on_block(uc_engine*, std::uint64_t at, std::uint32_t size, void* user) {
  Core& core = *static_cast<Core*>(user);
  const std::uint64_t retired = core.retired_ + (size >> 2);
  if (retired > core.early_) [[unlikely]] {
    core.on_block_slow(at, size);
    return;
  }
  core.retired_ = retired;
  core.block_end_ = at + size;
}

[[gnu::noinline]] void Core::on_block_slow(std::uint64_t at, std::uint32_t size) {
  const std::uint32_t instructions = size >> 2;
  if (first_blocks_) inspect_first(at, instructions);
  attention_.misaligned |= (at & 3) != 0;
  attention_.in_window |= Translations::in_window(at);
  attention_.illegal_state = current_->illegal_state;
  attention_.turn_is_due = may_give_turn_away();
  const bool odd = attention_.misaligned || attention_.in_window || attention_.aarch32 ||
                   attention_.illegal_state || attention_.turn_is_due;
  if (odd || retired_ + instructions > limit_ || pending() || deferred_ || interrupt_is_due()) {
    stop_at_block(at);
    return;
  }
  if (current_->fpen != 3 && fp_.may_have(at)) {
    attention_.fp_offset = first_fp(at, instructions);
    if (attention_.fp_offset >= 0) {
      stop_at_block(at);
      return;
    }
  }
  if (current_->odd_return && erets_.may_have(at)) {
    attention_.eret_offset = odd_return_in(at, instructions);
    if (attention_.eret_offset >= 0) {
      stop_at_block(at);
      return;
    }
  }
  reconsider();
  retired_ += instructions;
  block_end_ = at + size;
  if (retired_ >= clock_.turn_due() && ends_with_branch(at, instructions)) branched_at_ = retired_;
}

// on_translated is not called before the engine has run a block to its end. A branch is known to be
// one; a WFE leaves its block another way. A guest of one block has nothing else to translate.
void Core::inspect_first(std::uint64_t at, std::uint32_t instructions) {
  inspect_block(at, instructions);
  if (attention_.behind_branch) first_blocks_ = false;
  attention_.behind_branch = ends_with_branch(at, instructions);
}

bool Core::ends_with_branch(std::uint64_t at, std::uint32_t instructions) {
  const auto last = instruction_at(at + std::uint64_t{4} * (instructions - 1));
  return last && is_branch(*last);
}

void Core::stop_at_block(std::uint64_t at) {
  attention_.at_block = true;
  block_end_ = at;
  uc_emu_stop(engine_.get());  // takes effect before the block's first instruction
}

void Core::on_translated(uc_engine*, uc_tb* block, uc_tb*, void* user) {
  Core& core = *static_cast<Core*>(user);
  core.first_blocks_ = false;
  core.inspect_block(block->pc, block->icount);
}

// Every block is seen here once, when it is translated.
void Core::inspect_block(std::uint64_t at, std::uint32_t instructions) {
  if (registers_.in_aarch32()) {
    attention_.aarch32 = true;
    early_ = 0;
    return;
  }
  if ((at & 3) != 0 || Translations::in_window(at)) {
    early_ = 0;
    return;
  }
  const std::byte* const code = code_at(at);
  if (code == nullptr) {
    // The guest changed its tables behind the TLB's back. Fetched again, it faults or is found.
    translations_.drop_everything();
    flush_wanted_ = true;
    early_ = 0;
    return;
  }
  const std::uint64_t hpa =
      memory_.base().raw() + static_cast<std::uint64_t>(code - memory_.data());
  mark_code(hpa, instructions);
  bool fp = false;
  bool watched = false;
  for (std::uint32_t i = 0; i < instructions; ++i) {
    const std::uint32_t word = word_of(code, i);
    fp |= is_fp(word);
    watched |= is_watched(word);
  }
  if (watched) want_sysreg_hooks(at, hpa);
  const std::uint32_t last = word_of(code, instructions - 1);
  const bool eret = last == kEret;
  // A CPU that is alone has nobody to wait for.
  const bool waits = last == kWfe && cpus_.size() > 1;
  if (waits) want_wfe_hook(at + std::uint64_t{4} * (instructions - 1), hpa);
  if (fp) fp_.mark(at);
  if (eret) erets_.mark(at);
  if (fp || eret || watched || waits) reconsider();
}

// Its block, which it ends, is counted. The WFE behind an SEVL does not wait; it may begin a block.
void Core::on_wfe(uc_engine*, std::uint64_t at, std::uint32_t, void* user) {
  Core& core = *static_cast<Core*>(user);
  if (core.retired_ < core.clock_.spin_due() || core.instruction_at(at) != kWfe) return;
  if (core.instruction_at(at - 4) == kSevl) return;
  core.clock_.end_turn(core.retired_);
  core.branched_at_ = core.retired_;
  core.early_ = 0;
}

// CPACR_EL1.FPEN: 0 and 2 trap EL1 and EL0, 1 traps EL0.
int Core::first_fp(std::uint64_t at, std::uint32_t instructions) {
  if (current_->fpen == 1 && pstate::el(registers_.pstate()) != 0) return -1;
  const std::byte* const code = code_at(at);
  if (code == nullptr) return -1;
  for (std::uint32_t i = 0; i < instructions; ++i) {
    if (is_fp(word_of(code, i))) return static_cast<int>(i);
  }
  return -1;
}

// The host bytes of the instruction at `va`, whatever its permissions; they end with the page.
const std::byte* Core::code_at(std::uint64_t va) {
  if (const std::byte* const known = code_pages_.find(va)) return known;
  if (!regime_valid_) load_regime();
  Walk walk;
  mmu_.translate(va & ~low_bits(12), 0, Privilege::El1, walk);
  if (!walk.ok()) return nullptr;
  const std::byte* const page = memory_.data() + (walk.hpa - memory_.base().raw());
  code_pages_.remember(va, page);
  return page + (va & low_bits(12));
}

std::optional<std::uint32_t> Core::instruction_at(std::uint64_t va) {
  if ((va & 3) != 0) return std::nullopt;
  const std::byte* const code = code_at(va);
  if (code == nullptr) return std::nullopt;
  return word_of(code, 0);
}

bool Core::on_fill(uc_engine*, std::uint64_t va, uc_mem_type type, uc_tlb_entry* out, void* user) {
  const AccessType access = type == UC_MEM_READ    ? AccessType::Read
                            : type == UC_MEM_WRITE ? AccessType::Write
                                                   : AccessType::Fetch;
  return static_cast<Core*>(user)->fill(va, access, *out);
}

// refusal_.walk is in its place already: a copy of what has just been written is slow.
void Core::refuse(std::uint64_t va, AccessType access, std::uint64_t pc,
                  std::optional<std::uint32_t> word) {
  if (!stepping_ && !deferred_) fills_.raise();
  refusal_.valid = true;
  refusal_.va = va;
  refusal_.access = access;
  refusal_.pc = pc;
  refusal_.word = word;
}

bool Core::fill(std::uint64_t va, AccessType access, uc_tlb_entry& out) {
  const bool fetch = access == AccessType::Fetch;
  if (fetch && translations_.applying() && Translations::in_window(va)) {
    out.paddr = va & ~Translations::kWindow;
    out.perms = UC_PROT_EXEC;
    return true;
  }
  if (!regime_valid_) load_regime();
  refusal_.valid = false;
  const std::uint64_t pc = registers_.pc();
  Privilege privilege = pstate::el(registers_.pstate()) == 0 ? Privilege::El0 : Privilege::El1;
  std::optional<std::uint32_t> word;
  if (!fetch && privilege == Privilege::El1) {
    // LDTR and STTR access memory as EL0 does, in a TLB of their own.
    word = instruction_at(pc);
    if (word && retrap::aarch64::is_unprivileged(*word)) privilege = Privilege::El0;
  }
  const Walk& walk = refusal_.walk;
  mmu_.translate(va, permission::needed_for(access), privilege, refusal_.walk);
  if (!walk.ok()) {
    if (!fetch && !word) word = instruction_at(pc);
    refuse(va, access, pc, word);
    refusal_.to_code = false;
    return false;  // a clean unwind: nothing of the instruction has happened
  }
  const std::uint64_t hpa = walk.hpa & ~low_bits(12);
  const std::uint64_t page = (hpa - memory_.base().raw()) >> 12;
  std::uint8_t& flags = memory_.page_flags()[page];
  unsigned permissions = walk.permissions;
  if (fetch) {
    code_pages_.remember(va, memory_.data() + (page << 12));
    permissions &= ~permission::kWrite;
  } else if ((flags & HostMemory::kCode) == 0 || hpa == one_store_) {
    permissions &= ~permission::kExecute;
  } else if (access == AccessType::Write) {
    refuse(va, access, pc, word);
    refusal_.to_code = true;
    return false;
  } else {
    permissions &= ~permission::kWrite;
  }
  if ((permissions & permission::kWrite) != 0) {
    flags |= HostMemory::kWritten;
    grants_.grant(page);
  }
  out.paddr = hpa;
  out.perms = static_cast<uc_prot>(permissions);
  return true;
}

void Core::on_exception(uc_engine* uc, std::uint32_t number, void* user) {
  Core& core = *static_cast<Core*>(user);
  uc_err error = UC_ERR_OK;
  if (number == FillExceptions::kNumber) {
    if (!core.fills_.take()) return;
    error = UC_ERR_EXCEPTION;
  } else {
    core.exception_number_ = static_cast<int>(number);
  }
  if (!core.deal_in_place(error)) uc_emu_stop(uc);  // here it stops at once
}

}  // namespace retrap::unicorn::aarch64
