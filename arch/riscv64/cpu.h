// The virtualization hardware under a riscv64 guest: a hart with the H extension.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "arch/riscv64/causes.h"
#include "arch/riscv64/translation.h"
#include "vmm/address_space.h"
#include "vmm/arch_vcpu.h"
#include "vmm/clock.h"

namespace retrap::riscv64 {

/// What a trap from VS- or VU-mode into HS-mode leaves behind (Privileged Architecture, "Traps" of
/// the H extension). The instruction at sepc has changed nothing.
///
/// The hart comes back with the causes that kHedeleg does not delegate, and with
///   kInterrupt | kSupervisorTimer  the clock has reached Clock::stop_at();
///   DoubleTrap                     the first instruction of the guest's trap handler traps: htval
///                                  is the code that cannot be delivered (as mtval2 of Ssdbltrp);
///   HardwareError                  a state that this hardware does not model; stval says where.
struct RawExit {
  std::uint64_t scause = 0;
  std::uint64_t sepc = 0;
  std::uint64_t stval = 0;
  /// Guest-page faults: the guest-physical address shifted right by 2. Bits 1:0 are those of stval,
  /// but for implicit accesses, where they are zero.
  std::uint64_t htval = 0;
  /// Guest-page faults: the transformed instruction, or kImplicitRead or kImplicitWrite for an
  /// access to a page-table entry, or 0.
  std::uint64_t htinst = 0;
  Privilege privilege = Privilege::Supervisor;  ///< hstatus.SPVP

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

/// Pseudo-instructions in htinst: a 64-bit read or write for VS-stage translation.
inline constexpr std::uint64_t kImplicitRead = 0x3000;
inline constexpr std::uint64_t kImplicitWrite = 0x3020;

/// Numbers of the CSRs that the monitor reads and writes on behalf of a guest.
enum class Csr : std::uint16_t {
  Fflags = 0x001,
  Frm = 0x002,
  Fcsr = 0x003,
  Scounteren = 0x106,
  Vsstatus = 0x200,
  Vsie = 0x204,
  Vstvec = 0x205,
  Vsscratch = 0x240,
  Vsepc = 0x241,
  Vscause = 0x242,
  Vstval = 0x243,
  Vsip = 0x244,
  Vsatp = 0x280,
};

/// Bits of vsstatus.
namespace vsstatus {
inline constexpr std::uint64_t kSie = bit(1);
inline constexpr std::uint64_t kSpie = bit(5);
inline constexpr std::uint64_t kSpp = bit(8);
inline constexpr std::uint64_t kFs = bit(13) | bit(14);
inline constexpr std::uint64_t kSum = bit(18);
inline constexpr std::uint64_t kMxr = bit(19);
}  // namespace vsstatus

/// The frequency of the time CSR: one tick is 100 ns of virtual time.
inline constexpr std::uint32_t kTimebaseHz = 10'000'000;
inline constexpr std::uint64_t kNsPerTick = 1'000'000'000 / kTimebaseHz;

/// One simulated hart in VS- or VU-mode.
///
/// Its controls are fixed: hedeleg = kHedeleg; all VS-level interrupts delegated; hcounteren = TM
/// (time reads as Clock::now_ns() / kNsPerTick, cycle and instret trap); hstatus.VTW = 1 (WFI
/// traps); hstatus.VTVM = 0, VTSR = 0. RV64GC with Sv39, Sv48 and Svadu in the guest's own stage.
class Cpu {
 public:
  virtual ~Cpu() = default;

  /// Runs from Clock::retired() to an exit or Clock::stop_at(). The clock is exact afterwards.
  [[nodiscard]] virtual const RawExit& run() = 0;
  /// run() and `handler` by turns until it is done. A hart may call the handler from where it finds
  /// the exit, deep inside: the handler may do all that can be done after run(), but run no hart.
  [[nodiscard]] virtual const RawExit& run_with(RawExitHandler& handler) {
    for (;;) {
      const RawExit& exit = run();
      if (!handler.handle(exit)) return exit;
    }
  }
  [[nodiscard]] virtual const RawExit& last_exit() const = 0;

  // Registers; index is 0 to 31. Changes count from the next run() on. x0 stays zero.
  [[nodiscard]] virtual std::uint64_t x(unsigned index) const = 0;
  virtual void set_x(unsigned index, std::uint64_t value) = 0;
  /// a0 to a7 at once: every ecall wants them.
  [[nodiscard]] virtual std::array<std::uint64_t, 8> arguments() const = 0;
  [[nodiscard]] virtual std::uint64_t f(unsigned index) const = 0;
  virtual void set_f(unsigned index, std::uint64_t value) = 0;
  [[nodiscard]] virtual std::uint64_t pc() const = 0;
  virtual void set_pc(std::uint64_t value) = 0;
  [[nodiscard]] virtual Privilege privilege() const = 0;
  virtual void set_privilege(Privilege value) = 0;
  [[nodiscard]] virtual std::uint64_t csr(Csr number) const = 0;
  /// Reserved bits are dropped. Vsatp: an unsupported mode changes nothing; drops translations.
  virtual void set_csr(Csr number, std::uint64_t value) = 0;

  /// hvip: the VS-level interrupts that the monitor makes pending. The guest clears VSSIP itself.
  [[nodiscard]] virtual std::uint64_t hvip() const = 0;
  /// Sets the bits of `mask` to those of `value`; both within kVsInterrupts.
  virtual void set_hvip(std::uint64_t mask, std::uint64_t value) = 0;

  /// Counts an instruction that the monitor has emulated, and moves past its `length` bytes.
  virtual void retire(unsigned length) = 0;

  /// HLVX.HU: the two bytes at `va` as an instruction fetch of the guest's current privilege
  /// would read them, or nothing where that would fault. Changes nothing.
  [[nodiscard]] virtual std::optional<std::uint16_t> fetch(std::uint64_t va) = 0;

  /// Drops every cached translation (HFENCE.VVMA and HFENCE.GVMA). AddressSpace::generation() is
  /// watched without being asked.
  virtual void flush_tlb() = 0;

  /// Power-on state: S-mode, all registers zero, translation off, no interrupt pending or enabled.
  virtual void reset() = 0;

  /// Every register by its manual's name: integer, floating point, CSRs.
  [[nodiscard]] virtual std::vector<NamedRegister> registers() const = 0;
  /// The same.
  virtual void digest(Digest& into) const = 0;
};

/// The harts of one VM.
class CpuSet {
 public:
  virtual ~CpuSet() = default;
  [[nodiscard]] virtual unsigned size() const = 0;
  [[nodiscard]] virtual Cpu& cpu(unsigned index) = 0;
};

/// Makes harts over the host memory and clock that it was made with.
class Hardware {
 public:
  virtual ~Hardware() = default;
  /// `count` harts after reset on the G-stage table of `memory`, which outlives them. InvalidInput
  /// for count 0 or above kMaxVcpus; Backend where the engine refuses.
  [[nodiscard]] virtual Result<std::unique_ptr<CpuSet>> create(unsigned count,
                                                               AddressSpace& memory) = 0;
};

}  // namespace retrap::riscv64
