// Nodes in the order of QEMU's "virt" machine, which guests know.
#include "arch/riscv64/device_tree.h"

#include <array>

#include "arch/riscv64/board.h"
#include "vmm/base/bytes.h"
#include "vmm/base/prng.h"
#include "vmm/devices/virtio_mmio.h"
#include "vmm/fdt.h"

namespace retrap::riscv64 {
namespace {

/// Phandles: the interrupt controller of vCPU n is n + 1.
constexpr std::uint32_t kPlicPhandle = 0x100;

/// A seed that is the guest's, and the same in every run of this VM.
std::array<std::byte, 32> random_seed(std::uint32_t vm) {
  Prng words(vm);
  std::array<std::byte, 32> seed{};
  for (std::size_t at = 0; at < seed.size(); at += 8) {
    (void)store_le<std::uint64_t>(seed, at, words.next());
  }
  return seed;
}

void add_chosen(FdtBuilder& tree, const VmConfig& config, std::optional<GuestRange> ramdisk) {
  tree.begin("chosen")
      .string("bootargs", config.cmdline)
      .string("stdout-path", "/soc/serial@10000000")
      .bytes("rng-seed", random_seed(config.id));
  if (ramdisk) {
    tree.u64("linux,initrd-start", ramdisk->base().raw());
    tree.u64("linux,initrd-end", ramdisk->last().raw() + 1);
  }
  tree.end();
}

void add_memory(FdtBuilder& tree, const VmConfig& config) {
  constexpr std::uint32_t kRam = 0x7;
  for (const MemoryRegionConfig& region : config.memory_regions) {
    if ((region.flags & kRam) != kRam) continue;
    tree.begin(fmt::format("memory@{:x}", region.gpa))
        .string("device_type", "memory")
        .reg({region.gpa, region.size})
        .end();
  }
}

void add_cpus(FdtBuilder& tree, const VmConfig& config) {
  tree.begin("cpus")
      .cells("#address-cells", {1})
      .cells("#size-cells", {0})
      .cells("timebase-frequency", {kTimebaseHz});
  for (std::uint32_t vcpu = 0; vcpu < config.cpu_num; ++vcpu) {
    const auto hart_id = static_cast<std::uint32_t>(phys_cpu_id_of(config, vcpu));
    tree.begin(fmt::format("cpu@{:x}", hart_id))
        .string("device_type", "cpu")
        .cells("reg", {hart_id})
        .string("status", "okay")
        .string("compatible", "riscv")
        .string("riscv,isa", "rv64imafdc_zicntr_zicsr_zifencei")
        .string("riscv,isa-base", "rv64i")
        .strings("riscv,isa-extensions",
                 {"i", "m", "a", "f", "d", "c", "zicntr", "zicsr", "zifencei"})
        .string("mmu-type", "riscv,sv39")
        .begin("interrupt-controller")
        .cells("#interrupt-cells", {1})
        .empty("interrupt-controller")
        .string("compatible", "riscv,cpu-intc")
        .cells("phandle", {vcpu + 1})
        .end()
        .end();
  }
  tree.end();
}

void add_plic(FdtBuilder& tree, const VmConfig& config) {
  std::vector<std::uint32_t> contexts;
  for (std::uint32_t vcpu = 0; vcpu < config.cpu_num; ++vcpu) {
    contexts.push_back(vcpu + 1);
    contexts.push_back(kSupervisorExternal);
  }
  tree.begin("plic@c000000")
      .strings("compatible", {"sifive,plic-1.0.0", "riscv,plic0"})
      .reg({memory_map::kPlic, Plic::kSize})
      .cells("#interrupt-cells", {1})
      .cells("#address-cells", {0})
      .empty("interrupt-controller")
      .cells("riscv,ndev", {Plic::kSources - 1})
      .cells("interrupts-extended", contexts)
      .cells("phandle", {kPlicPhandle})
      .end();
}

void add_soc(FdtBuilder& tree, const VmConfig& config) {
  tree.begin("soc")
      .cells("#address-cells", {2})
      .cells("#size-cells", {2})
      .string("compatible", "simple-bus")
      .empty("ranges");
  tree.begin("test@100000")
      .strings("compatible", {"sifive,test1", "sifive,test0"})
      .reg({memory_map::kFinisher, 0x1000})
      .end();
  tree.begin("rtc@101000")
      .string("compatible", "google,goldfish-rtc")
      .reg({memory_map::kRtc, 0x1000})
      .cells("interrupt-parent", {kPlicPhandle})
      .cells("interrupts", {memory_map::kRtcSource})
      .end();
  add_plic(tree, config);
  tree.begin("serial@10000000")
      .string("compatible", "ns16550a")
      .reg({memory_map::kUart, memory_map::kUartSize})
      .cells("clock-frequency", {3'686'400})
      .cells("interrupt-parent", {kPlicPhandle})
      .cells("interrupts", {memory_map::kUartSource})
      .end();
  tree.begin("virtio_mmio@10009000")
      .string("compatible", "virtio,mmio")
      .reg({memory_map::kEntropy, virtio::Mmio::kSize})
      .cells("interrupt-parent", {kPlicPhandle})
      .cells("interrupts", {memory_map::kEntropySource})
      .empty("dma-coherent")
      .end();
  tree.end();
}

}  // namespace

std::vector<std::byte> device_tree(const VmConfig& config, std::optional<GuestRange> ramdisk) {
  FdtBuilder tree;
  tree.begin("")
      .cells("#address-cells", {2})
      .cells("#size-cells", {2})
      .string("compatible", "riscv-virtio")
      .string("model", "retrap,riscv64");
  add_chosen(tree, config, ramdisk);
  add_memory(tree, config);
  add_cpus(tree, config);
  add_soc(tree, config);
  tree.end();
  return tree.finish();
}

}  // namespace retrap::riscv64
