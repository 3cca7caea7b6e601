// The keys, fields and words of a configuration file: axvm's schema and what we add to it.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "vmm/config.h"

namespace retrap::schema {

inline constexpr std::array<std::string_view, 3> kSections = {"base", "kernel", "devices"};
inline constexpr std::array<std::string_view, 7> kBaseKeys = {
    "id", "name", "vm_type", "arch", "cpu_num", "phys_cpu_ids", "phys_cpu_sets"};
inline constexpr std::array<std::string_view, 13> kKernelKeys = {
    "entry_point", "kernel_path",    "kernel_load_addr", "bios_path",         "bios_load_addr",
    "dtb_path",    "dtb_load_addr",  "ramdisk_path",     "ramdisk_load_addr", "image_location",
    "cmdline",     "memory_regions", "populate"};
inline constexpr std::array<std::string_view, 5> kDeviceKeys = {
    "emu_devices", "passthrough_devices", "excluded_devices", "passthrough_addresses",
    "interrupt_mode"};
// axvm knows them; nothing here does what they ask for.
inline constexpr std::array<std::string_view, 6> kForeignKeys = {
    "enable_bios", "boot_protocol",     "uefi_firmware_path",
    "disk_path",   "passthrough_ports", "address_space_policy"};

inline constexpr std::array<std::string_view, 4> kRegionFields = {"gpa", "size", "flags",
                                                                  "map_type"};
inline constexpr std::array<std::string_view, 6> kEmuFields = {"name",   "base_gpa", "length",
                                                               "irq_id", "emu_type", "cfg_list"};
inline constexpr std::array<std::string_view, 5> kPassthroughFields = {
    "name", "base_gpa", "base_hpa", "length", "irq_id"};
inline constexpr std::array<std::string_view, 2> kWindowFields = {"base_gpa", "length"};

template <class E>
using Word = std::pair<std::string_view, E>;

inline constexpr std::array<Word<ArchId>, 3> kArchs = {
    {{kArchNames[0], kAllArchs[0]}, {kArchNames[1], kAllArchs[1]}, {kArchNames[2], kAllArchs[2]}}};

inline constexpr std::array<Word<ImageLocation>, 2> kLocations = {
    {{"fs", ImageLocation::Fs}, {"memory", ImageLocation::Memory}}};

inline constexpr std::array<Word<Populate>, 2> kPopulate = {
    {{"eager", Populate::Eager}, {"lazy", Populate::Lazy}}};

inline constexpr std::array<Word<InterruptMode>, 7> kModes = {
    {{"no_irq", InterruptMode::NoIrq},
     {"no", InterruptMode::NoIrq},
     {"none", InterruptMode::NoIrq},
     {"emu", InterruptMode::Emulated},
     {"emulated", InterruptMode::Emulated},
     {"passthrough", InterruptMode::Passthrough},
     {"pt", InterruptMode::Passthrough}}};

}  // namespace retrap::schema
