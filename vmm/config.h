// The configuration of one VM: axvm's schema as data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/address_space.h"
#include "vmm/arch_id.h"

namespace retrap {

enum class VmType : std::uint8_t { HostVm = 0, Rtos = 1, Linux = 2 };
enum class InterruptMode : std::uint8_t { NoIrq, Emulated, Passthrough };
enum class ImageLocation : std::uint8_t { Fs, Memory };

struct MemoryRegionConfig {
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
  std::uint32_t flags = 0x7;  ///< MappingFlags bits
  MapType map_type = MapType::Alloc;
};

/// The emu_type numbers of axvm.
enum class EmuDeviceType : std::uint32_t {
  Dummy = 0x00,
  InterruptController = 0x01,
  Console = 0x02,
  FwCfg = 0x03,
  IvcChannel = 0x0a,
  GpptRedistributor = 0x20,
  GpptDistributor = 0x21,
  GpptIts = 0x22,
  X86IoApic = 0x23,
  X86Pit = 0x24,
  PpptGlobal = 0x30,
  VirtioBlk = 0xe1,
  VirtioNet = 0xe2,
  VirtioConsole = 0xe3,
};

struct EmuDeviceConfig {
  std::string name;
  std::uint64_t base_gpa = 0;
  std::uint64_t length = 0;
  std::uint32_t irq_id = 0;
  EmuDeviceType emu_type = EmuDeviceType::Dummy;
  std::vector<std::uint64_t> cfg_list;
};

struct PassthroughDeviceConfig {
  std::string name;
  std::uint64_t base_gpa = 0;
  std::uint64_t base_hpa = 0;
  std::uint64_t length = 0;
  std::uint32_t irq_id = 0;
};

/// The entry ["/"]: everything that the host's device tree has. Here that is the board, which a
/// guest has anyway.
[[nodiscard]] inline bool is_whole_tree(const PassthroughDeviceConfig& device) {
  return device.name == "/" && device.length == 0;
}

struct AddressWindow {
  std::uint64_t base_gpa = 0;
  std::uint64_t length = 0;
};

/// Sections [base], [kernel] and [devices] of a configuration file.
struct VmConfig {
  // [base]
  std::uint32_t id = 1;
  std::string name;
  VmType vm_type = VmType::Rtos;
  ArchId arch = ArchId::X86_64;  ///< ours: `arch = "riscv64"`
  std::uint32_t cpu_num = 1;
  std::vector<std::uint64_t> phys_cpu_ids;   ///< see phys_cpu_id_of(); empty: the vCPU ids
  std::vector<std::uint64_t> phys_cpu_sets;  ///< one mask per vCPU; empty: any CPU

  // [kernel]
  std::optional<std::uint64_t> entry_point;  ///< empty: what the image says
  std::string kernel_path;
  std::optional<std::uint64_t> kernel_load_addr;  ///< empty: where the board wants it
  std::optional<std::string> bios_path;
  std::optional<std::uint64_t> bios_load_addr;
  std::optional<std::string> dtb_path;
  std::optional<std::uint64_t> dtb_load_addr;
  std::optional<std::string> ramdisk_path;
  std::optional<std::uint64_t> ramdisk_load_addr;
  ImageLocation image_location = ImageLocation::Fs;
  std::string cmdline;
  std::vector<MemoryRegionConfig> memory_regions;
  Populate populate = Populate::Eager;  ///< ours: `populate = "lazy"`

  // [devices]
  std::vector<EmuDeviceConfig> emu_devices;
  std::vector<PassthroughDeviceConfig> passthrough_devices;
  std::vector<std::string> excluded_devices;
  std::vector<AddressWindow> passthrough_addresses;
  InterruptMode interrupt_mode = InterruptMode::Emulated;
};

/// What the guest calls this vCPU: APIC id, MPIDR affinity, hart id. Its phys_cpu_id, else `vcpu`.
[[nodiscard]] inline std::uint64_t phys_cpu_id_of(const VmConfig& config, std::uint32_t vcpu) {
  return vcpu < config.phys_cpu_ids.size() ? config.phys_cpu_ids[vcpu] : vcpu;
}

/// The same of all vCPUs, cpu_num of them.
[[nodiscard]] std::vector<std::uint64_t> phys_cpu_ids_of(const VmConfig& config);

/// Everything that is wrong with `config` whatever the architecture, one clause each, all at once:
/// counts, ids, alignment, overlaps (naming both), wraps, missing addresses.
[[nodiscard]] std::vector<std::string> problems_of(const VmConfig& config);

}  // namespace retrap
