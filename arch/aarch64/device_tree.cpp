// The device tree of the board (bindings: arm,gic-v3, arm,armv8-timer, arm,pl011, arm,pl031,
// arm,psci-1.0, virtio,mmio).
#include "arch/aarch64/board.h"
#include "arch/aarch64/boot.h"
#include "vmm/devices/virtio_mmio.h"
#include "vmm/fdt.h"

namespace retrap::aarch64 {
namespace {

constexpr std::uint32_t kGicPhandle = 1;
constexpr std::uint32_t kClockPhandle = 2;

// Interrupt specifiers of arm,gic-v3: type, number, flags.
constexpr std::uint32_t kSpi = 0;
constexpr std::uint32_t kPpi = 1;
constexpr std::uint32_t kLevelHigh = 4;

void add_chosen(FdtBuilder& fdt, const VmConfig& config, const MemoryMap& map,
                RamdiskRange ramdisk) {
  fdt.begin("chosen");
  if (!config.cmdline.empty()) fdt.string("bootargs", config.cmdline);
  fdt.string("stdout-path", fmt::format("/pl011@{:x}", map.uart));
  if (ramdisk.end != 0) {
    fdt.u64("linux,initrd-start", ramdisk.begin).u64("linux,initrd-end", ramdisk.end);
  }
  fdt.end();
}

void add_memory(FdtBuilder& fdt, const VmConfig& config) {
  for (const MemoryRegionConfig& region : config.memory_regions) {
    fdt.begin(fmt::format("memory@{:x}", region.gpa))
        .string("device_type", "memory")
        .reg({region.gpa, region.size})
        .end();
  }
}

// A CPU's reg is its affinity in two cells: Aff3, then Aff2-0.
void add_cpus(FdtBuilder& fdt, const VmConfig& config) {
  fdt.begin("cpus").cells("#address-cells", {2}).cells("#size-cells", {0});
  for (const std::uint64_t affinity : phys_cpu_ids_of(config)) {
    fdt.begin(fmt::format("cpu@{:x}", affinity))
        .string("device_type", "cpu")
        .string("compatible", "arm,cortex-a57")
        .cells("reg",
               {static_cast<std::uint32_t>(affinity >> 32), static_cast<std::uint32_t>(affinity)})
        .string("enable-method", "psci")
        .end();
  }
  fdt.end();
}

void add_platform(FdtBuilder& fdt, const VmConfig& config, const MemoryMap& map) {
  fdt.begin("psci")
      .strings("compatible", {"arm,psci-1.0", "arm,psci-0.2"})
      .string("method", "hvc")
      .end();
  // Secure and hypervisor timers have their places in the list, and do not exist.
  const std::uint32_t physical = GenericTimer::kPhysicalIntid - kSgis;
  const std::uint32_t virtual_timer = GenericTimer::kVirtualIntid - kSgis;
  fdt.begin("timer")
      .string("compatible", "arm,armv8-timer")
      .empty("always-on")
      .cells("interrupts", {kPpi, 13, kLevelHigh, kPpi, physical, kLevelHigh, kPpi, virtual_timer,
                            kLevelHigh, kPpi, 10, kLevelHigh})
      .end();
  fdt.begin(fmt::format("intc@{:x}", map.distributor))
      .string("compatible", "arm,gic-v3")
      .cells("#interrupt-cells", {3})
      .cells("#address-cells", {0})
      .empty("interrupt-controller")
      .reg({map.distributor, Gicv3::kDistributorBytes, map.redistributors,
            Gicv3::kRedistributorBytes * config.cpu_num})
      .cells("phandle", {kGicPhandle})
      .end();
  fdt.begin("apb-pclk")
      .string("compatible", "fixed-clock")
      .cells("#clock-cells", {0})
      .cells("clock-frequency", {24'000'000})
      .cells("phandle", {kClockPhandle})
      .end();
  fdt.begin(fmt::format("pl011@{:x}", map.uart))
      .strings("compatible", {"arm,pl011", "arm,primecell"})
      .reg({map.uart, 0x1000})
      .cells("interrupts", {kSpi, map.uart_intid - kPrivateInterrupts, kLevelHigh})
      .cells("clocks", {kClockPhandle, kClockPhandle})
      .strings("clock-names", {"uartclk", "apb_pclk"})
      .end();
  fdt.begin(fmt::format("pl031@{:x}", map.rtc))
      .strings("compatible", {"arm,pl031", "arm,primecell"})
      .reg({map.rtc, 0x1000})
      .cells("interrupts", {kSpi, map.rtc_intid - kPrivateInterrupts, kLevelHigh})
      .cells("clocks", {kClockPhandle})
      .string("clock-names", "apb_pclk")
      .end();
  // No syscon: Linux powers off by PSCI.
  fdt.begin(fmt::format("test@{:x}", map.finisher))
      .strings("compatible", {"sifive,test1", "sifive,test0"})
      .reg({map.finisher, 0x1000})
      .end();
  fdt.begin(fmt::format("virtio_mmio@{:x}", map.entropy))
      .string("compatible", "virtio,mmio")
      .reg({map.entropy, virtio::Mmio::kSize})
      .cells("interrupts", {kSpi, map.entropy_intid - kPrivateInterrupts, kLevelHigh})
      .empty("dma-coherent")
      .end();
}

}  // namespace

std::vector<std::byte> make_device_tree(const VmConfig& config, const MemoryMap& map,
                                        RamdiskRange ramdisk) {
  FdtBuilder fdt;
  fdt.begin("")
      .cells("#address-cells", {2})
      .cells("#size-cells", {2})
      .string("compatible", "linux,dummy-virt")
      .string("model", "retrap aarch64")
      .cells("interrupt-parent", {kGicPhandle});
  add_chosen(fdt, config, map, ramdisk);
  add_memory(fdt, config);
  add_cpus(fdt, config);
  add_platform(fdt, config, map);
  fdt.end();
  return fdt.finish();
}

}  // namespace retrap::aarch64
