// Default configuration, and what of a configuration this architecture cannot do.
#include "arch/riscv64/architecture.h"

#include <utility>

#include "arch/riscv64/board.h"
#include "arch/riscv64/stage2.h"
#include "vmm/base/check.h"
#include "vmm/config_check.h"

namespace retrap::riscv64 {
namespace {

class RiscvArchitecture final : public Architecture {
 public:
  explicit RiscvArchitecture(std::unique_ptr<Hardware> hardware) : hardware_(std::move(hardware)) {
    RETRAP_CHECK(hardware_ != nullptr, "an architecture needs its hardware");
  }

  [[nodiscard]] ArchId id() const override { return ArchId::Riscv64; }
  [[nodiscard]] const PageTableFormat& page_table_format() const override { return sv39x4(); }

  [[nodiscard]] VmConfig default_config(std::uint64_t memory_bytes) const override {
    VmConfig config;
    config.name = "riscv64";
    config.arch = ArchId::Riscv64;
    config.memory_regions = {{.gpa = memory_map::kRam, .size = memory_bytes}};
    return config;
  }

  void check(const VmConfig& config, std::vector<std::string>& problems) const override;

  [[nodiscard]] Result<std::unique_ptr<Board>> make_board(const VmConfig& config,
                                                          VmParts parts) override {
    return RiscvBoard::make(config, parts, *hardware_);
  }

 private:
  std::unique_ptr<Hardware> hardware_;  ///< never null
};

// D4: what a configuration says is done or refused.
void check_device(const EmuDeviceConfig& device, std::size_t number,
                  std::vector<std::string>& problems) {
  const auto must_be_at = [&](std::uint64_t base, std::uint64_t length, std::uint32_t source) {
    if (device.base_gpa != base || device.length > length) {
      problems.push_back(fmt::format(
          "devices.emu_devices[{}]: {} is at {:#x} + {:#x}; on riscv64 it is at {:#x} + {:#x}",
          number, device.name, device.base_gpa, device.length, base, length));
    }
    if (device.irq_id != 0 && device.irq_id != source) {
      problems.push_back(fmt::format("devices.emu_devices[{}]: {} has irq {}; on riscv64 it has {}",
                                     number, device.name, device.irq_id, source));
    }
  };
  switch (device.emu_type) {
    case EmuDeviceType::InterruptController:
    case EmuDeviceType::PpptGlobal:          return must_be_at(memory_map::kPlic, Plic::kSize, 0);
    case EmuDeviceType::Console:
      return must_be_at(memory_map::kUart, kPageSize, memory_map::kUartSource);
    case EmuDeviceType::GpptRedistributor:
    case EmuDeviceType::GpptDistributor:
    case EmuDeviceType::GpptIts:
    case EmuDeviceType::X86IoApic:
    case EmuDeviceType::X86Pit:
      problems.push_back(
          fmt::format("devices.emu_devices[{}]: {} has type {:#x}, which riscv64 lacks", number,
                      device.name, static_cast<std::uint32_t>(device.emu_type)));
      return;
    case EmuDeviceType::Dummy:
    case EmuDeviceType::FwCfg:
    case EmuDeviceType::IvcChannel:
    case EmuDeviceType::VirtioBlk:
    case EmuDeviceType::VirtioNet:
    case EmuDeviceType::VirtioConsole: return;
  }
}

void RiscvArchitecture::check(const VmConfig& config, std::vector<std::string>& problems) const {
  check_interrupt_numbers(config, Plic::kSources, problems);
  for (const std::uint64_t id : config.phys_cpu_ids) {
    if (id <= Sbi::kHighestHartId) continue;
    problems.push_back(fmt::format("base.phys_cpu_ids: {:#x} is not a hart id; give 0x0 to {:#x}",
                                   id, Sbi::kHighestHartId));
  }
  for (std::size_t i = 0; i < config.emu_devices.size(); ++i) {
    check_device(config.emu_devices[i], i, problems);
  }
  const unsigned bits = page_table_format().address_bits();
  for (std::size_t i = 0; i < config.memory_regions.size(); ++i) {
    const MemoryRegionConfig& region = config.memory_regions[i];
    const auto end = checked_add(region.gpa, region.size);
    if (end && *end <= bit(bits)) continue;
    problems.push_back(
        fmt::format("kernel.memory_regions[{}]: {:#x} + {:#x} is beyond the {} bits of a "
                    "guest-physical address",
                    i, region.gpa, region.size, bits));
  }
}

}  // namespace

std::unique_ptr<Architecture> make_architecture(std::unique_ptr<Hardware> hardware) {
  return std::make_unique<RiscvArchitecture>(std::move(hardware));
}

}  // namespace retrap::riscv64
