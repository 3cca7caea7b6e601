// The physical CPUs of the simulated host, and which vCPUs each of them may run.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/hypervisor.h"

namespace retrap {

/// Hands the turns out where a VM has `phys_cpu_sets`: every physical CPU has a turn in each round,
/// and gives it to the next Runnable vCPU, in the order of VMs and vCPUs, whose mask has it and
/// that has had none in this round. A vCPU without a mask may run anywhere.
///
/// So vCPUs that are pinned to one CPU share its turns, and what is pinned elsewhere gets none of
/// them. One thread runs them all: virtual time is the time of all CPUs together.
class PhysCpus {
 public:
  using Place = Hypervisor::Place;

  /// 1 to 64 CPUs. The hypervisor outlives this.
  PhysCpus(const Hypervisor& hypervisor, std::uint32_t count)
      : hypervisor_(hypervisor), latest_(count) {}

  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(latest_.size()); }
  /// Whether any VM that is there has masks.
  [[nodiscard]] bool are_asked_for() const;
  /// InvalidInput, naming the mask, where no CPU of the machine is in it.
  [[nodiscard]] Result<> check(const VmConfig& config) const;

  /// Who has the next turn; nothing where nobody is Runnable.
  [[nodiscard]] std::optional<Place> take_turn();
  /// The CPU that had the latest turn of `place`; nothing before the first.
  [[nodiscard]] std::optional<std::uint32_t> cpu_of(Place place) const;

 private:
  struct Turn {
    Place place;
    std::uint64_t round;
    std::uint32_t cpu;
  };
  [[nodiscard]] bool may_run(Place place, std::uint32_t cpu) const;
  [[nodiscard]] std::optional<Place> next_on(std::uint32_t cpu) const;
  [[nodiscard]] const Turn* turn_of(Place place) const;
  void note(Place place, std::uint32_t cpu);

  const Hypervisor& hypervisor_;
  std::vector<std::optional<Place>> latest_;  ///< by CPU
  std::vector<Turn> turns_;                   ///< the latest of each vCPU
  std::uint64_t round_ = 1;
  std::uint32_t next_ = 0;  ///< the CPU whose turn it is
};

}  // namespace retrap
