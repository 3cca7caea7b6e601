// Devices that leave a machine.
#include "sim/cli/unplug.h"

#include <set>
#include <string>

#include "vmm/config_check.h"

namespace retrap::cli {

Result<std::unique_ptr<Device>> unplug(Machine& machine, std::string_view name) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < machine.vm_num(); ++i) {
    Vm& vm = machine.vm(i);
    for (Bus* const bus : {&vm.mmio(), &vm.ports()}) {
      for (const Bus::Plug& plug : bus->plugs()) {
        if (plug.device->name() == name) return bus->remove(plug.base);
        names.emplace(plug.device->name());
      }
    }
  }
  std::string known;
  for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
  return fail(ErrorCode::NotFound, "--unplug {}: no such device; there are {}", printable(name),
              known);
}

}  // namespace retrap::cli
