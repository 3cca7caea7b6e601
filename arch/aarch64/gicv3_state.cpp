// Prioritization, acknowledgement and completion of interrupts.
#include "arch/aarch64/gicv3_state.h"

#include <algorithm>
#include <bit>

#include "vmm/base/bits.h"

namespace retrap::aarch64 {
namespace {

constexpr std::uint32_t kIdle = 0xff;  // running priority when nothing is active

// Five priority bits: the active-priorities register has a bit for each level.
constexpr std::uint32_t kPriorityShift = 3;

// IHI 0069H, 4.8.2: bits that take part in preemption. ICC_BPR1_EL1 = n: [7:n].
std::uint32_t group_priority(const CpuInterface& cpu, std::uint32_t priority) {
  return priority & (0xffu << cpu.binary_point) & 0xff;
}

}  // namespace

void InterruptBank::set_level(std::uint32_t index, bool high) {
  const std::uint32_t mask = std::uint32_t{1} << index;
  if (high && (level & mask) == 0 && (edge & mask) != 0) latched |= mask;
  level = high ? level | mask : level & ~mask;
}

void InterruptBank::digest(Digest& into) const {
  for (const std::uint32_t word : {group1, enabled, latched, level, active, edge}) into.add(word);
  into.add(std::as_bytes(std::span(priority)));
}

GicState::GicState(std::vector<std::uint64_t> affinities)
    : affinity_(std::move(affinities)), private_(affinity_.size()), interfaces_(affinity_.size()) {}

void GicState::set_level(std::uint32_t cpu, std::uint32_t intid, bool high) {
  if (cpu < cpus() && intid < kInterrupts) bank(cpu, intid / 32).set_level(intid % 32, high);
}

void GicState::latch(std::uint32_t cpu, std::uint32_t intid) {
  if (cpu < cpus() && intid < kInterrupts) {
    bank(cpu, intid / 32).latched |= std::uint32_t{1} << intid % 32;
  }
}

// GICD_IROUTER: a named CPU, or any one (Interrupt_Routing_Mode): then the first.
bool GicState::goes_to(std::uint32_t intid, std::uint32_t cpu) const {
  if (intid < kPrivateInterrupts) return true;
  if (has_bit(route[intid], 31)) return cpu == 0;
  constexpr std::uint64_t kAffinity = 0xff'00ff'ffff;
  return (route[intid] & kAffinity) == affinity_[cpu];
}

GicState::Candidate GicState::best(std::uint32_t cpu) const {
  Candidate winner;
  if (!group1_enabled || !interfaces_[cpu].group1_enabled) return winner;
  winner.priority = interfaces_[cpu].priority_mask;
  for (std::uint32_t word = 0; word < shared_.size(); ++word) {
    const InterruptBank& bank = word == 0 ? private_[cpu] : shared_[word];
    std::uint32_t left = bank.pending() & bank.enabled & bank.group1 & ~bank.active;
    for (; left != 0; left &= left - 1) {
      const auto index = static_cast<std::uint32_t>(std::countr_zero(left));
      const std::uint32_t intid = word * 32 + index;
      // Of equal priorities the lowest INTID wins.
      if (bank.priority[index] < winner.priority && goes_to(intid, cpu)) {
        winner = {.intid = intid, .priority = bank.priority[index]};
      }
    }
  }
  return winner;
}

std::uint32_t GicState::running_priority(std::uint32_t cpu) const {
  const std::uint32_t active = interfaces_[cpu].active_priorities;
  if (active == 0) return kIdle;
  return static_cast<std::uint32_t>(std::countr_zero(active)) << kPriorityShift;
}

std::uint32_t GicState::highest_pending(std::uint32_t cpu) const {
  return best(cpu).intid;
}

std::uint32_t GicState::signal(std::uint32_t cpu) const {
  const Candidate candidate = best(cpu);
  if (candidate.intid == kSpurious) return kSpurious;
  const bool preempts =
      group_priority(interfaces_[cpu], candidate.priority) < running_priority(cpu);
  return preempts ? candidate.intid : kSpurious;
}

std::uint32_t GicState::acknowledge(std::uint32_t cpu) {
  const std::uint32_t intid = signal(cpu);
  if (intid == kSpurious) return intid;
  InterruptBank& bank = this->bank(cpu, intid / 32);
  const std::uint32_t mask = std::uint32_t{1} << intid % 32;
  bank.active |= mask;
  bank.latched &= ~mask;
  const std::uint32_t priority = group_priority(interfaces_[cpu], bank.priority[intid % 32]);
  interfaces_[cpu].active_priorities |= std::uint32_t{1} << (priority >> kPriorityShift);
  return intid;
}

void GicState::end(std::uint32_t cpu, std::uint32_t intid) {
  if (intid >= kInterrupts) return;  // special INTIDs are ignored
  CpuInterface& interface = interfaces_[cpu];
  interface.active_priorities &= interface.active_priorities - 1;
  if (!interface.end_of_interrupt_mode) deactivate(cpu, intid);
}

void GicState::deactivate(std::uint32_t cpu, std::uint32_t intid) {
  if (intid < kInterrupts) bank(cpu, intid / 32).active &= ~(std::uint32_t{1} << intid % 32);
}

void GicState::reset() {
  // The lines are the devices' and stay as they are.
  const auto clear = [](InterruptBank& bank) {
    const std::uint32_t level = bank.level;
    bank = {};
    bank.level = level;
  };
  std::ranges::for_each(private_, clear);
  std::ranges::for_each(shared_, clear);
  // SGIs are always edge-triggered.
  for (InterruptBank& bank : private_) bank.edge = low_bits(kSgis) & 0xffff'ffff;
  std::ranges::fill(interfaces_, CpuInterface{});
  group0_enabled = group1_enabled = false;
  route = {};
}

void GicState::digest(Digest& into) const {
  into.add(std::uint64_t{group1_enabled} | std::uint64_t{group0_enabled} << 1);
  for (const InterruptBank& bank : private_) bank.digest(into);
  for (const InterruptBank& bank : shared_) bank.digest(into);
  into.add(std::as_bytes(std::span(route)));
  for (const CpuInterface& cpu : interfaces_) {
    into.add(std::uint64_t{cpu.priority_mask} | std::uint64_t{cpu.binary_point} << 8 |
             std::uint64_t{cpu.group1_enabled} << 16 |
             std::uint64_t{cpu.end_of_interrupt_mode} << 17 |
             std::uint64_t{cpu.common_binary_point} << 18 | std::uint64_t{cpu.sleeping} << 19);
    into.add(cpu.active_priorities);
  }
}

}  // namespace retrap::aarch64
