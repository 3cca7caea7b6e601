// A booted VM whose vCPUs play scripts.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "tests/support/scripted_host.h"
#include "vmm/vm.h"

namespace retrap::test {

/// 1 MiB of RAM at 0x4000'0000, two vCPUs, no devices but what the test plugs.
class ScriptedVm {
 public:
  ScriptedVm() : ScriptedVm(two_vcpus) {}
  explicit ScriptedVm(void (*change)(VmConfig&)) {
    VmConfig config = host.config();
    change(config);
    auto created = Vm::create(std::move(config), host, console);
    EXPECT_TRUE(created.has_value()) << (created ? "" : created.error().message);
    vm = std::move(*created);
    EXPECT_TRUE(vm->boot().has_value());
  }

  static void two_vcpus(VmConfig& config) { config.cpu_num = 2; }

  [[nodiscard]] scripted::ScriptedBoard& board() {
    return dynamic_cast<scripted::ScriptedBoard&>(vm->board());
  }
  [[nodiscard]] scripted::ScriptedVcpu& cpu(std::uint32_t id = 0) {
    return board().vcpu(VcpuId{id});
  }

  /// Lets the guest do `script`, until an exit that is the embedder's.
  Result<ExitReason> does(scripted::Script script) {
    cpu().play(std::move(script));
    return vm->run_vcpu(kBootVcpu);
  }

  [[nodiscard]] const std::vector<scripted::Answer>& answers() { return cpu().answers(); }

  ProbeDevice& plug(GuestPhys base, std::uint64_t size, std::uint32_t line = Bus::kNoLine) {
    auto device = std::make_unique<ProbeDevice>(size);
    ProbeDevice& raw = *device;
    EXPECT_TRUE(vm->add_mmio_device(base, std::move(device), line).has_value());
    return raw;
  }
  ProbeDevice& plug_port(std::uint16_t base, std::uint64_t size) {
    auto device = std::make_unique<ProbeDevice>(size);
    ProbeDevice& raw = *device;
    EXPECT_TRUE(vm->add_port_device(base, std::move(device)).has_value());
    return raw;
  }
  ProbeDevice& plug_sysreg(std::uint64_t base, std::uint64_t size) {
    auto device = std::make_unique<ProbeDevice>(size);
    ProbeDevice& raw = *device;
    EXPECT_TRUE(vm->add_sysreg_device(base, std::move(device)).has_value());
    return raw;
  }

  ScriptedHost host;
  ConsoleText console;
  std::unique_ptr<Vm> vm;
};

}  // namespace retrap::test
