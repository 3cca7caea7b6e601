// What an architecture gives the monitor for one VM.
#pragma once

#include <memory>

#include "vmm/address_space.h"
#include "vmm/arch_id.h"
#include "vmm/arch_vcpu.h"
#include "vmm/bus.h"
#include "vmm/config.h"
#include "vmm/console.h"
#include "vmm/dma.h"
#include "vmm/image.h"

namespace retrap {

/// The parts of a VM that a board is plugged into. All outlive the board.
struct VmParts {
  Clock& clock;
  AddressSpace& memory;
  Bus& mmio;
  Bus& ports;
  Bus& sysregs;
  ConsoleSink& console;
  Dma& dma;
  std::uint64_t seed = 1;  ///< of this VM
};

/// The line that a device is wired to: none where the VM has interrupt_mode no_irq. Timers of the
/// CPUs and messages between them are no devices.
[[nodiscard]] inline std::uint32_t device_line(const VmConfig& config, std::uint32_t line) {
  return config.interrupt_mode == InterruptMode::NoIrq ? Bus::kNoLine : line;
}

/// The machine around the vCPUs: interrupt controller, platform devices, firmware tables.
class Board {
 public:
  virtual ~Board() = default;

  [[nodiscard]] virtual ArchVcpu& vcpu(VcpuId id) = 0;
  [[nodiscard]] virtual InterruptController& interrupts() = 0;

  /// Lays the images out in guest memory, generates what the guest expects to find there (device
  /// tree or ACPI, boot parameters) and sets the entry state of the boot vCPU.
  [[nodiscard]] virtual Result<> load(const Images& images) = 0;

  /// A byte for the guest's console. False where its buffer is full.
  [[nodiscard]] virtual bool receive(char byte) = 0;

  virtual void reset() = 0;
  /// Interrupt controllers and whatever else is not on a bus.
  virtual void digest(Digest& into) const = 0;
};

/// One per architecture and HAL; knows how to build boards on the virtualization hardware below.
class Architecture {
 public:
  virtual ~Architecture() = default;
  [[nodiscard]] virtual ArchId id() const = 0;
  [[nodiscard]] virtual const PageTableFormat& page_table_format() const = 0;

  /// The configuration of a VM with `memory_bytes` of RAM and the standard board, no images.
  [[nodiscard]] virtual VmConfig default_config(std::uint64_t memory_bytes) const = 0;

  /// Adds what the architecture cannot do of `config` to `problems`, one clause each.
  virtual void check(const VmConfig& config, std::vector<std::string>& problems) const = 0;

  [[nodiscard]] virtual Result<std::unique_ptr<Board>> make_board(const VmConfig& config,
                                                                  VmParts parts) = 0;
};

}  // namespace retrap
