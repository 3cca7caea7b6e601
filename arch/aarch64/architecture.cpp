// What the monitor asks of aarch64 before there is a VM.
#include "arch/aarch64/architecture.h"

#include "arch/aarch64/board.h"
#include "arch/aarch64/stage2.h"
#include "vmm/config_check.h"

namespace retrap::aarch64 {
namespace {

class Aarch64Architecture final : public Architecture {
 public:
  explicit Aarch64Architecture(std::unique_ptr<Hardware> hardware)
      : hardware_(std::move(hardware)) {}

  ArchId id() const override { return ArchId::Aarch64; }
  const PageTableFormat& page_table_format() const override { return format_; }

  VmConfig default_config(std::uint64_t memory_bytes) const override {
    VmConfig config;
    config.arch = ArchId::Aarch64;
    config.name = "aarch64";
    config.vm_type = VmType::Linux;
    config.memory_regions = {{.gpa = MemoryMap{}.ram, .size = memory_bytes}};
    return config;
  }

  void check(const VmConfig& config, std::vector<std::string>& problems) const override {
    check_cpus(config, problems);
    check_devices(config, problems);
    check_interrupt_numbers(config, kInterrupts, problems);
    for (std::size_t i = 0; i < config.memory_regions.size(); ++i) {
      const MemoryRegionConfig& region = config.memory_regions[i];
      if (region.size != 0 && ((region.gpa + (region.size - 1)) >> s2::kAddressBits) != 0) {
        problems.push_back(fmt::format(
            "kernel.memory_regions[{}]: {:#x}+{:#x} is beyond the {} bits of an address", i,
            region.gpa, region.size, s2::kAddressBits));
      }
    }
  }

  Result<std::unique_ptr<Board>> make_board(const VmConfig& config, VmParts parts) override {
    return Aarch64Board::make(config, parts, *hardware_)
        .map([](std::unique_ptr<Aarch64Board> board) -> std::unique_ptr<Board> { return board; });
  }

 private:
  static void check_cpus(const VmConfig& config, std::vector<std::string>& problems) {
    constexpr std::uint64_t kAffinity = 0xff'00ff'ffff;
    for (const std::uint64_t id : config.phys_cpu_ids) {
      if ((id & ~kAffinity) == 0) continue;
      problems.push_back(fmt::format("base.phys_cpu_ids: {:#x} is not an MPIDR affinity", id));
    }
  }

  // D4: what a configuration says is done or refused.
  static void check_length(const EmuDeviceConfig& device, std::size_t number, std::uint32_t cpus,
                           std::vector<std::string>& problems) {
    std::uint64_t has = device.length;
    switch (device.emu_type) {
      case EmuDeviceType::Console:             has = kPageSize; break;
      case EmuDeviceType::InterruptController:
      case EmuDeviceType::GpptDistributor:     has = Gicv3::kDistributorBytes; break;
      case EmuDeviceType::GpptRedistributor:   has = Gicv3::kRedistributorBytes * cpus; break;
      default:                                 break;
    }
    if (device.length <= has) return;
    problems.push_back(
        fmt::format("devices.emu_devices[{}]: {} is {:#x} long; on aarch64 it has {:#x}", number,
                    device.name, device.length, has));
  }

  static void check_devices(const VmConfig& config, std::vector<std::string>& problems) {
    const MemoryMap map = memory_map_of(config);
    for (const std::uint64_t base : {map.distributor, map.redistributors, map.uart}) {
      if ((base & 0xfff) == 0) continue;
      problems.push_back(fmt::format("devices.emu_devices: base {:#x} is not page aligned", base));
    }
    if (map.uart_intid < kPrivateInterrupts || map.uart_intid >= kInterrupts) {
      problems.push_back(fmt::format("devices.emu_devices: irq {} of the console is no SPI ({}-{})",
                                     map.uart_intid, kPrivateInterrupts, kInterrupts - 1));
    }
    if (map.uart_intid == map.entropy_intid) {
      problems.push_back(
          fmt::format("devices.emu_devices: irq {} is the entropy device's", map.entropy_intid));
    }
    if (map.uart_intid == map.rtc_intid) {
      problems.push_back(
          fmt::format("devices.emu_devices: irq {} is the real-time clock's", map.rtc_intid));
    }
    for (std::size_t i = 0; i < config.emu_devices.size(); ++i) {
      const EmuDeviceConfig& device = config.emu_devices[i];
      check_length(device, i, config.cpu_num, problems);
      switch (device.emu_type) {
        case EmuDeviceType::X86IoApic:
        case EmuDeviceType::X86Pit:
        case EmuDeviceType::PpptGlobal:
          problems.push_back(
              fmt::format("devices.emu_devices[{}]: {} is no device of aarch64", i, device.name));
          break;
        case EmuDeviceType::InterruptController:
        case EmuDeviceType::GpptDistributor:
        case EmuDeviceType::GpptRedistributor:
          if (device.irq_id == 0) break;
          problems.push_back(
              fmt::format("devices.emu_devices[{}]: {} has irq {}; on aarch64 it has 0", i,
                          device.name, device.irq_id));
          break;
        default: break;
      }
    }
  }

  Stage2Format format_;
  std::unique_ptr<Hardware> hardware_;
};

}  // namespace

std::unique_ptr<Architecture> make_architecture(std::unique_ptr<Hardware> hardware) {
  return std::make_unique<Aarch64Architecture>(std::move(hardware));
}

}  // namespace retrap::aarch64
