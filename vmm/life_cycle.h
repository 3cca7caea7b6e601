// The life of a VM: its states, what moves it from one to another, and why it ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/base/result.h"
#include "vmm/ids.h"

namespace retrap {

/// Ready -boot-> Running <-suspend, resume-> Paused. All three end in Stopped, or in Failed where
/// the guest could not go on; in between they are Stopping while a vCPU is still in the run loop.
/// The numbers are part of digests.
enum class VmState : std::uint8_t {
  Ready = 0,
  Running = 1,
  Stopped = 2,
  Paused = 3,
  Stopping = 4,
  Failed = 5,
  Destroyed = 6,  ///< no memory, no devices, no vCPUs: only its name is left
};

[[nodiscard]] std::string_view to_string(VmState state);

/// Why a VM is Stopping, Stopped or Failed.
enum class VmEnd : std::uint8_t {
  None,        ///< it has not ended
  PoweredOff,  ///< by the guest
  Reset,       ///< the guest asked for a reset
  ShutDown,    ///< by the embedder
  Fault,       ///< the guest or its hardware could not go on
};

[[nodiscard]] std::string_view to_string(VmEnd end);

/// A refused transition is BadState, names the operation and the state, and changes nothing.
///
/// Invariant: Stopping only while a vCPU is in the run loop; reason() is None in Ready, Running and
/// Paused, and only there.
class LifeCycle {
 public:
  explicit LifeCycle(VmId id) : id_(id) {}

  [[nodiscard]] VmState state() const { return state_; }
  [[nodiscard]] bool is_running() const { return state_ == VmState::Running; }
  [[nodiscard]] VmEnd reason() const { return reason_; }
  /// One clause that says more, or nothing.
  [[nodiscard]] const std::string& detail() const { return detail_; }

  [[nodiscard]] Result<> boot();     ///< Ready -> Running
  [[nodiscard]] Result<> suspend();  ///< Running -> Paused
  [[nodiscard]] Result<> resume();   ///< Paused -> Running
  /// Ready, Running, Paused -> Stopped (Failed for a Fault), through Stopping where a vCPU is in
  /// the run loop. `reason` is not None.
  [[nodiscard]] Result<> end(VmEnd reason, std::string detail = {});
  /// Every state but Stopping and Destroyed -> Ready, while no vCPU is in the run loop.
  [[nodiscard]] Result<> reset();
  [[nodiscard]] Result<> destroy();  ///< Ready, Stopped, Failed -> Destroyed

  /// A vCPU goes into the run loop, and comes back from it.
  void enter() { ++inside_; }
  void leave();
  /// Whether any is there.
  [[nodiscard]] bool is_inside() const { return inside_ != 0; }

  /// The refusal of an operation in this state.
  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view operation) const;

 private:
  [[nodiscard]] Result<> move(VmState from, VmState to, std::string_view operation);

  VmId id_;
  VmState state_ = VmState::Ready;
  VmEnd reason_ = VmEnd::None;
  std::uint32_t inside_ = 0;  ///< vCPUs in the run loop
  std::string detail_;
};

}  // namespace retrap
