// Devices that say what a trace says.
#include "sim/recorded_devices.h"

#include <utility>

#include "vmm/base/check.h"

namespace retrap {
namespace {

class StandIn final : public Device {
 public:
  StandIn(const Device& device, DeviceRecord& record)
      : name_(device.name()), size_(device.size()), record_(record) {}

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access&) override {
    record_.on_device_access();
    return record_.recorded_answer();
  }
  [[nodiscard]] IoResult<> write(const Access&, std::uint64_t) override {
    record_.on_device_access();
    return {};
  }
  void reset() override {}
  void digest(Digest&) const override {}

 private:
  std::string name_;
  std::uint64_t size_;
  DeviceRecord& record_;
};

/// A PC's interrupts 0 and 8 are those of its timer chip and its clock.
bool is_timer_of_the_platform(const Vm& vm, std::uint32_t line) {
  return vm.config().arch == ArchId::X86_64 && (line == 0 || line == 8);
}

}  // namespace

void take_devices_away(Vm& vm, bool use_memory, DeviceRecord& record,
                       std::vector<std::unique_ptr<Device>>& taken) {
  for (Bus* const bus : {&vm.mmio(), &vm.ports()}) {
    for (const Bus::Plug& plug : bus->plugs()) {
      if (plug.device->uses_memory() != use_memory || plug.line == Bus::kNoLine) continue;
      if (is_timer_of_the_platform(vm, plug.line)) continue;
      auto stand_in = std::make_unique<StandIn>(*plug.device, record);
      auto device = bus->remove(plug.base);
      RETRAP_CHECK(device.has_value(), "a device that is plugged in comes off");
      if (*device != nullptr) taken.push_back(*std::move(device));
      const auto added = bus->add(plug.base, std::move(stand_in));
      RETRAP_CHECK(added.has_value(), "where a device was, there is room for another");
    }
  }
}

}  // namespace retrap
