// One local APIC: its registers, its priorities, its timer.
//
// Intel SDM volume 3, chapter 11 "Advanced Programmable Interrupt Controller".
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "vmm/device.h"

namespace retrap::x86_64 {

/// Register offsets in the xAPIC page; the x2APIC MSR is 0x800 + offset / 16 (table 11-6).
namespace apic {
inline constexpr std::uint32_t kId = 0x020;
inline constexpr std::uint32_t kVersion = 0x030;
inline constexpr std::uint32_t kTaskPriority = 0x080;
inline constexpr std::uint32_t kArbitrationPriority = 0x090;
inline constexpr std::uint32_t kProcessorPriority = 0x0a0;
inline constexpr std::uint32_t kEoi = 0x0b0;
inline constexpr std::uint32_t kLogicalDestination = 0x0d0;
inline constexpr std::uint32_t kDestinationFormat = 0x0e0;
inline constexpr std::uint32_t kSpurious = 0x0f0;
inline constexpr std::uint32_t kInService = 0x100;    ///< eight registers
inline constexpr std::uint32_t kTriggerMode = 0x180;  ///< eight registers
inline constexpr std::uint32_t kRequest = 0x200;      ///< eight registers
inline constexpr std::uint32_t kErrorStatus = 0x280;
inline constexpr std::uint32_t kCommandLow = 0x300;
inline constexpr std::uint32_t kCommandHigh = 0x310;
inline constexpr std::uint32_t kLvtTimer =
    0x320;  ///< then thermal, performance, LINT0, LINT1, error
inline constexpr std::uint32_t kLvtLint0 = 0x350;
inline constexpr std::uint32_t kLvtLint1 = 0x360;
inline constexpr std::uint32_t kLvtError = 0x370;
inline constexpr std::uint32_t kInitialCount = 0x380;
inline constexpr std::uint32_t kCurrentCount = 0x390;
inline constexpr std::uint32_t kDivide = 0x3e0;
inline constexpr std::uint32_t kSelfIpi = 0x3f0;  ///< x2APIC only

inline constexpr std::uint64_t kBaseAddress = 0xfee0'0000;
inline constexpr std::uint64_t kBaseBsp = 1U << 8;
inline constexpr std::uint64_t kBaseX2 = 1U << 10;
inline constexpr std::uint64_t kBaseEnable = 1U << 11;

// Error status register, figure 11-9.
inline constexpr std::uint32_t kSendIllegalVector = 1U << 5;
inline constexpr std::uint32_t kReceiveIllegalVector = 1U << 6;
inline constexpr std::uint32_t kIllegalRegister = 1U << 7;
}  // namespace apic

/// 256 bits, a vector each: IRR, ISR, TMR.
class VectorSet {
 public:
  void set(std::uint8_t vector) {
    words_[vector / 32] |= 1U << (vector % 32);
    used_ |= 1U << (vector / 32);
  }
  void clear(std::uint8_t vector) {
    words_[vector / 32] &= ~(1U << (vector % 32));
    if (words_[vector / 32] == 0) used_ &= ~(1U << (vector / 32));
  }
  [[nodiscard]] bool has(std::uint8_t vector) const {
    return (words_[vector / 32] >> (vector % 32) & 1) != 0;
  }
  /// The highest vector, or nothing.
  [[nodiscard]] std::optional<std::uint8_t> highest() const {
    if (used_ == 0) return std::nullopt;
    const auto word = static_cast<unsigned>(std::bit_width(used_)) - 1;
    const auto bit = static_cast<unsigned>(std::bit_width(words_[word])) - 1;
    return static_cast<std::uint8_t>(word * 32 + bit);
  }
  [[nodiscard]] std::uint32_t word(std::size_t index) const { return words_[index]; }
  void digest(Digest& into) const;

 private:
  std::array<std::uint32_t, 8> words_{};
  std::uint32_t used_ = 0;  ///< a bit for each word that is not zero
};

/// A local APIC with six LVT entries. What goes to other APICs (ICR, EOI broadcast) is done by
/// LocalApics, which owns them all.
class Lapic {
 public:
  /// The crystal that the timer counts: 25 MHz (CPUID leaf 0x15).
  static constexpr std::uint64_t kTickNs = 40;

  /// An APIC id of 0xff is everybody's (11.6.2.1), and no CPU's.
  static constexpr std::uint32_t kHighestId = 0xfe;

  /// Requires id <= kHighestId. `boots`: IA32_APIC_BASE says that the CPU is the one that boots.
  Lapic(std::uint32_t id, bool boots);

  /// INIT: everything but the id and IA32_APIC_BASE is as after power-on (11.4.7.3).
  void init();

  /// The register at `offset` of the page. IoError for what is not a register here.
  [[nodiscard]] IoResult<std::uint64_t> read(std::uint32_t offset, std::uint64_t now_ns) const;
  /// Everything but EOI, ICR and self IPI, which LocalApics carries out.
  [[nodiscard]] IoResult<> write(std::uint32_t offset, std::uint32_t value, std::uint64_t now_ns);

  [[nodiscard]] std::uint32_t id() const { return id_; }
  [[nodiscard]] std::uint64_t base() const { return base_; }
  /// IA32_APIC_BASE as is; the caller has checked it.
  void set_base(std::uint64_t value);
  [[nodiscard]] bool is_enabled() const { return (base_ & apic::kBaseEnable) != 0; }
  [[nodiscard]] bool is_x2() const { return (base_ & apic::kBaseX2) != 0; }
  /// SVR bit 8.
  [[nodiscard]] bool is_software_enabled() const { return (spurious_ & 0x100) != 0; }

  [[nodiscard]] std::uint64_t icr() const { return icr_; }
  void set_icr(std::uint64_t value) { icr_ = value; }

  /// A fixed interrupt arrives. False where the APIC does not take it.
  bool accept(std::uint8_t vector, bool level_triggered);
  /// The highest request above the processor priority.
  [[nodiscard]] std::optional<std::uint8_t> pending() const;
  void acknowledge(std::uint8_t vector);
  /// The vector that ended, where it was level triggered: the IO-APIC wants to know.
  [[nodiscard]] std::optional<std::uint8_t> end_of_interrupt();
  void report_error(std::uint32_t bits);

  [[nodiscard]] bool matches(std::uint32_t destination, bool logical) const;
  [[nodiscard]] std::uint8_t processor_priority() const;
  /// CR8 is bits [7:4] of the TPR.
  [[nodiscard]] std::uint8_t task_priority() const { return tpr_; }
  void set_task_priority(std::uint8_t value) { tpr_ = value; }

  /// LINT0 lets the 8259A through to the CPU.
  [[nodiscard]] bool passes_ext_int() const;
  /// As firmware leaves it: virtual-wire mode, LINT0 ExtINT and LINT1 NMI.
  void set_virtual_wire();

  [[nodiscard]] std::uint64_t deadline_ns() const { return timer_deadline_ns_; }
  void advance(std::uint64_t now_ns);

  /// IA32_TSC_DEADLINE. `offset` is TSC - virtual nanoseconds.
  [[nodiscard]] std::uint64_t tsc_deadline() const;
  void set_tsc_deadline(std::uint64_t value, std::uint64_t offset, std::uint64_t now_ns);
  /// The TSC was moved: the deadline moves with it.
  void set_tsc_offset(std::uint64_t offset, std::uint64_t now_ns);

  void digest(Digest& into) const;

 private:
  enum class TimerMode : std::uint8_t { OneShot = 0, Periodic = 1, TscDeadline = 2, Reserved = 3 };

  [[nodiscard]] TimerMode timer_mode() const;
  [[nodiscard]] std::uint64_t tick_ns() const;
  [[nodiscard]] std::uint32_t current_count(std::uint64_t now_ns) const;
  void write_lvt(std::size_t index, std::uint32_t value);
  void write_initial_count(std::uint32_t value, std::uint64_t now_ns);
  void write_divide(std::uint32_t value, std::uint64_t now_ns);
  void write_spurious(std::uint32_t value);

  std::uint32_t id_;
  std::uint64_t base_;
  std::uint8_t tpr_ = 0;
  std::uint32_t ldr_ = 0;
  std::uint32_t dfr_ = ~std::uint32_t{0};
  std::uint32_t spurious_ = 0xff;
  std::uint32_t error_status_ = 0;
  std::uint32_t errors_ = 0;  ///< since the last write to the error status register
  std::uint64_t icr_ = 0;
  std::array<std::uint32_t, 6> lvt_;
  std::uint32_t initial_count_ = 0;
  std::uint32_t divide_ = 0;
  std::uint64_t timer_start_ns_ = 0;
  std::uint64_t timer_deadline_ns_ = kNever;
  std::uint64_t tsc_deadline_ = 0;
  std::uint64_t tsc_offset_ = 0;
  VectorSet request_;
  VectorSet in_service_;
  VectorSet trigger_mode_;
};

}  // namespace retrap::x86_64
