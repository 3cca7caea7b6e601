// System registers and instructions that are handled in place, without an exit.
#include <algorithm>
#include <bit>

#include "sim/unicorn/aarch64/core.h"

namespace retrap::unicorn::aarch64 {
namespace {

namespace pstate = retrap::aarch64::pstate;

/// More pages with hooks than this (a vDSO at ever new addresses) and all pages have them.
constexpr std::size_t kMaxHookedPages = 64;

constexpr std::uint32_t kSkip = 1;  // the engine does nothing more
constexpr std::uint32_t kGoOn = 0;

SysReg name_of(const uc_arm64_cp_reg& reg) {
  return SysReg{retrap::aarch64::sysreg_number(reg.op0, reg.op1, reg.crn, reg.crm, reg.op2)};
}

bool is_virtual_timer(SysReg reg) {
  return reg == SysReg::CNTVCT_EL0 || reg == SysReg::CNTV_CTL_EL0 || reg == SysReg::CNTV_CVAL_EL0 ||
         reg == SysReg::CNTV_TVAL_EL0;
}

}  // namespace

std::uint32_t Core::on_mrs(uc_engine*, uc_arm64_reg rt, const uc_arm64_cp_reg* reg, void* user) {
  Core& core = *static_cast<Core*>(user);
  std::uint64_t value = 0;
  if (!core.timer_access(name_of(*reg), true, value)) return kGoOn;
  if (rt != UC_ARM64_REG_XZR) core.registers_.set_direct(rt, value);
  return kSkip;
}

std::uint32_t Core::on_msr(uc_engine*, uc_arm64_reg, const uc_arm64_cp_reg* reg, void* user) {
  Core& core = *static_cast<Core*>(user);
  if (reg->op0 == 3 && reg->op1 == 0) {
    if (reg->crn != 1 && reg->crn != 2 && reg->crn != 4) return kGoOn;
    // The hook comes before the check of the exception level: EL0 is refused afterwards.
    if (pstate::el(core.registers_.pstate()) == 0) return kGoOn;
    if (reg->crn == 4) {
      if (name_of(*reg) == SysReg::SPSR_EL1) core.current_->odd_return = is_odd_return(reg->val);
      core.reconsider();
      return kGoOn;
    }
    if (name_of(*reg) == SysReg::CPACR_EL1) {
      core.current_->fpen = static_cast<unsigned>(extract(reg->val, 21, 20));
      core.reconsider();
    }
    core.regime_valid_ = false;
    core.code_pages_.forget();
    return kGoOn;
  }
  std::uint64_t value = reg->val;
  return core.timer_access(name_of(*reg), false, value) ? kSkip : kGoOn;
}

// False: not ours, or EL0 may not; the engine then has its own checks.
bool Core::timer_access(SysReg reg, bool read, std::uint64_t& value) {
  if (!is_virtual_timer(reg)) return false;
  if (reg == SysReg::CNTVCT_EL0 && !read) return false;
  if (pstate::el(registers_.pstate()) == 0) {
    // CNTKCTL_EL1.EL0VCTEN and EL0VTEN.
    const unsigned allow = reg == SysReg::CNTVCT_EL0 ? 1 : 8;
    if (!has_bit(registers_.sysreg(SysReg::CNTKCTL_EL1), allow)) return false;
  }
  const std::uint64_t here = retired_here();
  clock_.retire_to(here);
  if (read) {
    value = current_->setup.timer->read_timer(reg);
    return true;
  }
  current_->setup.timer->write_timer(reg, value);
  // A write ends the block, so the next one sees the new limit: what the write caused happens right
  // after it, wherever slices end.
  limit_ = std::max(clock_.stop_at(), here + 1);
  reconsider();
  return true;
}

std::uint32_t Core::on_sys(uc_engine*, uc_arm64_reg, const uc_arm64_cp_reg* reg, void* user) {
  Core& core = *static_cast<Core*>(user);
  if (reg->crn == 8) {  // TLBI: the engine drops its own entries
    core.code_pages_.forget();
    return kGoOn;
  }
  if (reg->crn == 7 && reg->op1 == 0 && reg->crm == 8) {
    if (pstate::el(core.registers_.pstate()) == 0) return kGoOn;
    core.translate_address(reg->op2, reg->val);
    return kSkip;  // the engine would walk host-physical addresses
  }
  return kGoOn;
}

// AT S1E1R, S1E1W, S1E0R, S1E0W (DDI 0487, C5.5): the result goes to PAR_EL1.
void Core::translate_address(std::uint32_t op2, std::uint64_t va) {
  constexpr std::uint64_t kRes1 = bit(11);
  constexpr std::uint64_t kInnerShareable = 3ull << 7;
  constexpr std::uint64_t kNormalWriteBack = 0xffull << 56;
  if (!regime_valid_) load_regime();
  const unsigned needed = (op2 & 1) != 0 ? permission::kWrite : permission::kRead;
  const Walk walk = mmu_.stage1(va, needed, op2 >= 2 ? Privilege::El0 : Privilege::El1);
  if (walk.outcome == Walk::Outcome::Stage2OnWalk) {
    // To EL2, as on hardware: the monitor may have to populate the guest's tables.
    const auto iss = walk.fsc | retrap::aarch64::abort_iss::kS1Ptw;
    deferred_ = RawExit{.kind = RawExit::Kind::Trap,
                        .esr = make_esr(retrap::aarch64::ExceptionClass::DataAbortLower, iss),
                        .far = va,
                        .hpfar = (walk.ipa >> 12) << 4};
    reconsider();
    return;
  }
  const std::uint64_t par =
      walk.ok() ? (walk.ipa & low_bits(48) & ~low_bits(12)) | kNormalWriteBack | kInnerShareable
                : std::uint64_t{walk.fsc} << 1 | 1;
  registers_.set_sysreg(SysReg::PAR_EL1, par | kRes1);
}

void Core::want_sysreg_hooks(std::uint64_t at, std::uint64_t hpa) {
  if (all_hooked_ || std::ranges::find(hooked_pages_, at >> 12) != hooked_pages_.end()) return;
  wanted_pages_.push_back(at >> 12);
  translations_.drop(hpa);
}

void Core::want_wfe_hook(std::uint64_t at, std::uint64_t hpa) {
  if (std::ranges::binary_search(hooked_wfes_, at)) return;
  wanted_wfes_.push_back(at);
  translations_.drop(hpa);
}

// Where there are too many, all go, and are found again as their code is translated again.
void Core::add_wfe_hooks() {
  constexpr std::size_t kMost = 512;
  if (hooked_wfes_.size() + wanted_wfes_.size() > kMost) {
    for (const uc_hook hook : wfe_hooks_) engine_.remove_hook(hook);
    wfe_hooks_.clear();
    hooked_wfes_.clear();
    translations_.drop_everything();
  }
  for (const std::uint64_t at : wanted_wfes_) {
    const auto place = std::ranges::lower_bound(hooked_wfes_, at);
    if (place != hooked_wfes_.end() && *place == at) continue;
    hooked_wfes_.insert(place, at);
    wfe_hooks_.push_back(
        engine_.add_hook(UC_HOOK_CODE, std::bit_cast<void*>(&Core::on_wfe), this, at, at));
  }
  wanted_wfes_.clear();
}

void Core::add_wanted_hooks() {
  const auto add = [&](std::uint64_t begin, std::uint64_t end) {
    page_hooks_.push_back(engine_.add_instruction_hook(
        UC_ARM64_INS_MRS, std::bit_cast<void*>(&Core::on_mrs), this, begin, end));
    page_hooks_.push_back(engine_.add_instruction_hook(
        UC_ARM64_INS_MSR, std::bit_cast<void*>(&Core::on_msr), this, begin, end));
    page_hooks_.push_back(engine_.add_instruction_hook(
        UC_ARM64_INS_SYS, std::bit_cast<void*>(&Core::on_sys), this, begin, end));
  };
  for (const std::uint64_t page : wanted_pages_) {
    if (all_hooked_ || std::ranges::find(hooked_pages_, page) != hooked_pages_.end()) continue;
    if (hooked_pages_.size() < kMaxHookedPages) {
      hooked_pages_.push_back(page);
      add(page << 12, page << 12 | 0xfff);
      continue;
    }
    all_hooked_ = true;
    for (const uc_hook hook : page_hooks_) engine_.remove_hook(hook);
    page_hooks_.clear();
    add(1, 0);
    translations_.drop_everything();
  }
  wanted_pages_.clear();
}

}  // namespace retrap::unicorn::aarch64
