// The engine of one VM: the CPU that is on it, the count of instructions, and every hook.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "arch/aarch64/cpu.h"
#include "arch/aarch64/decode.h"
#include "sim/unicorn/aarch64/block_marks.h"
#include "sim/unicorn/aarch64/code_pages.h"
#include "sim/unicorn/aarch64/mmu.h"
#include "sim/unicorn/aarch64/registers.h"
#include "sim/unicorn/aarch64/translations.h"
#include "sim/unicorn/aarch64/write_grants.h"
#include "sim/unicorn/engine.h"
#include "sim/unicorn/fill_exceptions.h"
#include "vmm/clock.h"

namespace retrap::unicorn::aarch64 {

using retrap::aarch64::CpuSetup;
using retrap::aarch64::RawExit;
using retrap::aarch64::RawExitHandler;

/// What of a vCPU is not in the engine's registers.
struct CpuContext {
  CpuSetup setup;
  retrap::aarch64::Cpu* cpu = nullptr;  ///< itself, seen from outside
  uc_context* saved = nullptr;          ///< registers while another CPU is on the engine
  RawExit exit;
  std::uint64_t pc = 0;  ///< while the engine stands still
  bool virtual_irq = false;
  unsigned fpen = 0;           ///< CPACR_EL1.FPEN, which the engine itself ignores
  bool odd_return = false;     ///< what SPSR_EL1 has is no plain return to AArch64
  bool illegal_state = false;  ///< PSTATE.IL, which the engine itself ignores
};

/// One engine, several CPUs in turns.
///
/// Counting: the block hook adds a whole block and keeps its end; where a block ends early the rest
/// is taken off again. `early_` is the limit, or 0 while something has to be looked at before the
/// next block (interrupt, invalidation, FP trap), so the hook is one comparison and two stores.
///
/// Exact stops: uc_emu_stop() in the block hook takes effect before the block's first instruction;
/// what remains to the limit is done by architectural software step, whose blocks are a kind of
/// their own, so nothing is flushed. uc_emu_stop() anywhere else would be inexact.
///
/// Exceptions are dealt with inside the hook that the engine calls for them, and so are the exits
/// that they become: there the engine is between two blocks, its state is exact and may be written.
/// It is left only for what it must stand still for.
class Core final : public CodeListener {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Core>> open(std::span<const CpuSetup> setups,
                                                          HostMemory& memory, Clock& clock,
                                                          AddressSpace& space);
  ~Core() override;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  [[nodiscard]] std::vector<CpuContext>& cpus() { return cpus_; }

  [[nodiscard]] const RawExit& run(CpuContext& cpu, RawExitHandler& handler);

  /// The registers of `cpu`, which is put on the engine first.
  [[nodiscard]] Registers& registers(CpuContext& cpu) {
    if (current_ != &cpu) switch_to(cpu);
    return registers_;
  }
  void set_pstate(CpuContext& cpu, std::uint32_t value);
  [[nodiscard]] std::uint64_t sysreg(CpuContext& cpu, SysReg reg);
  void set_sysreg(CpuContext& cpu, SysReg reg, std::uint64_t value);
  void retire(CpuContext& cpu);
  void set_virtual_irq(CpuContext& cpu, bool level);
  void reset(CpuContext& cpu);
  [[nodiscard]] Walk stage1(CpuContext& cpu, std::uint64_t va, unsigned permissions,
                            Privilege privilege);
  [[nodiscard]] std::optional<std::uint32_t> instruction_at(std::uint64_t va);

  void code_page_written(HostPhys page) override;

 private:
  Core(Engine engine, Env& env, HostMemory& memory, Clock& clock, AddressSpace& space);

  static constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
  /// Why the hardware cannot go on, beyond the engine's own errors: it is where it cannot be.
  static constexpr std::uint64_t kLost = 0x1000;

  /// A TLB fill that was refused.
  struct Refusal {
    bool valid = false;
    std::uint64_t va = 0;  ///< page, or exact for fetches
    AccessType access = AccessType::Read;
    Walk walk;
    bool to_code = false;               ///< nobody's fault: see core_code.cpp
    std::uint64_t pc = 0;               ///< of a data access
    std::optional<std::uint32_t> word;  ///< the instruction
  };
  enum class Next : std::uint8_t {
    GoOn,      ///< the guest runs
    Exit,      ///< the handler must see the exit
    TakeOver,  ///< it has, and may have changed anything; then the guest runs
    Leave,     ///< it has had enough
  };
  /// Why the block hook stopped the engine, beyond the limit.
  struct Attention {
    bool at_block = false;
    bool misaligned = false;
    bool in_window = false;
    bool aarch32 = false;  ///< the engine went where it must not go
    bool illegal_state = false;
    bool turn_is_due = false;
    bool behind_branch = false;  ///< of the first blocks: the one before was one to its end
    int fp_offset = -1;          ///< instructions until one that FPEN traps
    int eret_offset = -1;        ///< until an ERET to an odd state
  };

  [[nodiscard]] static std::uint32_t word_of(const std::byte* code, std::uint32_t index) {
    std::uint32_t word = 0;
    std::memcpy(&word, code + std::size_t{4} * index, sizeof word);
    return word;
  }

  // core_setup.cpp
  void set_up();
  void trap_to_el2();
  void add_hooks();
  void restore_identity(const CpuContext& cpu);
  // core.cpp
  void begin_turn(CpuContext& cpu);
  void switch_to(CpuContext& cpu);
  void take_over(CpuContext& cpu);
  Next enter();
  void begin_at(std::uint64_t pc);
  Next hand_over();
  bool deal_in_place(uc_err error);
  bool stay_in_engine(Next next);
  Next after_stop(uc_err error, std::uint64_t started_at);
  Next defer();
  Next after_attention();
  bool is_step_done(std::uint64_t started_at) const;
  Next finish_step(std::uint64_t started_at);
  void set_stepping(bool on);
  void take_interrupt();
  void load_regime();
  void apply_pending();
  [[nodiscard]] bool pending() const {
    return translations_.pending() || !wanted_pages_.empty() || !wanted_wfes_.empty() ||
           flush_wanted_;
  }
  /// Whether the CPU is behind a branch or a WFE, and others wait for its turn.
  [[nodiscard]] bool may_give_turn_away() const {
    return retired_ == branched_at_ && retired_ >= clock_.turn_due();
  }
  [[nodiscard]] bool interrupt_is_due() const;
  Next wait_for_interrupt();
  [[nodiscard]] bool uncount();
  [[nodiscard]] std::uint64_t retired_here() const {
    return retired_ - ((block_end_ - registers_.pc()) >> 2);
  }
  void reconsider();
  // core_code.cpp
  void mark_code(std::uint64_t at_hpa, std::uint32_t instructions);
  [[nodiscard]] bool store_hits_code(std::uint64_t page);
  void unmark_code(std::uint64_t page);
  Next open_code_page();
  void close_code_page();
  void flush_tlb();
  // core_returns.cpp
  [[nodiscard]] static bool is_odd_return(std::uint64_t spsr);
  [[nodiscard]] int odd_return_in(std::uint64_t at, std::uint32_t instructions);
  Next return_oddly();
  // core_faults.cpp
  Next on_refusal();
  Next on_exception_number();
  Next on_undefined();
  Next on_system_instruction(std::uint32_t word, unsigned el);
  Next take_fault(std::uint32_t esr, std::optional<std::uint64_t> far);
  Next trap(std::uint32_t esr, std::uint64_t far = 0, std::uint64_t hpfar = 0);
  Next fail(std::uint64_t reason);
  Next stage2_abort(std::uint64_t far, std::uint32_t iss, bool fetch);
  [[nodiscard]] const std::optional<retrap::aarch64::MemoryInstruction>& decode(std::uint32_t word);
  // core_hooks.cpp
  static void on_block(uc_engine*, std::uint64_t at, std::uint32_t size, void* user);
  void on_block_slow(std::uint64_t at, std::uint32_t size);
  void inspect_first(std::uint64_t at, std::uint32_t instructions);
  static void on_translated(uc_engine*, uc_tb* block, uc_tb* previous, void* user);
  void inspect_block(std::uint64_t at, std::uint32_t instructions);
  [[nodiscard]] const std::byte* code_at(std::uint64_t va);
  [[nodiscard]] bool ends_with_branch(std::uint64_t at, std::uint32_t instructions);
  [[nodiscard]] int first_fp(std::uint64_t at, std::uint32_t instructions);
  static bool on_fill(uc_engine*, std::uint64_t va, uc_mem_type type, uc_tlb_entry* out,
                      void* user);
  bool fill(std::uint64_t va, AccessType access, uc_tlb_entry& out);
  void refuse(std::uint64_t va, AccessType access, std::uint64_t pc,
              std::optional<std::uint32_t> word);
  static void on_wfe(uc_engine*, std::uint64_t at, std::uint32_t size, void* user);
  static void on_exception(uc_engine*, std::uint32_t number, void* user);
  void stop_at_block(std::uint64_t at);
  // core_sysregs.cpp
  static std::uint32_t on_mrs(uc_engine*, uc_arm64_reg rt, const uc_arm64_cp_reg* reg, void* user);
  static std::uint32_t on_msr(uc_engine*, uc_arm64_reg rt, const uc_arm64_cp_reg* reg, void* user);
  static std::uint32_t on_sys(uc_engine*, uc_arm64_reg rt, const uc_arm64_cp_reg* reg, void* user);
  bool timer_access(SysReg reg, bool read, std::uint64_t& value);
  void translate_address(std::uint32_t op2, std::uint64_t va);
  void want_sysreg_hooks(std::uint64_t at, std::uint64_t hpa);
  void want_wfe_hook(std::uint64_t at, std::uint64_t hpa);
  void add_wanted_hooks();
  void add_wfe_hooks();

  // Hot: the block hook touches these three.
  std::uint64_t retired_ = 0;
  std::uint64_t early_ = 0;
  std::uint64_t block_end_ = 0;

  std::uint64_t limit_ = 0;
  std::uint64_t branched_at_ = kNever;  ///< the count behind the last branch while the turn was due
  CpuContext* current_ = nullptr;       ///< whose state the engine has
  CpuContext* running_ = nullptr;       ///< whose turn it is, or was the latest
  RawExitHandler* handler_ = nullptr;
  std::optional<Next> dealt_with_;  ///< inside the hook that stopped the engine
  int exception_number_ = -1;
  Attention attention_;
  Refusal refusal_;
  std::uint32_t decoded_word_ = 0;  ///< devices are polled: the last instruction is kept
  std::optional<retrap::aarch64::MemoryInstruction> decoded_;
  bool stepping_ = false;
  std::uint64_t step_until_ = 0;
  bool first_blocks_ = true;  ///< of the engine's life: on_translated misses them
  bool regime_valid_ = false;
  std::optional<RawExit> deferred_;  ///< an AT whose walk needs stage 2

  Engine engine_;
  Registers registers_;
  FillExceptions fills_;
  HostMemory& memory_;
  Clock& clock_;
  AddressSpace& space_;
  std::uint64_t generation_ = 0;
  Mmu mmu_;
  Translations translations_;
  WriteGrants grants_;
  std::uint64_t one_store_ = kNoPage;  ///< a page with code that the step at hand may write
  bool store_hits_code_ = false;
  std::vector<std::uint64_t> code_lines_;  ///< for each host page: which of its lines have code
  bool flush_wanted_ = false;
  std::uint64_t code_marks_ = 0;  ///< HostMemory::code_marks() at the end of the last run
  CodePages code_pages_;
  BlockMarks fp_;
  BlockMarks erets_;
  std::vector<std::uint64_t> hooked_pages_;
  std::vector<uc_hook> page_hooks_;
  std::vector<std::uint64_t> wanted_pages_;
  bool all_hooked_ = false;
  std::vector<std::uint64_t> wanted_wfes_;
  std::vector<std::uint64_t> hooked_wfes_;  ///< sorted
  std::vector<uc_hook> wfe_hooks_;
  std::vector<CpuContext> cpus_;
  uc_context* power_on_ = nullptr;
};

}  // namespace retrap::unicorn::aarch64
