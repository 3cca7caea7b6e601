// The virtualization hardware under an aarch64 guest: enter EL1, come back with a raw exit.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "arch/aarch64/esr.h"
#include "arch/aarch64/registers.h"
#include "vmm/address_space.h"
#include "vmm/arch_vcpu.h"

namespace retrap::aarch64 {

/// What EL2 finds after an exit. PC is at the instruction (which has changed nothing), for HVC
/// after it, as the architecture has it.
struct RawExit {
  enum class Kind : std::uint8_t {
    Trap,     ///< an exception to EL2: the three registers are valid
    Stopped,  ///< Clock::stop_at() is reached: the host's own timer, on real hardware
    /// The vector of an exception begins with an instruction that causes it again: no way out.
    /// `esr` and `far` are of the guest's exception.
    Endless,
    Failed,  ///< the hardware cannot go on with this state: `esr` is its own reason
  };
  Kind kind = Kind::Stopped;
  std::uint64_t esr = 0;    ///< ESR_EL2
  std::uint64_t far = 0;    ///< FAR_EL2
  std::uint64_t hpfar = 0;  ///< HPFAR_EL2: IPA[47:12] at [39:4]
  friend bool operator==(const RawExit&, const RawExit&) = default;
};

/// Deals with exits in place of the caller of run(): between two guest instructions, the clock
/// exact.
class RawExitHandler {
 public:
  virtual ~RawExitHandler() = default;
  /// True: the guest goes on. False: run_with() gives `exit`.
  [[nodiscard]] virtual bool handle(const RawExit& exit) = 0;
};

/// A SIMD register.
struct Vector {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Vector&, const Vector&) = default;
};

/// The registers of a call to the monitor or the firmware (SMCCC): x0, and x1 to x6.
struct Call {
  std::uint64_t number = 0;
  std::array<std::uint64_t, 6> args{};
};

/// The timer registers that the guest reads and writes without a trap (no EL2 control catches the
/// virtual timer without FEAT_ECV). The board's timer answers them; the clock is exact when it is
/// asked, and the CPU looks at Clock::stop_at() and at its interrupt line again afterwards.
class VirtualTimerPort {
 public:
  virtual ~VirtualTimerPort() = default;
  /// CNTVCT_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTV_TVAL_EL0.
  [[nodiscard]] virtual std::uint64_t read_timer(SysReg reg) = 0;
  virtual void write_timer(SysReg reg, std::uint64_t value) = 0;
};

enum class AccessType : std::uint8_t { Read, Write, Fetch };
enum class Privilege : std::uint8_t { El1, El0 };

/// What AT S1E1R and its siblings leave in PAR_EL1 (DDI 0487, D24.2.121), taken apart.
struct AddressTranslation {
  enum class Kind : std::uint8_t {
    Ok,           ///< `ipa` is what stage 1 says of the address
    Stage1Fault,  ///< `fsc` is the guest's own fault
    WalkFault,    ///< stage 2 refused a table of stage 1, at `ipa`
  };
  Kind kind = Kind::Ok;
  GuestPhys ipa{};
  std::uint32_t fsc = 0;
};

/// One simulated CPU at EL1 and EL0, below an EL2 that traps: HVC, SMC (TSC), WFI (TWI), ID
/// registers (TID3), debug and PMU registers (TDA, TDOSA, TDRA, TPM), physical counter and timer
/// (CNTHCTL_EL2 = 0), the GIC CPU interface, everything that stage 2 refuses. EL3 is not there.
///
/// Exceptions that belong to the guest go to its vectors inside run().
class Cpu {
 public:
  virtual ~Cpu() = default;

  /// Runs from Clock::retired() to an exit or Clock::stop_at(). The clock is exact afterwards.
  /// The exit is valid until the next run() of this CPU.
  [[nodiscard]] virtual const RawExit& run() = 0;

  /// run() and `handler` by turns until it is done. A CPU may call the handler from where it finds
  /// the exit, deep inside: the handler may do all that can be done after run(), but run no CPU.
  [[nodiscard]] virtual const RawExit& run_with(RawExitHandler& handler) {
    for (;;) {
      const RawExit& exit = run();
      if (!handler.handle(exit)) return exit;
    }
  }

  /// x0-x30; 31 is the zero register.
  [[nodiscard]] virtual std::uint64_t x(unsigned index) const = 0;
  virtual void set_x(unsigned index, std::uint64_t value) = 0;
  [[nodiscard]] virtual Call call() const = 0;
  [[nodiscard]] virtual Vector v(unsigned index) const = 0;  ///< v0-v31
  virtual void set_v(unsigned index, Vector value) = 0;
  [[nodiscard]] virtual std::uint64_t pc() const = 0;
  virtual void set_pc(std::uint64_t value) = 0;
  [[nodiscard]] virtual std::uint64_t sp() const = 0;  ///< the stack pointer that PSTATE selects
  virtual void set_sp(std::uint64_t value) = 0;
  [[nodiscard]] virtual std::uint32_t pstate() const = 0;  ///< in SPSR layout
  virtual void set_pstate(std::uint32_t value) = 0;
  /// Registers of EL1 and EL0 that the CPU itself has. Zero, and no effect, for others.
  [[nodiscard]] virtual std::uint64_t sysreg(SysReg reg) const = 0;
  virtual void set_sysreg(SysReg reg, std::uint64_t value) = 0;

  /// The monitor has done the instruction at PC: PC + 4, one instruction counted.
  /// (Exceptions that the CPU itself gives to the guest and that retire nothing count as one, too:
  /// a guest whose vectors fault for ever must reach its limit.)
  virtual void retire() = 0;
  /// set_x() and retire().
  virtual void retire_with(unsigned index, std::uint64_t value) = 0;
  /// HCR_EL2.VI: a virtual IRQ is taken as soon as PSTATE.I is clear.
  virtual void set_virtual_irq(bool level) = 0;

  /// Walks stage 1 as an access would. Changes nothing.
  [[nodiscard]] virtual AddressTranslation translate(std::uint64_t va, AccessType access,
                                                     Privilege privilege) = 0;
  /// The instruction at PC, or nothing where it cannot be read.
  [[nodiscard]] virtual std::optional<std::uint32_t> instruction() = 0;

  /// Power-on state: EL1h, DAIF masked, MMU off, PC 0, x0-x30 0.
  virtual void reset() = 0;
};

/// What the guest sees of a CPU's place (VMPIDR_EL2), and who answers its timer.
struct CpuSetup {
  std::uint64_t mpidr = 0;
  VirtualTimerPort* timer = nullptr;  ///< never null; outlives the CPU
};

/// The CPUs of one VM.
class CpuSet {
 public:
  virtual ~CpuSet() = default;
  [[nodiscard]] virtual unsigned size() const = 0;
  [[nodiscard]] virtual Cpu& cpu(unsigned index) = 0;
};

/// Makes CPUs over the host memory and clock that it was made with.
class Hardware {
 public:
  virtual ~Hardware() = default;
  /// One CPU in power-on state for each of `setups`, on the stage-2 table of `memory`, which
  /// outlives them. InvalidInput for none or more than kMaxVcpus; Backend where the engine refuses.
  [[nodiscard]] virtual Result<std::unique_ptr<CpuSet>> create(std::span<const CpuSetup> setups,
                                                               AddressSpace& memory) = 0;
};

/// Takes an exception to EL1 (DDI 0487, D1.3.1): banks the stack pointer, saves PSTATE and the
/// return address, jumps to the vector.
struct ExceptionEntry {
  enum class Type : std::uint16_t { Synchronous = 0, Irq = 0x80, Fiq = 0x100, SError = 0x180 };
  Type type = Type::Synchronous;
  std::uint64_t return_address = 0;
  std::optional<std::uint32_t> esr;
  std::optional<std::uint64_t> far;
};
void enter_el1(Cpu& cpu, const ExceptionEntry& entry);
/// Whether a synchronous exception at PC would lead to PC again, for ever.
[[nodiscard]] bool is_at_own_vector(const Cpu& cpu);

}  // namespace retrap::aarch64
