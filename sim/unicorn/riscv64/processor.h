// One Unicorn engine as the harts of one VM.
#pragma once

#include <unicorn/unicorn.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "arch/riscv64/cpu.h"
#include "arch/riscv64/decode.h"
#include "arch/riscv64/memo.h"
#include "sim/unicorn/engine.h"
#include "sim/unicorn/fill_exceptions.h"
#include "sim/unicorn/riscv64/block_counts.h"
#include "sim/unicorn/riscv64/env.h"
#include "sim/unicorn/riscv64/hart.h"
#include "sim/unicorn/riscv64/mmu.h"
#include "vmm/clock.h"

namespace retrap::unicorn::riscv64 {

using retrap::riscv64::RawExit;
using retrap::riscv64::RawExitHandler;

/// Runs the harts of a VM by turns on one engine: code stays coherent, and a switch costs a context
/// and a TLB flush.
///
/// The engine runs S-mode where real hardware would run VS-mode, with TVM (satp and SFENCE.VMA trap
/// to the hooks here, which emulate them) and TW (WFI traps). It counts instructions at every block
/// and takes back what a block did not retire.
///
/// Traps are dealt with inside the hook that the engine calls for them, and so are the exits that
/// they become: there the engine is between two blocks, its state is exact and may be written. It
/// is left only for what it must stand still for.
class Processor final : public retrap::riscv64::CpuSet, CodeListener {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Processor>> make(unsigned harts, HostMemory& memory,
                                                               Clock& clock, AddressSpace& space);
  ~Processor() override;

  [[nodiscard]] unsigned size() const override { return static_cast<unsigned>(harts_.size()); }
  [[nodiscard]] retrap::riscv64::Cpu& cpu(unsigned index) override { return *harts_[index]; }

  // For the harts.
  /// Cpu::run_with().
  void run(Hart& hart, RawExitHandler& handler);
  [[nodiscard]] Engine& engine() { return engine_; }
  [[nodiscard]] Env& env() { return env_; }
  [[nodiscard]] Mmu& mmu() { return mmu_; }
  [[nodiscard]] Clock& clock() { return clock_; }
  /// Makes `hart` the one whose state the engine holds.
  void activate(const Hart& hart) {
    if (active_ != &hart) [[unlikely]]
      switch_to(hart);
  }
  [[nodiscard]] bool is_active(const Hart& hart) const { return active_ == &hart; }
  /// The half-word at `va` as a fetch of the active hart reads it.
  [[nodiscard]] std::optional<std::uint16_t> fetch(std::uint64_t va);

 private:
  Processor(Engine engine, Env& env, HostMemory& memory, Clock& clock, AddressSpace& space);
  void add_hooks();
  void switch_to(const Hart& hart);

  /// What the block hook touches, close together.
  struct Hot {
    std::uint64_t count = 0;  ///< retired, the current block included
    std::uint64_t limit = 0;  ///< to be reached at most; 0 where every block wants a look
    std::uint64_t pc = 0;     ///< where the current block begins
  };
  static constexpr std::uint64_t kNoBlock = ~std::uint64_t{0};

  /// Why the engine was stopped at the start of a block that has not run.
  enum class BlockStop : std::uint8_t {
    None,
    Limit,       ///< it goes beyond the limit
    Counter,     ///< it ends with a CSR that must not run natively
    NotFetched,  ///< its page got X for stores only
    OddAddress,  ///< it cannot begin there
    TurnIsDue,   ///< others may have the turn
    Invalidate,  ///< code that the host has changed must go first
  };
  /// Where to stop in the middle of a block.
  struct StopPoint {
    std::uint64_t pc = 0;
    bool armed = false;
    bool reached = false;
    bool refused = false;  ///< the engine's own search for the block there
    bool at_csr = false;   ///< the instruction there is one of BlockStop::Counter
  };
  struct FailedFill {
    bool happened = false;
    std::uint64_t va = 0;
    AccessKind access = AccessKind::Load;
  };

  enum class Next : std::uint8_t {
    GoOn,      ///< the guest runs
    Exit,      ///< the handler must see the exit
    TakeOver,  ///< it has, and may have changed anything; then the guest runs
    Leave,     ///< it has had enough
  };

  // Hooks.
  static void on_block(uc_engine* uc, std::uint64_t pc, std::uint32_t size, void* user);
  static void on_interrupt(uc_engine* uc, std::uint32_t number, void* user);
  static bool on_tlb_fill(uc_engine* uc, std::uint64_t va, uc_mem_type type, uc_tlb_entry* entry,
                          void* user);
  static void on_new_block(uc_engine* uc, uc_tb* block, uc_tb* previous, void* user);
  static bool on_never(uc_engine* uc, uc_mem_type type, std::uint64_t at, int size,
                       std::int64_t value, void* user);

  void slow_block(std::uint64_t pc, std::uint32_t size);
  void stop_before(std::uint64_t pc, std::uint32_t size, BlockStop why);
  [[nodiscard]] bool is_sensitive(std::uint32_t instruction) const;
  /// The last instruction of a block where it is one of SYSTEM, or 0.
  [[nodiscard]] std::uint32_t system_at_end(std::uint64_t pc, const std::uint8_t* bytes,
                                            std::uint32_t in_page, std::uint32_t size);
  void clear_sepc_bit();
  [[nodiscard]] Next interrupt(std::uint32_t number);
  [[nodiscard]] bool fill(std::uint64_t va, uc_mem_type type, uc_tlb_entry& entry);
  /// Whether this is the engine's own search for where it was told to stop.
  [[nodiscard]] bool searches_stop(std::uint64_t va, AccessKind access);

  /// The exception that `instruction` raises, having been refused.
  [[nodiscard]] Cause cause_of(std::uint32_t instruction, Privilege privilege) const;
  [[nodiscard]] bool privilege_allows_emulation(Privilege privilege,
                                                std::uint32_t instruction) const;
  /// Emulates what traps because of TVM, and RDTIME. False: not one of these, or not allowed.
  [[nodiscard]] bool emulate_system(std::uint32_t instruction);
  [[nodiscard]] bool emulate_satp(const retrap::riscv64::CsrInstruction& access);
  /// SIP and SIE while some of their bits are hidden from the engine.
  void emulate_interrupt_csr(const retrap::riscv64::CsrInstruction& access);
  [[nodiscard]] std::uint64_t operand(const retrap::riscv64::CsrInstruction& access) const;

  // The loop.
  void begin_turn(Hart& hart);
  void take_over();
  [[nodiscard]] Next enter();
  void begin();
  [[nodiscard]] Next hand_over();
  void deal_in_place(Next next);
  [[nodiscard]] bool stay_in_engine(Next next);
  void hold_interrupts();
  void release_interrupts();
  [[nodiscard]] uc_err enter_up_to(StopPoint& stop);
  [[nodiscard]] bool after_run(uc_err error, StopPoint& stop);
  [[nodiscard]] bool not_fetched(StopPoint& stop);
  [[nodiscard]] bool after_block_stop(StopPoint& stop);
  [[nodiscard]] bool after_failed_fill(StopPoint& stop);
  [[nodiscard]] Translated failed_walk(std::uint64_t va, AccessKind access, Privilege privilege);
  [[nodiscard]] bool at_sensitive(std::uint64_t pc);
  [[nodiscard]] bool trap(Cause cause, std::uint64_t value, std::uint64_t pc);
  bool leave(const RawExit& exit) {
    active_->exit_ = exit;
    return true;
  }
  void take_back_from(std::uint64_t pc);
  void invalidate_code();
  /// Drops the translations of these bytes of host memory, whatever addresses they were found by.
  void remove_translations(HostPhys at, std::uint64_t size);
  [[nodiscard]] std::uint64_t hot_limit() const;
  /// Whether the hart is behind a branch, others wait for its turn, and its time is not up anyway.
  [[nodiscard]] bool may_give_turn_away() const {
    return hot_.count == branched_at_ && hot_.count >= clock_.turn_due() && hot_.count < limit_;
  }
  /// Whether the guest has left the engine, for a reason that a hook knows.
  [[nodiscard]] bool has_left() const {
    return dealt_with_ || block_stop_ != BlockStop::None || failed_fill_.happened;
  }

  [[nodiscard]] const std::uint8_t* host_bytes(std::uint64_t hpa) const;
  /// The bytes of the block at `pc`, or null where it cannot be fetched.
  [[nodiscard]] const std::uint8_t* block_bytes(std::uint64_t pc);
  /// The code at `pc`, which is about to run or has run, or null where it cannot be fetched now.
  /// Leaves no trace in the guest's tables.
  [[nodiscard]] const std::uint8_t* known_code(std::uint64_t pc);
  /// The instruction at `va`, which runs or has just run; 0 where it cannot be read.
  [[nodiscard]] std::uint32_t instruction_at(std::uint64_t va);

  void code_page_written(HostPhys page) override;

  Engine engine_;
  Env& env_;  ///< in the engine: the active hart
  FillExceptions fills_;
  HostMemory& memory_;
  Clock& clock_;
  BlockCounts blocks_;
  Mmu mmu_;
  Hot hot_;
  /// The last block that is not in blocks_, and its count.
  std::uint64_t unlearned_pc_ = kNoBlock;
  std::uint32_t unlearned_count_ = 0;
  std::uint64_t limit_ = 0;
  std::uint64_t branched_at_ = kNever;  ///< the count behind the last branch while the turn was due

  std::vector<std::unique_ptr<Hart>> harts_;
  Hart* active_ = nullptr;  ///< never null after make()

  Hart* running_ = nullptr;  ///< whose turn it is, or was the latest
  RawExitHandler* handler_ = nullptr;
  std::optional<Next> dealt_with_;             ///< inside the hook that stopped the engine
  std::optional<std::uint64_t> held_enables_;  ///< sie, from that hook until the engine is left
  BlockStop block_stop_ = BlockStop::None;
  std::uint64_t stopped_at_ = 0;    ///< the block of block_stop_
  std::uint32_t stopped_size_ = 0;  ///< in bytes
  FailedFill failed_fill_;
  StopPoint next_stop_;        ///< of the next run
  StopPoint* stop_ = nullptr;  ///< of the run that enter_up_to() makes
  unsigned spurious_ = 0;      ///< failed fills in a row whose walk then succeeded
  /// What instructions of failed fills access, by their bits.
  retrap::riscv64::Memo<std::optional<retrap::riscv64::MemoryInstruction>> accesses_;
  /// The block that runs ends with a write of sepc.
  bool sepc_written_ = false;
  bool identity_ = false;  ///< fills answer host-physical addresses: invalidate_code()
  std::vector<HostPhys> changed_code_;
};

}  // namespace retrap::unicorn::riscv64
