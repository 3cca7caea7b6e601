// A simulated machine: host memory, virtual clock, scheduler, and the VMs on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/input.h"
#include "vmm/config_check.h"
#include "vmm/hypervisor.h"
#include "vmm/vm.h"

namespace retrap {

struct MachineOptions {
  std::uint64_t memory_bytes = 0;  ///< host RAM; 0: enough for the VMs that are added later
  std::uint64_t seed = 1;
  /// Stop and resume every so many instructions (0: only where something happens). Changes nothing
  /// that a guest or a digest can see.
  std::uint64_t slice = 0;
  /// How many instructions a vCPU has on average before it is another's turn, where others want
  /// one; 0: a number that costs little; at least 16. The shorter, the more interleavings a run
  /// goes through.
  std::uint64_t mean_turn = 0;
  /// Physical CPUs that `phys_cpu_sets` of a configuration choose from, 1 to 64.
  std::uint32_t phys_cpus = kMaxVcpus;
};

/// Why a run ended. The exit status of `retrap run` follows from it.
enum class StopReason : std::uint8_t {
  PoweredOff,   ///< every VM is down, by its own request or the embedder's
  BudgetSpent,  ///< max_instructions reached
  Crashed,      ///< a guest cannot go on (`detail` says why)
  Deadlocked,   ///< every vCPU waits and nothing will ever wake one
  Reset,        ///< a guest asked for a reset
  Paused,       ///< every VM that has not ended is suspended
  Interrupted,  ///< request_stop()
};
[[nodiscard]] std::string_view to_string(StopReason reason);

struct RunReport {
  StopReason reason = StopReason::BudgetSpent;
  std::string detail;              ///< one clause, may be empty
  std::uint64_t instructions = 0;  ///< retired by the machine since creation
  std::uint64_t virtual_time_ns = 0;
};

/// The class that the command line, tests and examples use. One thread, no global state; the same
/// options, configurations, images and inputs give the same run, to the bit.
class Machine final : public Hal {
 public:
  /// InvalidInput, NoMemory (the host refused the mapping).
  [[nodiscard]] static Result<std::unique_ptr<Machine>> create(const MachineOptions& options);
  ~Machine() override;

  [[nodiscard]] Frames& frames() override;
  [[nodiscard]] Clock& clock() override;
  /// Valid until the first VM is added: its configuration may still move the host's memory.
  [[nodiscard]] Architecture* architecture(ArchId arch) override;
  [[nodiscard]] std::uint64_t seed() const override;
  [[nodiscard]] HostDevices* host_devices() override;

  /// A device of the simulated host, outside its memory: a VM whose configuration passes its
  /// addresses through gets it. Before that VM is added. As HostDevices::add().
  [[nodiscard]] Result<Device*> add_host_device(HostPhys base, std::unique_ptr<Device> device);

  /// What there is to say of a configuration for this machine, before add_vm(): as examine().
  [[nodiscard]] ConfigFindings examine(const VmConfig& config);

  /// Creates a VM and loads its images; it boots at the first run(). The console is kept by the
  /// machine (console_of) and also copied to `console` where that is not null (outlives the
  /// machine).
  [[nodiscard]] Result<Vm*> add_vm(VmConfig config, const Images& images,
                                   ConsoleSink* console = nullptr);

  /// Runs until something of RunReport happens; at most `max_instructions` more (all VMs together).
  [[nodiscard]] RunReport run(std::uint64_t max_instructions = kNever);

  /// Those that are Destroyed, too.
  [[nodiscard]] std::size_t vm_num() const;
  [[nodiscard]] Vm& vm(std::size_t index);
  /// The physical CPU that ran a vCPU last; nothing where it has not run, or no VM has
  /// `phys_cpu_sets`.
  [[nodiscard]] std::optional<std::uint32_t> phys_cpu_of(const Vm& vm, VcpuId vcpu) const;
  /// Everything `vm` has printed.
  [[nodiscard]] const std::string& console_of(const Vm& vm) const;

  // What comes from outside. Through these it reaches the observer, and a replay can do it again.
  /// A byte typed at the console of `vm`; false where its buffer is full, or it is Destroyed.
  [[nodiscard]] bool type(Vm& vm, char byte);
  /// As many of `bytes` as it takes, up to the first that it does not take, as one input (each
  /// 512 KiB one, where it takes that much); how many those were. None taken is no input.
  [[nodiscard]] std::size_t type(Vm& vm, std::string_view bytes);
  [[nodiscard]] Result<> inject(Vm& vm, VcpuId vcpu, std::uint64_t vector);
  [[nodiscard]] Result<> map(Vm& vm, const traces::MapInput& map);
  [[nodiscard]] Result<> unmap(Vm& vm, const traces::UnmapInput& unmap);
  [[nodiscard]] Result<> write_memory(Vm& vm, GuestPhys to, std::string_view bytes);
  /// As Vm::grow_memory().
  [[nodiscard]] Result<> grow(Vm& vm, const traces::GrowInput& grow);
  /// As Vm::suspend() and Vm::resume().
  [[nodiscard]] Result<> suspend(Vm& vm);
  [[nodiscard]] Result<> resume(Vm& vm);
  /// As Vm::shutdown(); its inter-VM channels end, too.
  [[nodiscard]] Result<> shutdown(Vm& vm);
  /// The VM in place as add_vm() made it: nothing of what has run is left but what its console has
  /// printed. It boots at the next run(). Vm::reset() says what becomes of its parts. Where it
  /// cannot be built again, or its images do not load, it has Failed, and the Error says why.
  [[nodiscard]] Result<> reset(Vm& vm, const Images& images);
  /// Shuts the VM down where it runs, and gives every frame back. Its id is free again.
  [[nodiscard]] Result<> destroy(Vm& vm);
  /// Any of them, as a trace has it. `images` are those that a reset loads; may be null where there
  /// is none.
  [[nodiscard]] Result<> apply(Vm& vm, const traces::Input& input, const Images* images = nullptr);

  /// How much an observer hears: Inputs costs the guest nothing.
  enum class Listen : std::uint8_t { Inputs, Everything };
  /// Of all VMs that are there now; null for none. Outlives its registration.
  void set_observer(MachineObserver* observer, Listen listen = Listen::Everything);
  /// Beside that one: hears everything of all VMs that are there now. Outlives the machine, or
  /// remove_listener().
  void add_listener(Observer& listener);
  void remove_listener(Observer& listener);

  /// From here on the scheduler draws from this seed.
  void reseed(std::uint64_t seed);

  /// From an observer or an alarm: run() returns (Interrupted) before the guest's next instruction.
  void request_stop();
  /// For signal handlers and other threads: run() returns (Interrupted) soon after `*flag` became
  /// true, between two instructions. Null for none; outlives the machine, or this call with null.
  void set_stop_flag(const std::atomic<bool>* flag);

  /// Registers, RAM, devices, interrupt state, console of all VMs, and the clock.
  [[nodiscard]] std::uint64_t digest() const;

 private:
  struct State;
  explicit Machine(std::unique_ptr<State> state);
  /// The position of a VM of this machine.
  [[nodiscard]] std::size_t position_of(const Vm& vm) const;
  /// Why the machine stops once a VM has ended, or nothing while others run on.
  [[nodiscard]] std::optional<StopReason> ended() const;
  /// Why nobody can run.
  [[nodiscard]] StopReason without_runnable() const;
  [[nodiscard]] std::string detail_of(StopReason reason) const;
  [[nodiscard]] Hypervisor& hypervisor();
  void tell(const Vm& vm, traces::Input input);
  /// Who listens has changed.
  void connect_observers();
  std::unique_ptr<State> state_;
};

}  // namespace retrap
