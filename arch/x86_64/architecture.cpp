// What a configuration may ask of a PC.
#include "arch/x86_64/architecture.h"

#include <array>

#include "arch/x86_64/board.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/stage2.h"
#include "vmm/base/check.h"
#include "vmm/config_check.h"

namespace retrap::x86_64 {
namespace {

class PcArchitecture final : public Architecture {
 public:
  explicit PcArchitecture(std::unique_ptr<Hardware> hardware) : hardware_(std::move(hardware)) {
    RETRAP_CHECK(hardware_ != nullptr, "an architecture needs hardware");
  }

  [[nodiscard]] ArchId id() const override { return ArchId::X86_64; }
  [[nodiscard]] const PageTableFormat& page_table_format() const override { return format_; }
  [[nodiscard]] VmConfig default_config(std::uint64_t memory_bytes) const override;
  void check(const VmConfig& config, std::vector<std::string>& problems) const override;
  [[nodiscard]] Result<std::unique_ptr<Board>> make_board(const VmConfig& config,
                                                          VmParts parts) override {
    return PcBoard::make(config, parts, *hardware_);
  }

 private:
  NestedPageTableFormat format_;
  std::unique_ptr<Hardware> hardware_;
};

// RAM from zero to the hole of the APICs, the rest above 4 GiB.
VmConfig PcArchitecture::default_config(std::uint64_t memory_bytes) const {
  VmConfig config;
  config.name = "x86_64";
  config.arch = ArchId::X86_64;
  config.cmdline = "console=ttyS0 panic=-1";
  const std::uint64_t low = std::min(memory_bytes, layout::kHoleStart);
  config.memory_regions.push_back({.gpa = 0, .size = low});
  if (memory_bytes > low) {
    config.memory_regions.push_back({.gpa = layout::kHoleEnd, .size = memory_bytes - low});
  }
  return config;
}

/// Where a PC has a device that a configuration may name.
struct FixedDevice {
  EmuDeviceType type;
  std::uint64_t base;
  std::uint64_t length;  ///< at most
  std::uint32_t line;    ///< 0 in a configuration means this one
};

constexpr std::array kFixedDevices = {
    FixedDevice{EmuDeviceType::InterruptController, 0xfee0'0000, kPageSize, 0},
    FixedDevice{EmuDeviceType::Console, PcBoard::kCom1, 8, 4},
    FixedDevice{EmuDeviceType::X86IoApic, IoApic::kBaseAddress, kPageSize, 0},
    // With port 0x61, as axvm has it.
    FixedDevice{EmuDeviceType::X86Pit, 0x40, 0x22, 0},
};

// D4: what a configuration says is done or refused.
void check_device(const EmuDeviceConfig& device, std::size_t number,
                  std::vector<std::string>& problems) {
  for (const FixedDevice& fixed : kFixedDevices) {
    if (fixed.type != device.emu_type) continue;
    if (device.base_gpa != fixed.base || device.length > fixed.length) {
      problems.push_back(fmt::format(
          "devices.emu_devices[{}]: {} is at {:#x} + {:#x}; on x86_64 it is at {:#x} + {:#x}",
          number, device.name, device.base_gpa, device.length, fixed.base, fixed.length));
    }
    if (device.irq_id != 0 && device.irq_id != fixed.line) {
      problems.push_back(fmt::format("devices.emu_devices[{}]: {} has irq {}; on x86_64 it has {}",
                                     number, device.name, device.irq_id, fixed.line));
    }
  }
}

void PcArchitecture::check(const VmConfig& config, std::vector<std::string>& problems) const {
  check_interrupt_numbers(config, IoApic::kPins, problems);
  for (const std::uint64_t id : config.phys_cpu_ids) {
    if (id <= Lapic::kHighestId) continue;
    problems.push_back(fmt::format("base.phys_cpu_ids: {:#x} is not an APIC id; give 0x0 to {:#x}",
                                   id, Lapic::kHighestId));
  }
  for (std::size_t i = 0; i < config.emu_devices.size(); ++i) {
    check_device(config.emu_devices[i], i, problems);
  }
  if (config.dtb_path) {
    problems.emplace_back("kernel.dtb_path: x86_64 guests take no device tree");
  }
  if (config.bios_path && !config.entry_point) {
    problems.emplace_back("base.entry_point: a guest with a BIOS needs one");
  }
}

}  // namespace

std::unique_ptr<retrap::Architecture> make_architecture(std::unique_ptr<Hardware> hardware) {
  return std::make_unique<PcArchitecture>(std::move(hardware));
}

}  // namespace retrap::x86_64
