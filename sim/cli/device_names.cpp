// Asks the buses of boards.
#include "sim/cli/device_names.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "sim/machine.h"
#include "vmm/config_toml.h"

namespace retrap::cli {
namespace {

enum class Space : std::uint8_t { Memory, Port, SystemRegister, None };

Space space_of(std::size_t kind) {
  const auto fields = traces::fields_of(kind);
  if (fields.empty()) return Space::None;
  if (fields[0].name == "port") return Space::Port;
  if (fields[0].name != "addr") return Space::None;
  return kExitNames[kind].starts_with("sysreg") ? Space::SystemRegister : Space::Memory;
}

struct Place {
  std::uint64_t last;
  std::string name;
};

/// The devices of one VM by space and first address.
using Places = std::array<std::map<std::uint64_t, Place>, 3>;

void add(Places& places, Space space, std::string_view name, std::uint64_t base,
         std::uint64_t size) {
  if (size == 0 || base + (size - 1) < base) return;
  places[static_cast<std::size_t>(space)].try_emplace(
      base, Place{base + (size - 1), fmt::format("{} {:#x}", name, base)});
}

class NoConsole final : public ConsoleSink {
 public:
  void put(char byte) override { (void)byte; }
};

/// The same VM with as little as its board needs.
VmConfig bare(const VmConfig& config) {
  constexpr std::uint64_t kLeast = std::uint64_t{1} << 21;
  VmConfig bare = config;
  bare.populate = Populate::Lazy;
  bare.phys_cpu_sets.clear();
  bare.passthrough_devices.clear();
  bare.passthrough_addresses.clear();
  for (MemoryRegionConfig& region : bare.memory_regions) {
    region.map_type = MapType::Alloc;
    region.size = std::min(region.size, kLeast);
  }
  return bare;
}

void add_board(Places& places, const VmConfig& config) {
  auto machine = Machine::create({});
  if (!machine) return;
  NoConsole console;
  const auto vm = Vm::create(bare(config), **machine, console);
  if (!vm) return;
  const auto add_bus = [&](Space space, const Bus& bus) {
    for (const Bus::Plug& plug : bus.plugs()) {
      add(places, space, plug.device->name(), plug.base, plug.device->size());
    }
  };
  add_bus(Space::Memory, (*vm)->mmio());
  add_bus(Space::Port, (*vm)->ports());
  add_bus(Space::SystemRegister, (*vm)->sysregs());
}

Places places_of(const VmConfig& config) {
  Places places;
  add_board(places, config);
  for (const EmuDeviceConfig& device : config.emu_devices) {
    add(places, Space::Memory, device.name, device.base_gpa, device.length);
  }
  for (const PassthroughDeviceConfig& device : config.passthrough_devices) {
    add(places, Space::Memory, device.name, device.base_gpa, device.length);
  }
  return places;
}

}  // namespace

traces::DeviceNames device_names(const traces::Header& header) {
  std::map<std::uint32_t, Places> vms;
  for (const std::string& text : header.configs) {
    const auto config = parse_config(text, "config");
    if (config && !vms.contains(config->id)) vms.emplace(config->id, places_of(*config));
  }
  if (vms.empty()) return {};
  return [vms = std::move(vms)](VmId vm, std::size_t kind, std::uint64_t address) -> std::string {
    const Space space = space_of(kind);
    const auto found = vms.find(index(vm));
    if (space == Space::None || found == vms.end()) return "";
    const auto& places = found->second[static_cast<std::size_t>(space)];
    auto place = places.upper_bound(address);
    if (place == places.begin() || (--place)->second.last < address) return "";
    return vms.size() == 1 ? place->second.name
                           : fmt::format("vm {} {}", index(vm), place->second.name);
  };
}

}  // namespace retrap::cli
