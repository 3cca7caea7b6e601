// How the engine becomes EL1 under a trapping EL2.
#include <bit>

#include "sim/unicorn/aarch64/core.h"
#include "sim/unicorn/exit_checks.h"

namespace retrap::unicorn::aarch64 {
namespace {

using retrap::aarch64::sysreg_number;
namespace pstate = retrap::aarch64::pstate;

constexpr std::uint32_t kScrEl3 = sysreg_number(3, 6, 1, 1, 0);
constexpr std::uint32_t kHcrEl2 = sysreg_number(3, 4, 1, 1, 0);
constexpr std::uint32_t kMdcrEl2 = sysreg_number(3, 4, 1, 1, 1);
constexpr std::uint32_t kCnthctlEl2 = sysreg_number(3, 4, 14, 1, 0);
constexpr std::uint32_t kVpidrEl2 = sysreg_number(3, 4, 0, 0, 0);
constexpr std::uint32_t kVmpidrEl2 = sysreg_number(3, 4, 0, 0, 5);

constexpr std::uint64_t kScr = bit(10) | bit(8) | bit(0);    // RW, HCE, NS: else EL2 traps sleep
constexpr std::uint64_t kHcr = bit(31) | bit(19) | bit(18);  // RW, TSC, TID3
// TDRA, TDOSA, TDA, TDE, TPM, TPMCR. TDE also routes software steps to EL2.
constexpr std::uint64_t kMdcr = bit(11) | bit(10) | bit(9) | bit(8) | bit(6) | bit(5);

}  // namespace

Result<std::unique_ptr<Core>> Core::open(std::span<const CpuSetup> setups, HostMemory& memory,
                                         Clock& clock, AddressSpace& space) {
  const Engine::Options options{
      .arch = UC_ARCH_ARM64, .mode = UC_MODE_ARM, .cpu_model = UC_CPU_ARM64_A57};
  RETRAP_TRY(Engine engine, Engine::open(options, memory));
  RETRAP_TRY(Env* const env, Env::find(engine.get()));
  std::unique_ptr<Core> core(new Core(std::move(engine), *env, memory, clock, space));
  core->cpus_.resize(setups.size());
  core->set_up();
  for (std::size_t i = 0; i < setups.size(); ++i) {
    CpuContext& cpu = core->cpus_[i];
    cpu.setup = setups[i];
    check(uc_context_alloc(core->engine_.get(), &cpu.saved), "context_alloc");
    check(uc_context_save(core->engine_.get(), cpu.saved), "context_save");
    core->reset(cpu);
  }
  return core;
}

Core::Core(Engine engine, Env& env, HostMemory& memory, Clock& clock, AddressSpace& space)
    : engine_(std::move(engine)),
      registers_(engine_.get(), env),
      fills_(FillExceptions::find(engine_.get(), &env)),
      memory_(memory),
      clock_(clock),
      space_(space),
      mmu_(memory, space.root()),
      grants_(memory),
      code_lines_(memory.size() / kPageSize, 0) {}

Core::~Core() {
  memory_.remove_listener(this);
  for (const CpuContext& cpu : cpus_) {
    if (cpu.saved != nullptr) uc_context_free(cpu.saved);
  }
  if (power_on_ != nullptr) uc_context_free(power_on_);
}

void Core::set_up() {
  // Stops take effect at block starts only, which is all that is used here.
  unicorn::drop_exit_checks(engine_.get());
  trap_to_el2();
  add_hooks();
  check(uc_context_alloc(engine_.get(), &power_on_), "context_alloc");
  check(uc_context_save(engine_.get(), power_on_), "context_save");
  memory_.add_listener(this);
}

void Core::trap_to_el2() {
  registers_.set_system(kScrEl3, kScr);
  registers_.set_system(kHcrEl2, kHcr);
  registers_.set_system(kMdcrEl2, kMdcr);
  registers_.set_system(kCnthctlEl2, 0);
  registers_.set_system(kVpidrEl2, retrap::aarch64::kMidr);
  registers_.set_sysreg(SysReg::CNTFRQ_EL0, retrap::aarch64::kCounterHz);
  registers_.set_raw_pstate(pstate::kReset);
  registers_.set_sysreg(SysReg::SCTLR_EL1, retrap::aarch64::kSctlrReset);
}

void Core::add_hooks() {
  // Never fires. Its presence for every guest address makes the engine skip the scan of its whole
  // TLB for each block it translates; for host-physical addresses it must not be there, or every
  // store would stay slow. Sound: what may be written has no translations (core_code.cpp).
  const auto never =
      +[](uc_engine*, uc_mem_type, std::uint64_t, int, std::int64_t, void*) { return false; };
  const std::uint64_t base = memory_.base().raw();
  if (base > 0) {
    engine_.add_hook(UC_HOOK_MEM_FETCH_UNMAPPED, std::bit_cast<void*>(never), this, 0, base - 1);
  }
  engine_.add_hook(UC_HOOK_MEM_FETCH_UNMAPPED, std::bit_cast<void*>(never), this,
                   base + memory_.size(), ~std::uint64_t{0});
  engine_.add_hook(UC_HOOK_TLB_FILL, std::bit_cast<void*>(&Core::on_fill), this);
  engine_.add_hook(UC_HOOK_BLOCK, std::bit_cast<void*>(&Core::on_block), this);
  engine_.add_hook(UC_HOOK_EDGE_GENERATED, std::bit_cast<void*>(&Core::on_translated), this);
  engine_.add_hook(UC_HOOK_INTR, std::bit_cast<void*>(&Core::on_exception), this);
}

void Core::restore_identity(const CpuContext& cpu) {
  registers_.set_system(kVmpidrEl2, cpu.setup.mpidr);
}

void Core::reset(CpuContext& cpu) {
  if (current_ != &cpu) switch_to(cpu);
  set_stepping(false);
  check(uc_context_restore(engine_.get(), power_on_), "context_restore");
  restore_identity(cpu);
  cpu.pc = 0;
  cpu.virtual_irq = false;
  cpu.fpen = 0;
  cpu.odd_return = false;
  cpu.illegal_state = false;
  regime_valid_ = false;
  code_pages_.forget();
  flush_tlb();
}

}  // namespace retrap::unicorn::aarch64
