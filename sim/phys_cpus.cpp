// Rounds of turns over the physical CPUs.
#include "sim/phys_cpus.h"

#include <algorithm>

#include "vmm/base/bits.h"

namespace retrap {

bool PhysCpus::are_asked_for() const {
  for (std::size_t vm = 0; vm < hypervisor_.vm_num(); ++vm) {
    if (!hypervisor_.vm(vm).config().phys_cpu_sets.empty()) return true;
  }
  return false;
}

Result<> PhysCpus::check(const VmConfig& config) const {
  const std::uint64_t all = low_bits(count());
  for (std::size_t vcpu = 0; vcpu < config.phys_cpu_sets.size(); ++vcpu) {
    if ((config.phys_cpu_sets[vcpu] & all) != 0) continue;
    return fail(
        ErrorCode::InvalidInput,
        "base.phys_cpu_sets[{}] is {:#x}, and the machine has {} physical CPUs: none of them "
        "is in it",
        vcpu, config.phys_cpu_sets[vcpu], count());
  }
  return {};
}

bool PhysCpus::may_run(Place place, std::uint32_t cpu) const {
  if (hypervisor_.activity(place) != VcpuActivity::Runnable) return false;
  const auto& sets = hypervisor_.vm(place.vm).config().phys_cpu_sets;
  const std::size_t vcpu = index(place.vcpu);
  return vcpu >= sets.size() || has_bit(sets[vcpu], cpu);
}

std::optional<Hypervisor::Place> PhysCpus::next_on(std::uint32_t cpu) const {
  std::optional<Place> first;
  bool passed = !latest_[cpu].has_value();
  for (std::size_t vm = 0; vm < hypervisor_.vm_num(); ++vm) {
    const auto count = static_cast<std::uint32_t>(hypervisor_.vm(vm).vcpu_num());
    for (std::uint32_t vcpu = 0; vcpu < count; ++vcpu) {
      const Place place{.vm = vm, .vcpu = VcpuId{vcpu}};
      const Turn* const turn = turn_of(place);
      if ((turn == nullptr || turn->round != round_) && may_run(place, cpu)) {
        if (passed) return place;
        if (!first) first = place;
      }
      passed = passed || place == latest_[cpu];
    }
  }
  return first;
}

std::optional<Hypervisor::Place> PhysCpus::take_turn() {
  for (int rounds = 0; rounds < 2; ++rounds) {
    for (; next_ < count(); ++next_) {
      const auto place = next_on(next_);
      if (!place) continue;
      note(*place, next_++);
      return place;
    }
    next_ = 0;
    ++round_;
  }
  return std::nullopt;
}

const PhysCpus::Turn* PhysCpus::turn_of(Place place) const {
  const auto turn = std::ranges::find(turns_, place, &Turn::place);
  return turn == turns_.end() ? nullptr : &*turn;
}

std::optional<std::uint32_t> PhysCpus::cpu_of(Place place) const {
  const Turn* const turn = turn_of(place);
  if (turn == nullptr) return std::nullopt;
  return turn->cpu;
}

void PhysCpus::note(Place place, std::uint32_t cpu) {
  latest_[cpu] = place;
  const auto turn = std::ranges::find(turns_, place, &Turn::place);
  if (turn == turns_.end()) {
    turns_.push_back({.place = place, .round = round_, .cpu = cpu});
  } else {
    *turn = {.place = place, .round = round_, .cpu = cpu};
  }
}

}  // namespace retrap
