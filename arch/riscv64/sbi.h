// The Supervisor Binary Interface: the firmware that a guest calls by ecall.
//
// RISC-V Supervisor Binary Interface Specification, version 2.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>

#include "vmm/address_space.h"
#include "vmm/console.h"
#include "vmm/exit.h"

namespace retrap::riscv64 {

/// Extension IDs (a7).
namespace eid {
inline constexpr std::uint64_t kLegacySetTimer = 0;
inline constexpr std::uint64_t kLegacyPutchar = 1;
inline constexpr std::uint64_t kLegacyGetchar = 2;
inline constexpr std::uint64_t kLegacyClearIpi = 3;
inline constexpr std::uint64_t kLegacySendIpi = 4;
inline constexpr std::uint64_t kLegacyFenceI = 5;
inline constexpr std::uint64_t kLegacySfence = 6;
inline constexpr std::uint64_t kLegacySfenceAsid = 7;
inline constexpr std::uint64_t kLegacyShutdown = 8;
inline constexpr std::uint64_t kBase = 0x10;
inline constexpr std::uint64_t kTime = 0x5449'4d45;
inline constexpr std::uint64_t kIpi = 0x0073'5049;
inline constexpr std::uint64_t kRfence = 0x5246'4e43;
inline constexpr std::uint64_t kHsm = 0x0048'534d;
inline constexpr std::uint64_t kSrst = 0x5352'5354;
inline constexpr std::uint64_t kDbcn = 0x4442'434e;
inline constexpr std::uint64_t kHypercall = 0x0048'5643;  ///< "HVC", axvm's: a6 is the number
}  // namespace eid

/// Error codes (a0).
enum class SbiError : std::int64_t {
  Success = 0,
  Failed = -1,
  NotSupported = -2,
  InvalidParam = -3,
  Denied = -4,
  InvalidAddress = -5,
  AlreadyAvailable = -6,
  AlreadyStarted = -7,
  AlreadyStopped = -8,
};

/// States of a hart ("Hart State Management Extension").
enum class HartState : std::uint8_t {
  Started = 0,
  Stopped = 1,
  StartPending = 2,
  StopPending = 3,
  Suspended = 4,
  SuspendPending = 5,
  ResumePending = 6,
};

/// What the firmware needs from the harts of its VM. `hart` is a vCPU number, below count(); the
/// guest knows the hart by its id.
class SbiHarts {
 public:
  virtual ~SbiHarts() = default;
  /// At most 64.
  [[nodiscard]] virtual unsigned count() const = 0;
  /// At most Sbi::kHighestHartId, and another for every hart.
  [[nodiscard]] virtual std::uint64_t id(unsigned hart) const = 0;
  [[nodiscard]] virtual HartState state(unsigned hart) const = 0;
  virtual void set_state(unsigned hart, HartState state) = 0;
  /// Arms the timer at `ticks` of the time CSR; the timer interrupt goes away until then.
  virtual void set_timer(unsigned hart, std::uint64_t ticks) = 0;
  virtual void set_software_interrupt(unsigned hart, bool pending) = 0;
  /// Drops cached translations.
  virtual void fence(unsigned hart) = 0;
  /// The doubleword at a virtual address of `hart`, as a load in its S-mode would read it.
  [[nodiscard]] virtual std::optional<std::uint64_t> load(unsigned hart, std::uint64_t va) = 0;
};

struct SbiCall {
  std::uint64_t extension;
  std::uint64_t function;
  std::array<std::uint64_t, 6> args;
};

/// What goes back into a0 and a1. The legacy calls have no a1.
struct SbiAnswer {
  std::uint64_t error;
  std::optional<std::uint64_t> value;
  friend bool operator==(const SbiAnswer&, const SbiAnswer&) = default;
};

/// HART_SUSPEND: wait for an interrupt, then return or, where there is one, enter at `resume`.
struct SbiSuspend {
  struct Resume {
    std::uint64_t address;
    std::uint64_t opaque;
    friend bool operator==(const Resume&, const Resume&) = default;
  };
  std::optional<Resume> resume;
  friend bool operator==(const SbiSuspend&, const SbiSuspend&) = default;
};

/// An answer, or what the monitor above must do. CpuUp has been accepted: the answer is success.
using SbiOutcome = std::variant<SbiAnswer, SbiSuspend, exits::Hypercall, exits::CpuUp,
                                exits::CpuDown, exits::SystemDown, exits::SystemReset>;

/// The firmware of one VM. It has no state of its own.
class Sbi {
 public:
  static constexpr std::uint64_t kVersion = 2u << 24;  ///< 2.0
  static constexpr std::uint64_t kImplementationId = 0x5254'5250;
  static constexpr std::uint64_t kImplementationVersion = 1;
  /// Bytes that one DBCN write prints at most: the call may be short, the guest goes on from there.
  static constexpr std::uint64_t kConsoleLimit = 4096;
  /// The legacy calls take a mask of all hart ids, in memory: this is 512 bytes of it.
  static constexpr std::uint64_t kHighestHartId = 4095;

  /// All outlive this.
  Sbi(SbiHarts& harts, AddressSpace& memory, ConsoleSink& console)
      : harts_(harts), memory_(memory), console_(console) {}

  [[nodiscard]] SbiOutcome call(unsigned hart, const SbiCall& call);

 private:
  struct Extension;
  static const Extension* find(std::uint64_t id);

  SbiOutcome legacy(unsigned hart, const SbiCall& call);
  SbiOutcome base(unsigned hart, const SbiCall& call);
  SbiOutcome time(unsigned hart, const SbiCall& call);
  SbiOutcome ipi(unsigned hart, const SbiCall& call);
  SbiOutcome rfence(unsigned hart, const SbiCall& call);
  SbiOutcome hsm(unsigned hart, const SbiCall& call);
  SbiOutcome srst(unsigned hart, const SbiCall& call);
  SbiOutcome dbcn(unsigned hart, const SbiCall& call);
  SbiOutcome hypercall(unsigned hart, const SbiCall& call);

  SbiOutcome hart_start(const SbiCall& call);
  SbiOutcome hart_suspend(const SbiCall& call);
  SbiOutcome console_write(const SbiCall& call);
  [[nodiscard]] bool is_ram(std::uint64_t address, std::uint64_t bytes) const;
  /// Vcpu numbers, a bit each.
  using HartSet = std::uint64_t;
  [[nodiscard]] HartSet all_harts() const;
  [[nodiscard]] std::optional<unsigned> hart_with(std::uint64_t id) const;
  /// The harts of a mask whose bit 0 is the hart with id `base`; nothing where a bit is no hart's.
  [[nodiscard]] std::optional<HartSet> harts_of(std::uint64_t mask, std::uint64_t base) const;
  /// Those of the mask that a legacy call has at virtual address `at` of `hart`.
  [[nodiscard]] tl::expected<HartSet, SbiError> legacy_harts(unsigned hart, std::uint64_t at) const;
  template <class Action>
  bool for_each_hart(std::uint64_t mask, std::uint64_t base, Action action);

  SbiHarts& harts_;
  AddressSpace& memory_;
  ConsoleSink& console_;
};

}  // namespace retrap::riscv64
