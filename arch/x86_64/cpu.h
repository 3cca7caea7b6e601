// The virtualization hardware under an x86_64 guest: enter the guest, come back with a raw exit.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "arch/x86_64/svm.h"
#include "vmm/address_space.h"
#include "vmm/arch_vcpu.h"

namespace retrap::x86_64 {

/// General registers in the order of their encodings.
enum class Gpr : std::uint8_t {
  Rax,
  Rcx,
  Rdx,
  Rbx,
  Rsp,
  Rbp,
  Rsi,
  Rdi,
  R8,
  R9,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15
};

/// Segment registers in the order of their encodings, then the two system segments.
enum class SegmentName : std::uint8_t { Es, Cs, Ss, Ds, Fs, Gs, Ldtr, Tr };
inline constexpr unsigned kSegments = 8;

/// A segment register with its hidden part.
struct Segment {
  std::uint16_t selector = 0;
  /// Bits 8-15 and 20-23 of the descriptor's second word: type S DPL P, then AVL L D G at [11:8],
  /// as the VMCB has it (APM volume 2, appendix B).
  std::uint16_t attributes = 0;
  std::uint32_t limit = 0;  ///< in bytes, scaled by G
  std::uint64_t base = 0;
  friend bool operator==(const Segment&, const Segment&) = default;
};

/// GDTR and IDTR.
struct DescriptorTable {
  std::uint64_t base = 0;
  std::uint16_t limit = 0;
  friend bool operator==(const DescriptorTable&, const DescriptorTable&) = default;
};

/// What a VMCB state save area holds; the defaults are those after power-on (APM volume 2, table
/// 14-1) but for CS:RIP.
struct CpuState {
  std::array<std::uint64_t, 16> gpr{};
  std::uint64_t rip = 0xfff0;
  std::uint64_t rflags = 2;
  std::array<Segment, kSegments> segments = {{
      {0, 0x93, 0xffff, 0},
      {0xf000, 0x9b, 0xffff, 0xffff'0000},
      {0, 0x93, 0xffff, 0},
      {0, 0x93, 0xffff, 0},
      {0, 0x93, 0xffff, 0},
      {0, 0x93, 0xffff, 0},
      {0, 0x82, 0xffff, 0},
      {0, 0x8b, 0xffff, 0},
  }};
  DescriptorTable gdtr{0, 0xffff};
  DescriptorTable idtr{0, 0xffff};
  std::uint64_t cr0 = 0x6000'0010;
  std::uint64_t cr2 = 0;
  std::uint64_t cr3 = 0;
  std::uint64_t cr4 = 0;
  std::uint64_t efer = 0;  ///< as the guest sees it: without SVME
  std::uint64_t dr6 = 0xffff'0ff0;
  std::uint64_t dr7 = 0x400;

  [[nodiscard]] Segment& segment(SegmentName name) { return segments[static_cast<unsigned>(name)]; }
  [[nodiscard]] const Segment& segment(SegmentName name) const {
    return segments[static_cast<unsigned>(name)];
  }
  friend bool operator==(const CpuState&, const CpuState&) = default;
};

/// What the hardware writes into the VMCB at #VMEXIT. RIP is at the instruction, which has changed
/// nothing.
struct RawExit {
  SvmExit code = SvmExit::Limit;
  std::uint64_t info1 = 0;  ///< EXITINFO1
  std::uint64_t info2 = 0;  ///< EXITINFO2
  /// nRIP: the RIP after the instruction that was intercepted. 0 where hardware does not know it
  /// (NestedPageFault, Shutdown, Limit, Vintr).
  std::uint64_t next_rip = 0;
  /// NestedPageFault on the final address: the linear address and the bytes of the access, as far
  /// as the hardware knows (16-byte accesses show as their first 8).
  std::uint64_t linear = 0;
  std::uint8_t size = 0;
  /// These are the whole memory operand of the instruction, in one page; else perhaps a part of it.
  bool whole_operand = false;
  /// The exit happened while an event was delivered (EXITINTINFO.V), not in an instruction: there
  /// is nothing to decode. The CPU keeps the event and delivers it at the next run(), unless
  /// another is injected.
  bool during_delivery = false;
  friend bool operator==(const RawExit&, const RawExit&) = default;
};

/// EVENTINJ (APM volume 2, 15.20).
struct Event {
  enum class Type : std::uint8_t { Interrupt = 0, Nmi = 2, Exception = 3, Software = 4 };
  std::uint8_t vector = 0;
  Type type = Type::Interrupt;
  bool has_error = false;
  std::uint32_t error = 0;
  std::uint64_t address = 0;  ///< of an injected #PF: the CPU puts it into CR2 at delivery
  friend bool operator==(const Event&, const Event&) = default;

  [[nodiscard]] static constexpr Event interrupt(std::uint8_t vector) { return {.vector = vector}; }
  [[nodiscard]] static constexpr Event nmi() { return {.vector = 2, .type = Type::Nmi}; }
  [[nodiscard]] static constexpr Event exception(std::uint8_t vector) {
    return {.vector = vector, .type = Type::Exception};
  }
  [[nodiscard]] static constexpr Event exception(std::uint8_t vector, std::uint32_t error) {
    return {.vector = vector, .type = Type::Exception, .has_error = true, .error = error};
  }
  [[nodiscard]] static constexpr Event page_fault(std::uint32_t error, std::uint64_t address) {
    return {.vector = 14,
            .type = Type::Exception,
            .has_error = true,
            .error = error,
            .address = address};
  }
};

enum class Access : std::uint8_t { Read, Write, Fetch };
enum class Privilege : std::uint8_t { Supervisor, User };

/// What a linear address means now.
struct Translation {
  enum class Kind : std::uint8_t {
    Ok,            ///< `gpa` is what the guest's tables say; stage 2 was asked for the tables only
    PageFault,     ///< `error` is the error code of #PF
    NonCanonical,  ///< #GP(0), or #SS(0) through the stack segment
    NestedFault,   ///< a page table of the guest is not there: `gpa`, and `error` as EXITINFO1
  };
  Kind kind = Kind::Ok;
  GuestPhys gpa;
  std::uint64_t error = 0;
};

/// How complete_on() ended.
enum class Completion : std::uint8_t {
  Retired,      ///< the instruction (or one iteration of a REP) is done and counted
  Exception,    ///< the guest gets an exception of its own instead
  NestedFault,  ///< another operand needs stage 2 first: last_exit() says which
  Intercepted,  ///< it is an instruction that exits: last_exit()
};

/// Stands in for a page without memory while one instruction runs.
struct ScratchPage {
  GuestPhys page;                    ///< page aligned
  std::span<std::byte, 4096> bytes;  ///< read by the instruction, and written back
};

/// Deals with exits in place of the caller of run(): between two guest instructions, the clock
/// exact.
class RawExitHandler {
 public:
  virtual ~RawExitHandler() = default;
  /// True: the guest goes on. False: run_with() gives `exit`.
  [[nodiscard]] virtual bool handle(const RawExit& exit) = 0;
};

/// One simulated CPU, in guest mode for ever.
///
/// Exits: HLT, CPUID, RDMSR and WRMSR (all), port I/O, VMMCALL and VMCALL, RDPMC, MONITOR, MWAIT,
/// RSM, XSETBV, MOV CR8, the SVM instructions, nested page faults, shutdown, the windows, the
/// limit, IRET on request. Everything else, exceptions and their delivery included, happens in the
/// CPU. Port I/O is checked against IOPL and the TSS before it exits; string forms exit at each
/// iteration.
class Cpu {
 public:
  virtual ~Cpu() = default;

  /// Runs from Clock::retired() to an exit or Clock::stop_at(). The clock is exact afterwards.
  [[nodiscard]] virtual const RawExit& run() = 0;
  [[nodiscard]] virtual const RawExit& last_exit() const = 0;
  /// run() and `handler` by turns until it is done. A CPU may call the handler from where it finds
  /// the exit, deep inside: the handler may do all that can be done after run(), but run no CPU.
  [[nodiscard]] virtual const RawExit& run_with(RawExitHandler& handler) {
    for (;;) {
      const RawExit& exit = run();
      if (!handler.handle(exit)) return exit;
    }
  }

  // Registers. Changes count from the next run() on.
  [[nodiscard]] virtual std::uint64_t gpr(Gpr name) const = 0;
  /// All of them. Valid until the next run().
  [[nodiscard]] virtual std::span<const std::uint64_t, 16> gprs() const = 0;
  virtual void set_gpr(Gpr name, std::uint64_t value) = 0;
  [[nodiscard]] virtual std::uint64_t rip() const = 0;
  virtual void set_rip(std::uint64_t value) = 0;
  [[nodiscard]] virtual std::uint64_t rflags() const = 0;
  /// The result of an emulated instruction: the arithmetic flags count, the others stay.
  virtual void set_arithmetic_flags(std::uint64_t rflags) = 0;
  [[nodiscard]] virtual unsigned cpl() const = 0;
  [[nodiscard]] virtual Segment segment(SegmentName name) const = 0;
  [[nodiscard]] virtual std::uint64_t cr0() const = 0;
  [[nodiscard]] virtual std::uint64_t cr4() const = 0;
  [[nodiscard]] virtual std::uint64_t efer() const = 0;
  /// The caller has checked reserved bits. Drops cached translations.
  virtual void set_efer(std::uint64_t value) = 0;
  /// 2, 4 or 8: what the code segment makes of operands and addresses by default is 2, 4, 4.
  [[nodiscard]] virtual unsigned code_bytes() const = 0;

  [[nodiscard]] virtual CpuState state() const = 0;
  /// Also drops pending events and the interrupt shadow, and resets FPU and SSE.
  virtual void set_state(const CpuState& state) = 0;

  /// MSRs that the CPU itself acts upon: STAR LSTAR CSTAR SFMASK, SYSENTER_CS/ESP/EIP, FS_BASE
  /// GS_BASE KERNEL_GS_BASE, TSC_AUX, PAT. Others are the caller's; EFER has its own calls.
  [[nodiscard]] virtual bool has_msr(std::uint32_t number) const = 0;
  [[nodiscard]] virtual std::uint64_t msr(std::uint32_t number) const = 0;
  virtual void set_msr(std::uint32_t number, std::uint64_t value) = 0;

  /// RDTSC = virtual nanoseconds + offset.
  virtual void set_tsc_offset(std::uint64_t offset) = 0;
  [[nodiscard]] virtual std::uint64_t tsc_offset() const = 0;

  /// Retires an emulated instruction of `length` bytes: RIP moves (in the width of the mode), the
  /// interrupt shadow and RF end, one instruction is counted. Length 0: an iteration of a REP
  /// instruction that goes on.
  virtual void advance(unsigned length) = 0;

  // Events.
  /// Delivers `event` before the next instruction. At most one between two runs; a second replaces
  /// the first.
  virtual void inject(const Event& event) = 0;
  [[nodiscard]] virtual bool has_pending_event() const = 0;
  /// RFLAGS.IF is set and no interrupt shadow holds.
  [[nodiscard]] virtual bool can_take_interrupt() const = 0;
  /// run() comes back with Vintr: for `interrupts` at the first instruction where
  /// can_take_interrupt(), for `nmi` as soon as the pending event has been delivered.
  virtual void request_windows(bool interrupts, bool nmi) = 0;
  /// IRET exits before it has done anything (APM volume 2, 15.9), until told otherwise.
  virtual void intercept_iret(bool wanted) = 0;

  // Memory.
  /// Walks the guest's tables as an access would, accessed and dirty bits included.
  [[nodiscard]] virtual Translation translate(std::uint64_t linear, Access access,
                                              Privilege privilege) = 0;
  /// The bytes at CS:RIP, up to 15: fewer where the next page cannot be fetched. Changes nothing.
  [[nodiscard]] virtual std::size_t fetch(std::span<std::uint8_t, 15> into) = 0;
  /// Executes the one instruction at RIP with these pages in place of those that are not there.
  /// For the forms of memory operands that no decoder lists.
  [[nodiscard]] virtual Completion complete_on(std::span<const ScratchPage> pages) = 0;
  /// Drops every cached translation. AddressSpace::generation() is watched without being asked.
  virtual void flush_tlb() = 0;

  // Inspection.
  /// Every register by its manual's name: general, segments, control, debug, MSRs, x87 and SSE.
  [[nodiscard]] virtual std::vector<NamedRegister> registers() const = 0;
  /// The same, with events that are pending and the interrupt shadow.
  virtual void digest(Digest& into) const = 0;
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
  /// `count` CPUs in power-on state on the nested page table of `memory`, which outlives them.
  /// InvalidInput for count 0 or above kMaxVcpus; Backend where the engine refuses.
  [[nodiscard]] virtual Result<std::unique_ptr<CpuSet>> create(unsigned count,
                                                               AddressSpace& memory) = 0;
};

}  // namespace retrap::x86_64
