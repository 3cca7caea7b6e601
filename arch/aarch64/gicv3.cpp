// Inputs, outputs and the CPU interface of the GICv3.
#include "arch/aarch64/gicv3.h"

#include <algorithm>

#include "vmm/base/bits.h"

namespace retrap::aarch64 {
namespace {

// ICC_CTLR_EL1: RSS (range selector), A3V, 16 bits of INTID, five priority bits.
constexpr std::uint64_t kInterfaceFeatures = bit(18) | bit(15) | 4u << 8;
constexpr std::uint8_t kMinBinaryPoint = 3;  // five priority bits: [7:3]

}  // namespace

Gicv3::Gicv3(std::vector<std::uint64_t> affinities)
    : state_(std::move(affinities)), inputs_(state_.cpus(), nullptr) {
  reset();
}

void Gicv3::update() {
  for (std::uint32_t cpu = 0; cpu < state_.cpus(); ++cpu) {
    if (inputs_[cpu] != nullptr) inputs_[cpu]->set_virtual_irq(signals(cpu));
  }
}

void Gicv3::set_line(std::uint32_t line, bool level) {
  if (!has_line(line)) return;
  state_.set_level(0, line, level);
  update();
}

// As a write to GICD_ISPENDR has it: a level-sensitive SPI stays pending until it is taken.
void Gicv3::pulse(std::uint32_t line) {
  if (!has_line(line)) return;
  state_.latch(0, line);
  update();
}

void Gicv3::set_cpu_line(VcpuId vcpu, std::uint32_t intid, bool level) {
  if (index(vcpu) >= state_.cpus() || intid >= kPrivateInterrupts) return;
  const bool was = has_bit(state_.bank(index(vcpu), 0).level, intid);
  if (was != level) tell_cpu_line(vcpu, intid, level);
  state_.set_level(index(vcpu), intid, level);
  update();
}

Result<> Gicv3::inject(VcpuId vcpu, std::uint64_t vector) {
  if (index(vcpu) >= state_.cpus() || vector >= kInterrupts) {
    return fail(ErrorCode::InvalidInput, "vcpu {} of {} has no interrupt {}", index(vcpu),
                state_.cpus(), vector);
  }
  state_.latch(index(vcpu), static_cast<std::uint32_t>(vector));
  update();
  return {};
}

void Gicv3::reset() {
  state_.reset();
  update();
}

std::uint64_t Gicv3::read_interface(std::uint32_t cpu, SysReg reg) {
  const CpuInterface& interface = state_.cpu_interface(cpu);
  switch (reg) {
    case SysReg::ICC_PMR_EL1:     return interface.priority_mask;
    case SysReg::ICC_BPR1_EL1:    return interface.binary_point;
    case SysReg::ICC_IGRPEN1_EL1: return interface.group1_enabled ? 1 : 0;
    case SysReg::ICC_SRE_EL1:     return 7;  // SRE, DFB, DIB: fixed
    case SysReg::ICC_RPR_EL1:     return state_.running_priority(cpu);
    case SysReg::ICC_HPPIR1_EL1:  return state_.highest_pending(cpu);
    case SysReg::ICC_AP1R0_EL1:   return interface.active_priorities;
    case SysReg::ICC_CTLR_EL1:
      return kInterfaceFeatures | (interface.end_of_interrupt_mode ? 2u : 0u) |
             (interface.common_binary_point ? 1u : 0u);
    case SysReg::ICC_IAR1_EL1: {
      const std::uint32_t intid = state_.acknowledge(cpu);
      if (intid != kSpurious) tell_delivery(VcpuId{cpu}, intid);
      update();
      return intid;
    }
    case SysReg::ICC_IAR0_EL1:
    case SysReg::ICC_HPPIR0_EL1: return kSpurious;
    case SysReg::ICC_BPR0_EL1:   return kMinBinaryPoint - 1u;
    default:                     return 0;  // group 0 and AP1R1-3: nothing there
  }
}

void Gicv3::write_interface(std::uint32_t cpu, SysReg reg, std::uint64_t value) {
  CpuInterface& interface = state_.cpu_interface(cpu);
  const auto intid = static_cast<std::uint32_t>(value & 0xff'ffff);
  switch (reg) {
    case SysReg::ICC_PMR_EL1:     interface.priority_mask = value & 0xf8; break;
    case SysReg::ICC_IGRPEN1_EL1: interface.group1_enabled = (value & 1) != 0; break;
    case SysReg::ICC_BPR1_EL1:
      interface.binary_point = std::max<std::uint8_t>(value & 7, kMinBinaryPoint);
      break;
    case SysReg::ICC_CTLR_EL1:
      interface.end_of_interrupt_mode = (value & 2) != 0;
      interface.common_binary_point = (value & 1) != 0;
      break;
    case SysReg::ICC_AP1R0_EL1:
      interface.active_priorities = static_cast<std::uint32_t>(value);
      break;
    case SysReg::ICC_EOIR1_EL1: state_.end(cpu, intid); break;
    case SysReg::ICC_DIR_EL1:   state_.deactivate(cpu, intid); break;
    default:                    return;  // group 0, ICC_SRE_EL1: writes are ignored
  }
  update();
}

}  // namespace retrap::aarch64
