// The aarch64 board: GICv3, generic timers, PL011, PL031, PSCI, and the boot protocol.
#pragma once

#include <memory>
#include <vector>

#include "arch/aarch64/sysregs.h"
#include "arch/aarch64/vcpu.h"
#include "vmm/architecture.h"
#include "vmm/devices/pl011.h"
#include "vmm/devices/test_finisher.h"

namespace retrap::aarch64 {

/// What a guest can see of the board and its CPUs, as a number: one more with every change after
/// which a recorded run replays as another one. Traces have it.
inline constexpr std::uint64_t kBoardRevision = 1;

/// Where things are. The addresses are those of QEMU's virt machine.
struct MemoryMap {
  std::uint64_t ram = 0x4000'0000;
  std::uint64_t distributor = 0x0800'0000;
  std::uint64_t redistributors = 0x080a'0000;
  std::uint64_t uart = 0x0900'0000;
  std::uint32_t uart_intid = 33;  ///< SPI 1
  std::uint64_t rtc = 0x0901'0000;
  std::uint32_t rtc_intid = 34;  ///< SPI 2
  /// Not where QEMU has virtio devices: a host's are passed through to there.
  std::uint64_t entropy = 0x0b00'0000;
  std::uint32_t entropy_intid = 44;  ///< SPI 12
  /// QEMU's virt machine has none.
  std::uint64_t finisher = 0x0b01'0000;
};

/// The standard map, with what `config` says of devices put in: a Console, GpptDistributor or
/// GpptRedistributor entry moves ours.
[[nodiscard]] MemoryMap memory_map_of(const VmConfig& config);

class Aarch64Board final : public Board {
 public:
  /// The parts outlive the board. Errors are those of the hardware and of the buses.
  [[nodiscard]] static Result<std::unique_ptr<Aarch64Board>> make(const VmConfig& config,
                                                                  VmParts parts,
                                                                  Hardware& hardware);

  [[nodiscard]] ArchVcpu& vcpu(VcpuId id) override { return *vcpus_[index(id)]; }
  [[nodiscard]] InterruptController& interrupts() override { return gic_; }
  [[nodiscard]] Result<> load(const Images& images) override;
  [[nodiscard]] bool receive(char byte) override;
  void reset() override;
  void digest(Digest& into) const override;

 private:
  Aarch64Board(const VmConfig& config, VmParts parts);
  [[nodiscard]] Result<> build(Hardware& hardware);

  const VmConfig& config_;
  VmParts parts_;
  MemoryMap map_;
  Gicv3 gic_;
  PowerStates power_;
  std::vector<std::unique_ptr<GenericTimer>> timers_;
  SystemRegisters sysregs_;
  Pl011 uart_;
  TestFinisher finisher_;
  std::unique_ptr<CpuSet> cpus_;
  std::vector<std::unique_ptr<Aarch64Vcpu>> vcpus_;
};

}  // namespace retrap::aarch64
