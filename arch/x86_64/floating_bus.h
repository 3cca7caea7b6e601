// What a CPU sees of guest-physical memory without the monitor's help: RAM, devices, and a bus that
// floats high where neither is.
#pragma once

#include <cstdint>

#include "vmm/address_space.h"
#include "vmm/arch_vcpu.h"
#include "vmm/bus.h"

namespace retrap::x86_64 {

/// Never refuses: reads of nothing give all ones, writes to nothing and to read-only memory vanish.
/// That is what the chipsets of PCs do, and what firmware and kernels probe for.
class FloatingBus final : public AccessPort {
 public:
  FloatingBus(AddressSpace& memory, Bus& mmio, VcpuId vcpu)
      : memory_(memory), mmio_(mmio), vcpu_(vcpu) {}

  [[nodiscard]] bool read(const exits::MmioRead& access, std::uint64_t& value) override;
  [[nodiscard]] bool write(const exits::MmioWrite& access) override;

 private:
  [[nodiscard]] bool has_memory(GuestPhys at, Width width, MappingFlags access);

  AddressSpace& memory_;
  Bus& mmio_;
  VcpuId vcpu_;
};

}  // namespace retrap::x86_64
