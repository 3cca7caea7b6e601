// Several VMs: what the exits mean that Vm::run_vcpu returns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/ivc.h"
#include "vmm/vm.h"

namespace retrap {

/// What a vCPU is doing, for whoever schedules it.
enum class VcpuActivity : std::uint8_t {
  Off,  ///< not started, or switched off by itself
  Runnable,
  Waiting,  ///< halted until an interrupt
};

/// What has become of a VM: its state and the reason for it, in a word.
enum class VmFate : std::uint8_t { Alive, PoweredOff, Reset, Crashed, ShutDown, Destroyed };

/// Why a vCPU came back.
enum class AfterExit : std::uint8_t {
  Reschedule,   ///< it waits or went off, another vCPU started or woke, or the VM ended
  BudgetSpent,  ///< the end of the slice
};

/// The hypercall numbers of axvm.
enum class HypercallNumber : std::uint32_t {
  HypervisorDisable = 0,
  HypervisorPrepareDisable = 1,
  HypervisorDebug = 2,
  IvcPublishChannel = 3,
  IvcSubscribeChannel = 4,
  IvcUnpublishChannel = 5,
  IvcUnsubscribeChannel = 6,
  IvcNotify = 7,
};

/// The VMs of one host, and the power state of their vCPUs. Nothing a guest asks for fails here:
/// it gets an architectural answer, or its own VM ends.
class Hypervisor {
 public:
  /// A vCPU of one of the VMs, by position.
  struct Place {
    std::size_t vm;
    VcpuId vcpu;
    friend bool operator==(const Place&, const Place&) = default;
  };

  /// Takes a VM that is Ready. AlreadyExists where another has its id and is not Destroyed.
  [[nodiscard]] Result<Vm*> adopt(std::unique_ptr<Vm> vm);

  [[nodiscard]] std::size_t vm_num() const { return guests_.size(); }
  [[nodiscard]] Vm& vm(std::size_t index) { return *guests_[index].vm; }
  [[nodiscard]] const Vm& vm(std::size_t index) const { return *guests_[index].vm; }
  /// How many have neither ended nor crashed.
  [[nodiscard]] std::size_t live_vms() const;
  [[nodiscard]] VmFate fate(std::size_t vm) const;
  /// Why a VM crashed, one clause. Empty for the others.
  [[nodiscard]] const std::string& detail(std::size_t vm) const {
    return guests_[vm].vm->life().detail();
  }
  /// Off for all vCPUs of a VM that is not Running.
  [[nodiscard]] VcpuActivity activity(Place place) const;

  /// As Vm has them, with what a VM shares with others: one that has ended takes part in no
  /// channel any more. destroy() shuts down first. Not while a vCPU runs.
  [[nodiscard]] Result<> shutdown(std::size_t vm);
  [[nodiscard]] Result<> reset(std::size_t vm);
  [[nodiscard]] Result<> destroy(std::size_t vm);

  [[nodiscard]] const IvcChannels& channels() const { return channels_; }

  /// Boots every VM that is Ready: its boot vCPU becomes Runnable.
  void boot_all();

  /// Runs a Runnable vCPU until an exit that changes what others do, the first exit once its turn
  /// is due (Clock::turn_due()), or the end of its slice; does what the exits ask for.
  [[nodiscard]] AfterExit run(Place place);

  /// Waiting vCPUs with a pending interrupt become Runnable; true where there was one.
  bool wake();

 private:
  struct Guest {
    std::unique_ptr<Vm> vm;
    std::vector<VcpuActivity> activity;  ///< by VcpuId
  };

  class Answers;

  /// Whether the vCPU goes on: nothing changed for the others.
  [[nodiscard]] bool handle(Place place, const ExitReason& exit);
  [[nodiscard]] bool on(Place place, const exits::Hypercall& call);
  /// The value of the return register.
  [[nodiscard]] std::uint64_t answer_to(Place place, const exits::Hypercall& call);
  [[nodiscard]] std::uint64_t answer_channel_call(Place place, const exits::Hypercall& call);
  [[nodiscard]] bool on(Place place, const exits::Halt& halt);
  [[nodiscard]] bool on(Place place, const exits::CpuUp& up);
  [[nodiscard]] bool on(Place place, const exits::SendIPI& ipi);
  [[nodiscard]] bool switch_off(Place place);
  void become(Place place, VcpuActivity now);
  [[nodiscard]] bool end(Place place, VmEnd reason, std::string detail = {});
  /// The VM has ended, or begins again.
  void let_go(std::size_t vm);
  /// The embedder may have ended some behind our back.
  void let_go_of_ended();
  [[nodiscard]] ArchVcpu& arch(Place place) {
    return (*guests_[place.vm].vm->vcpu(place.vcpu))->arch();
  }

  std::vector<Guest> guests_;
  std::size_t waiting_ = 0;  ///< vCPUs
  IvcChannels channels_;
};

}  // namespace retrap
