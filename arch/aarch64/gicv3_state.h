// The state of a GICv3 with one security state, and the rules by which interrupts become signals.
//
// Arm IHI 0069H: chapter 4 "Physical Interrupt Handling and Prioritization".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/base/digest.h"
#include "vmm/ids.h"

namespace retrap::aarch64 {

inline constexpr std::uint32_t kSgis = 16;
inline constexpr std::uint32_t kPrivateInterrupts = 32;  ///< SGIs and PPIs: INTIDs 0-31
inline constexpr std::uint32_t kInterrupts = 256;        ///< INTIDs; SPIs are 32-255
inline constexpr std::uint32_t kSpurious = 1023;         ///< INTID: no pending interrupt

/// 32 interrupts: one register of each kind in the distributor or a redistributor.
struct InterruptBank {
  std::uint32_t group1 = 0;
  std::uint32_t enabled = 0;
  std::uint32_t latched = 0;  ///< edges, and writes to ISPENDR
  std::uint32_t level = 0;    ///< input lines as they are now
  std::uint32_t active = 0;
  std::uint32_t edge = 0;  ///< configuration: edge-triggered
  std::array<std::uint8_t, 32> priority{};

  /// A level counts only for level-sensitive interrupts.
  [[nodiscard]] std::uint32_t pending() const { return latched | (level & ~edge); }
  void set_level(std::uint32_t index, bool high);
  void digest(Digest& into) const;
};

/// The CPU interface of one vCPU: ICC_*_EL1.
struct CpuInterface {
  std::uint8_t priority_mask = 0;
  std::uint8_t binary_point = 3;
  bool group1_enabled = false;
  bool end_of_interrupt_mode = false;  ///< EOImode: EOIR drops priority only
  bool common_binary_point = false;
  std::uint32_t active_priorities = 0;  ///< AP1R0: one bit for each of the 32 levels
  bool sleeping = true;                 ///< GICR_WAKER.ProcessorSleep
};

/// Interrupts, their routing and their signals.
///
/// Only group 1 is signalled: group 0 would be FIQ, which nobody here takes.
class GicState {
 public:
  explicit GicState(std::vector<std::uint64_t> affinities);

  // The distributor.
  bool group1_enabled = false;
  bool group0_enabled = false;
  std::array<std::uint64_t, kInterrupts> route{};  ///< GICD_IROUTER, from INTID 32 on

  [[nodiscard]] std::uint32_t cpus() const { return static_cast<std::uint32_t>(affinity_.size()); }
  [[nodiscard]] std::uint64_t affinity(std::uint32_t cpu) const { return affinity_[cpu]; }
  [[nodiscard]] CpuInterface& cpu_interface(std::uint32_t cpu) { return interfaces_[cpu]; }
  /// The bank of INTIDs 32 * word ...; word 0 is the private one of `cpu`.
  [[nodiscard]] InterruptBank& bank(std::uint32_t cpu, std::uint32_t word) {
    return word == 0 ? private_[cpu] : shared_[word];
  }

  void set_level(std::uint32_t cpu, std::uint32_t intid, bool high);
  void latch(std::uint32_t cpu, std::uint32_t intid);

  /// The highest-priority pending interrupt that `cpu` would take, preemption included; kSpurious
  /// for none (4.8).
  [[nodiscard]] std::uint32_t signal(std::uint32_t cpu) const;
  /// The same whatever is being handled: ICC_HPPIR1_EL1.
  [[nodiscard]] std::uint32_t highest_pending(std::uint32_t cpu) const;
  /// ICC_IAR1_EL1.
  [[nodiscard]] std::uint32_t acknowledge(std::uint32_t cpu);
  /// ICC_EOIR1_EL1: drops the running priority, and deactivates unless EOImode is set.
  void end(std::uint32_t cpu, std::uint32_t intid);
  void deactivate(std::uint32_t cpu, std::uint32_t intid);
  [[nodiscard]] std::uint32_t running_priority(std::uint32_t cpu) const;

  void reset();
  void digest(Digest& into) const;

 private:
  struct Candidate {
    std::uint32_t intid = kSpurious;
    std::uint32_t priority = 0xff;
  };
  [[nodiscard]] Candidate best(std::uint32_t cpu) const;
  [[nodiscard]] bool goes_to(std::uint32_t intid, std::uint32_t cpu) const;

  std::vector<std::uint64_t> affinity_;
  std::vector<InterruptBank> private_;
  std::array<InterruptBank, kInterrupts / 32> shared_{};  ///< [0] is not used
  std::vector<CpuInterface> interfaces_;
};

}  // namespace retrap::aarch64
