// What an architecture gives the monitor for one vCPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vmm/base/digest.h"
#include "vmm/base/result.h"
#include "vmm/exit.h"

namespace retrap {

/// Performs the memory accesses of an instruction that the architecture emulates. The monitor
/// implements it: RAM or a device, whichever covers the address; each access lies in one page.
class AccessPort {
 public:
  virtual ~AccessPort() = default;
  /// `value` is zero above the width. False, and `value` unchanged, where neither a device nor
  /// readable memory is. (An optional would be written to memory and read back, on the hot path.)
  [[nodiscard]] virtual bool read(const exits::MmioRead& access, std::uint64_t& value) = 0;
  [[nodiscard]] virtual bool write(const exits::MmioWrite& access) = 0;
};

/// How the emulation of a faulting instruction ended.
enum class Emulated : std::uint8_t {
  Retired,      ///< done; the program counter moved
  GuestFault,   ///< the guest got an exception of its own instead (another operand faulted)
  NestedFault,  ///< another operand needs stage 2 first: run again
  NoAccess,     ///< the port refused: the monitor decides what the guest sees
  Unknown,      ///< not an instruction that accesses memory in a form we know
};

/// What became of a CpuUp exit.
enum class CpuUpResult : std::uint8_t { Started, AlreadyOn, NoSuchCpu };

struct NamedRegister {
  std::string_view name;
  std::uint64_t value;
};

/// The instructions from the program counter on, for disassembly.
struct CodeAtPc {
  std::array<std::byte, 16> bytes{};
  std::size_t size = 0;  ///< how many could be read
  unsigned bits = 64;    ///< 16, 32 or 64: the mode of the processor
};

/// Deals with exits in place of the caller of run(): between two guest instructions, the clock
/// exact.
class ExitHandler {
 public:
  virtual ~ExitHandler() = default;
  /// True: the guest goes on. False: `exit`, which may have been replaced, is what run_with()
  /// gives.
  [[nodiscard]] virtual bool handle(ExitReason& exit) = 0;
};

/// For run_with() where the caller wants each exit back: wants no more after the first.
template <class Handler, class Exit>
class FirstExit final : public Handler {
 public:
  [[nodiscard]] bool handle(Exit& exit) override {
    (void)exit;
    return false;
  }
};

/// One vCPU of one architecture.
///
/// Protocol: run() gives an exit. MmioRead, MmioWrite, SysRegRead, SysRegWrite, IoRead and IoWrite
/// must be answered by exactly one of complete() and refuse(); NestedPageFault by nothing (the
/// instruction runs again), emulate() or inject_abort(); Hypercall by set_return_value(). The
/// program counter moves only in complete() and in an emulate() that retires.
class ArchVcpu {
 public:
  virtual ~ArchVcpu() = default;

  /// Runs the guest until Clock::stop_at() (BudgetSpent) or an exit. Delivers pending interrupts
  /// as the architecture allows. The clock is exact afterwards.
  [[nodiscard]] virtual ExitReason run() = 0;

  /// run() and `handler` by turns until it is done. An architecture may call the handler from where
  /// it finds the exit: not to return through every layer and come back is most of the speed.
  [[nodiscard]] virtual ExitReason run_with(ExitHandler& handler) {
    for (;;) {
      ExitReason exit = run();
      if (!handler.handle(exit)) return exit;
    }
  }

  /// Answers a device exit: writes the register by its width (`value` is ignored for writes) and
  /// retires the instruction.
  virtual void complete(std::uint64_t value) = 0;
  /// Answers a system-register or port exit that nobody took: #GP, UNDEF, illegal instruction.
  virtual void refuse() = 0;

  /// Performs the instruction that took the last NestedPageFault through `port`.
  [[nodiscard]] virtual Emulated emulate(AccessPort& port) = 0;
  /// Nothing is there, or it may not be accessed: external abort, access fault, #MC policy.
  virtual void inject_abort(const exits::NestedPageFault& fault) = 0;

  /// Power-on state, then: first instruction and argument as the boot or CPU-on protocol has it.
  virtual void reset() = 0;
  virtual void set_entry(GuestPhys entry, std::uint64_t arg) = 0;

  /// Numbering: x86 rax rcx rdx rbx rsp rbp rsi rdi r8-r15; aarch64 x0-x30, 31 = zero;
  /// riscv x-index, 0 = zero. InvalidInput beyond.
  [[nodiscard]] virtual Result<std::uint64_t> gpr(unsigned index) const = 0;
  [[nodiscard]] virtual Result<> set_gpr(unsigned index, std::uint64_t value) = 0;
  [[nodiscard]] virtual std::uint64_t pc() const = 0;
  /// The result of a hypercall, by the architecture's convention.
  virtual void set_return_value(std::uint64_t value) = 0;
  /// What a hypercall that does not exist returns: SMCCC -1, SBI -2, -ENOSYS.
  [[nodiscard]] virtual std::uint64_t not_supported() const = 0;

  /// The answer to the CpuUp exit that this vCPU took: PSCI and SBI return a code for each result.
  /// An architecture without one (SIPI), or one that refuses bad targets before it exits and
  /// answers success by itself, does nothing here.
  virtual void answer_cpu_up(CpuUpResult result) { (void)result; }

  /// Whether a halted vCPU has a reason to go on.
  [[nodiscard]] virtual bool wakeup_pending() const = 0;

  /// Changes nothing that the guest or a digest sees. Empty where nothing can be read.
  [[nodiscard]] virtual CodeAtPc code_at_pc() { return {}; }

  /// Every architectural register by its manual's name, for dumps and differences.
  [[nodiscard]] virtual std::vector<NamedRegister> registers() const = 0;
  virtual void digest(Digest& into) const = 0;
};

}  // namespace retrap
