// How others listen: traces, statistics and hooks, without the monitor knowing them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/exit.h"
#include "vmm/ids.h"

namespace retrap {

/// What an exit cost: the virtual time that has passed since the exit before, of whichever observed
/// VM of the machine, or since one began to be observed. The costs of all exits add up to all of
/// virtual time.
struct ExitCost {
  std::uint64_t instructions;  ///< retired by the machine; the last ones led to this exit
  std::uint64_t idle_ns;       ///< skipped because every vCPU waited
};

/// A vCPU came back. Also called for each access of an instruction that makes several.
struct ExitEvent {
  VmId vm;
  VcpuId vcpu;
  std::uint64_t sequence;  ///< of this VM, from 0
  std::uint64_t retired;   ///< machine instruction count at the exit
  std::uint64_t now_ns;    ///< virtual time at the exit
  ExitCost cost;
  std::uint64_t pc;
  const ExitReason& reason;
};

/// What the monitor answered: the value of a read, the result of a hypercall.
struct AnswerEvent {
  VmId vm;
  VcpuId vcpu;
  std::uint64_t sequence;  ///< of the exit it answers
  std::uint64_t value;
};

/// What became of an input of a vCPU's interrupt controller.
enum class LineChange : std::uint8_t {
  Pulse,  ///< pending from now on, as by an edge
  Rise,
  Fall,
  DeviceRise,  ///< of a device's line, which is no vCPU's own
  DeviceFall,
  Deliver,  ///< pending no longer: the vCPU has it
};
[[nodiscard]] constexpr std::string_view name(LineChange change) {
  constexpr std::array<std::string_view, 6> kNames = {"pulse",       "rise",        "fall",
                                                      "device-rise", "device-fall", "deliver"};
  return kNames[static_cast<std::size_t>(change)];
}

/// The level that a CPU's own line, or that of a device, has from now on; nothing for other
/// changes.
[[nodiscard]] constexpr std::optional<bool> cpu_level(LineChange change) {
  if (change != LineChange::Rise && change != LineChange::Fall) return std::nullopt;
  return change == LineChange::Rise;
}
[[nodiscard]] constexpr std::optional<bool> device_level(LineChange change) {
  if (change != LineChange::DeviceRise && change != LineChange::DeviceFall) return std::nullopt;
  return change == LineChange::DeviceRise;
}

/// A vector became pending at a vCPU: an IPI, or the embedder's inject_interrupt_to_vcpu(). Or a
/// line changed: one that a CPU drives by itself, as its timer does, or a device. Or a vCPU got an
/// interrupt: on x86_64 the vector that enters the guest with it, on aarch64 the INTID that it
/// acknowledges, on riscv64 the source of the PLIC that it claims (what comes from no controller,
/// its timer and messages between harts, a hart takes without the monitor).
struct InjectionEvent {
  VmId vm;
  VcpuId vcpu;
  std::uint64_t retired;  ///< machine instruction count
  std::uint64_t vector;
  LineChange change = LineChange::Pulse;
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_exit(const ExitEvent& event) { (void)event; }
  virtual void on_answer(const AnswerEvent& event) { (void)event; }
  virtual void on_injection(const InjectionEvent& event) { (void)event; }
};

}  // namespace retrap
