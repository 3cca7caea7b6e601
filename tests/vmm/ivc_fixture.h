// Two VMs with an IVC window each, whose vCPUs make hypercalls.
#pragma once

#include <gmock/gmock.h>

#include <optional>
#include <vector>

#include "tests/support/scripted_host.h"
#include "vmm/hypervisor.h"

namespace retrap::test {

inline constexpr std::uint64_t kIvcWindow = 0x6000'0000;
inline constexpr std::uint64_t kIvcWindowSize = 0x1'0000;
inline constexpr std::uint32_t kIvcLine = 5;
/// Where a guest keeps the words that a call gives back.
inline constexpr std::uint64_t kBaseSlot = 0x4000'0100;
inline constexpr std::uint64_t kSizeSlot = 0x4000'0108;

inline std::uint64_t code(IvcError error) {
  return static_cast<std::uint64_t>(error);
}

/// VMs 1 and 2, booted; more can be added.
class TwoVms {
 public:
  explicit TwoVms(std::uint64_t host_memory = std::uint64_t{1} << 20) : host(host_memory) {
    add(1);
    add(2);
    hypervisor.boot_all();
  }

  [[nodiscard]] VmConfig config(std::uint32_t id) const {
    VmConfig made = host.config(0x4000);
    made.id = id;
    made.emu_devices.push_back({.name = "ivc",
                                .base_gpa = kIvcWindow,
                                .length = kIvcWindowSize,
                                .irq_id = 0,
                                .emu_type = EmuDeviceType::IvcChannel,
                                .cfg_list = {kIvcLine}});
    return made;
  }

  std::size_t add(std::uint32_t id) { return add(config(id)); }
  std::size_t add(VmConfig made) {
    auto vm = Vm::create(std::move(made), host, console);
    EXPECT_TRUE(vm.has_value()) << (vm ? "" : vm.error().message);
    const auto adopted = hypervisor.adopt(std::move(*vm));
    EXPECT_TRUE(adopted.has_value());
    return hypervisor.vm_num() - 1;
  }

  [[nodiscard]] scripted::ScriptedBoard& board(std::size_t vm) {
    return dynamic_cast<scripted::ScriptedBoard&>(hypervisor.vm(vm).board());
  }
  [[nodiscard]] scripted::ScriptedVcpu& cpu(std::size_t vm) { return board(vm).vcpu(kBootVcpu); }

  /// Lets vCPU 0 make a hypercall: the return register, or nothing where the VM does not run.
  std::optional<std::uint64_t> call(std::size_t vm, std::uint64_t number,
                                    std::array<std::uint64_t, 6> args) {
    if (!hypervisor.vm(vm).life().is_running()) return std::nullopt;
    host.clock().set_slice_end(host.clock().retired() + 1);
    cpu(vm).play({{exits::Hypercall{number, args}}, {.exit = exits::Nothing{}, .after = 2}});
    (void)hypervisor.run({vm, kBootVcpu});
    const auto* const returned = std::get_if<scripted::Returned>(&cpu(vm).answers().at(0));
    return returned == nullptr ? std::nullopt : std::optional(returned->value);
  }

  std::optional<std::uint64_t> publish(std::size_t vm, std::uint64_t key, std::uint64_t size) {
    if (hypervisor.vm(vm).life().is_running()) {
      EXPECT_TRUE(hypervisor.vm(vm).write_to_guest_of(GuestPhys(kSizeSlot), size).has_value());
    }
    return call(vm, 3, {key, kBaseSlot, kSizeSlot});
  }
  std::optional<std::uint64_t> subscribe(std::size_t vm, std::uint64_t publisher,
                                         std::uint64_t key) {
    return call(vm, 4, {publisher, key, kBaseSlot, kSizeSlot});
  }
  std::optional<std::uint64_t> unpublish(std::size_t vm, std::uint64_t key) {
    return call(vm, 5, {key});
  }
  std::optional<std::uint64_t> unsubscribe(std::size_t vm, std::uint64_t publisher,
                                           std::uint64_t key) {
    return call(vm, 6, {publisher, key});
  }
  std::optional<std::uint64_t> notify(std::size_t vm, std::uint64_t publisher, std::uint64_t key,
                                      std::uint64_t target) {
    return call(vm, 7, {publisher, key, target});
  }

  /// What the last call gave back in memory.
  [[nodiscard]] std::uint64_t word(std::size_t vm, std::uint64_t slot) {
    return hypervisor.vm(vm).read_from_guest_of<std::uint64_t>(GuestPhys(slot)).value_or(0);
  }
  [[nodiscard]] GuestPhys base(std::size_t vm) { return GuestPhys(word(vm, kBaseSlot)); }
  /// Bytes that channels have in the ledger.
  [[nodiscard]] std::uint64_t channel_bytes() {
    return host.frames().bytes_of(IvcChannels::kOwner);
  }

  ScriptedHost host;
  ConsoleText console;
  Hypervisor hypervisor;
};

}  // namespace retrap::test
