// One engine and the CPUs that take turns on it.
#pragma once

#include <memory>
#include <optional>

#include "sim/unicorn/fill_exceptions.h"
#include "sim/unicorn/x86_64/block_counter.h"
#include "sim/unicorn/x86_64/delivery.h"
#include "sim/unicorn/x86_64/guest_mode.h"
#include "sim/unicorn/x86_64/trapped_sites.h"
#include "vmm/clock.h"

namespace retrap::unicorn::x86_64 {

/// What belongs to one CPU. Its registers are in `env`, which the engine has while it is loaded.
struct Vcpu {
  Vcpu(uc_engine* uc, const EnvLayout& layout) : env(uc, layout) {}

  Env env;
  std::optional<PendingEvent> pending;
  /// The instruction count at the latest exception. Another one at the same count costs a tick: a
  /// guest whose handlers fault for ever must reach its limit.
  std::uint64_t excepted_at = ~std::uint64_t{0};
  bool window_wanted = false;
  bool nmi_window_wanted = false;
  std::uint64_t tsc_offset = 0;
  RawExit exit;
  std::uint64_t standstill_at = 0;  ///< the count when something last happened without an
  std::uint32_t standstill = 0;     ///< instruction, and how often it did
};

/// Runs CPUs. Everything that the engine calls back lands here.
class Core final : CodeListener {
 public:
  /// All outlive this. Backend where the engine cannot be used.
  [[nodiscard]] static Result<std::unique_ptr<Core>> make(HostMemory& memory, Clock& clock,
                                                          const AddressSpace& space);
  ~Core() override;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  [[nodiscard]] std::unique_ptr<Vcpu> make_vcpu();
  void reset(Vcpu& cpu, const CpuState& state);
  /// Until `handler` has had enough. Where it can, it is called while the engine runs.
  const RawExit& run(Vcpu& cpu, RawExitHandler& handler);
  [[nodiscard]] Completion complete_on(Vcpu& cpu, std::span<const ScratchPage> pages);

  [[nodiscard]] Mmu& mmu() { return mmu_; }
  [[nodiscard]] Clock& clock() { return clock_; }

 private:
  /// What made the engine stop.
  enum class Stop : std::uint8_t {
    None,
    Block,      ///< in front of a block: look again at everything
    Cut,        ///< the same, and the block reaches beyond the limit
    Odd,        ///< the same, in a state for which no block may be kept
    Interrupt,  ///< UC_HOOK_INTR with interrupt_
    PortIo,
    Syscall,
    Sysenter,
    Trapped,
    Memory,  ///< Mmu::pending()
  };
  enum class Step : std::uint8_t { Off, Armed, Running };
  /// What the loop of run() does next.
  enum class Next : std::uint8_t { Resume, Exit };

  Core(Engine engine, HostMemory& memory, Clock& clock, const AddressSpace& space,
       const EnvLayout& layout);
  void add_hooks();

  // Hooks: core_hooks.cpp.
  static void on_block(uc_engine* uc, std::uint64_t pc, std::uint32_t size, void* self);
  static void on_edge(uc_engine* uc, uc_tb* made, uc_tb* from, void* self);
  static void on_interrupt(uc_engine* uc, std::uint32_t number, void* self);
  static std::uint32_t on_in(uc_engine* uc, std::uint32_t port, int size, void* self);
  static void on_out(uc_engine* uc, std::uint32_t port, int size, std::uint32_t value, void* self);
  static void on_syscall(uc_engine* uc, void* self);
  static void on_sysenter(uc_engine* uc, void* self);
  static int on_rdtsc(uc_engine* uc, void* self);
  static int on_rdtscp(uc_engine* uc, void* self);
  static bool on_fill(uc_engine* uc, std::uint64_t linear, uc_mem_type type, uc_tlb_entry* entry,
                      void* self);
  static bool on_poison(uc_engine* uc, uc_mem_type type, std::uint64_t address, int size,
                        std::int64_t value, void* self);
  static void on_trapped(uc_engine* uc, std::uint64_t pc, std::uint32_t size, void* self);
  static bool on_never(uc_engine* uc, uc_mem_type type, std::uint64_t address, int size,
                       std::int64_t value, void* self);
  void slow_block(std::uint64_t pc, std::uint32_t size);
  void undo_restart(std::uint64_t pc);
  [[nodiscard]] std::uint32_t inspect_block(std::uint64_t pc, std::uint32_t size);
  [[nodiscard]] bool is_begun_again(std::uint64_t pc);
  [[nodiscard]] bool window_is_open();
  void access_port();
  bool after_done_port();
  void stop_at_block(Stop why);
  [[noreturn]] void abort_instruction(Stop why);
  void read_tsc(bool with_aux);

  // The loop: core.cpp.
  void load(Vcpu& cpu);
  void begin_turn(Vcpu& cpu);
  [[nodiscard]] Next go_on(Vcpu& cpu, Next next);
  [[nodiscard]] bool may_stay() const;
  [[nodiscard]] bool may_be_half_access() const;
  [[nodiscard]] Next deal_with_stop(Vcpu& cpu);
  [[nodiscard]] bool stay(Vcpu& cpu, Next next);
  void forget_stop();
  void update_limit(const Vcpu& cpu);
  Next before_entry(Vcpu& cpu);
  void enter(Vcpu& cpu);
  void take_state(Vcpu& cpu);
  void note_crawl(const Env& env);
  void note_standstill(Vcpu& cpu);
  Next after_stop(Vcpu& cpu);
  Next leave(Vcpu& cpu, const RawExit& exit) {
    cpu.exit = exit;
    clock_.retire_to(counter_.count());
    return Next::Exit;
  }
  void settle_count(const Env& env);
  [[nodiscard]] std::uint32_t count_between(const Env& env, std::uint64_t from, std::uint64_t to);
  void drop_stale();
  void begin_step(Vcpu& cpu);
  void end_step(Vcpu& cpu);
  [[nodiscard]] Next deliver_pending(Vcpu& cpu);
  [[nodiscard]] const Instruction& decode_at_rip(const Env& env) {
    return mmu_.instruction_at(env.head(), env.linear_rip(), env.code_bytes());
  }

  // What stops mean: core_stops.cpp.
  Next on_memory_stop(Vcpu& cpu);
  void repair_flags(Env& env);
  Next on_fetch_fault(Vcpu& cpu, const MemoryFault& fault);
  Next on_nested_fault(Vcpu& cpu, const MemoryFault& fault);
  Next on_interrupt_stop(Vcpu& cpu);
  Next on_software_interrupt(Vcpu& cpu, std::uint8_t vector);
  Next on_exception(Vcpu& cpu, std::uint8_t vector, std::uint32_t error);
  Next on_intercept(Vcpu& cpu, SvmExit code);
  Next on_port_io(Vcpu& cpu);
  Next raise(Vcpu& cpu, const Event& event, std::uint8_t length = 0);
  Next fault_in_instruction(Vcpu& cpu, const MemoryFault& fault);
  void retire(Vcpu& cpu, std::uint64_t rip);

  // Instructions that are done here: core_instructions.cpp.
  Next do_syscall(Vcpu& cpu);
  Next do_sysenter(Vcpu& cpu);
  Next do_trapped(Vcpu& cpu);
  Next do_cmpxchg_wide(Vcpu& cpu, const Instruction& instruction);
  Next do_rotate_through_carry(Vcpu& cpu, const Instruction& instruction);
  Next do_conditional_loop(Vcpu& cpu, const Instruction& instruction);
  Next do_port_to_string(Vcpu& cpu, const Instruction& instruction);
  Next do_write_cr(Vcpu& cpu, unsigned number, const Instruction& instruction);
  Next do_write_dr(Vcpu& cpu, unsigned number, const Instruction& instruction);

  void code_page_written(HostPhys page) override;

  Engine engine_;
  HostMemory& memory_;
  Clock& clock_;
  const AddressSpace& space_;
  EnvLayout layout_;
  MonitorMemory monitor_;
  GuestMode mode_;
  Env hook_env_;
  FillExceptions fills_;
  Mmu mmu_;
  BlockCounter counter_;
  TrappedSites sites_;

  Vcpu* loaded_ = nullptr;  ///< whose registers the engine has; null: nobody's
  std::uint64_t generation_ = 0;
  std::uint64_t watches_seen_ = 0;
  std::uint64_t watch_end_ = 0;
  RawExitHandler* handler_ = nullptr;  ///< null between runs
  bool in_hook_ = false;               ///< deal_with_stop() has been called by the engine
  bool must_leave_ = false;            ///< it has been started from there
  bool code_is_dropped_ = false;       ///< from there: of the block that runs, perhaps
  /// A port access that is done, and aborted all the same: what comes next.
  struct DonePort {
    Vcpu* cpu;
    Next next;
  };
  std::optional<DonePort> done_port_;
  std::optional<Next> settled_;  ///< the last stop has been dealt with in there
  Stop stop_ = Stop::None;
  Step step_ = Step::Off;
  bool cutting_ = false;      ///< the limit lies inside the next block: go by single steps
  bool step_once_ = false;    ///< the next entry runs one instruction
  bool step_shadow_ = false;  ///< the interrupt shadow in front of that
  bool step_begins_shadow_ = false;
  bool step_is_trapped_ = false;  ///< the engine must not execute it
  bool step_retired_ = false;     ///< what the latest step came to
  std::uint32_t crawl_ = 0;       ///< faults in a row without an instruction between them
  std::uint32_t interrupt_ = 0;
  std::uint64_t limit_ = 0;
  bool window_wanted_ = false;
  /// RCX and RSP when a block that may be its own successor was last entered.
  std::optional<std::array<std::uint64_t, 2>> progress_;
  std::uint64_t stopped_block_ = 0;  ///< the block in front of which the engine stopped
  std::uint64_t kept_rcx_ = 0;       ///< abort_instruction() costs RCX
  bool rcx_is_lost_ = false;
  bool cr_writes_open_ = false;  ///< one step may write to control registers
};

}  // namespace retrap::unicorn::x86_64
