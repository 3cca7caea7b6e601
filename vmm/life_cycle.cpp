// The life of a VM: one table of transitions.
#include "vmm/life_cycle.h"

#include <utility>

#include "vmm/base/check.h"

namespace retrap {

std::string_view to_string(VmState state) {
  switch (state) {
    case VmState::Ready:     return "Ready";
    case VmState::Running:   return "Running";
    case VmState::Stopped:   return "Stopped";
    case VmState::Paused:    return "Paused";
    case VmState::Stopping:  return "Stopping";
    case VmState::Failed:    return "Failed";
    case VmState::Destroyed: return "Destroyed";
  }
  return "?";
}

std::string_view to_string(VmEnd end) {
  switch (end) {
    case VmEnd::None:       return "none";
    case VmEnd::PoweredOff: return "powered-off";
    case VmEnd::Reset:      return "reset";
    case VmEnd::ShutDown:   return "shut-down";
    case VmEnd::Fault:      return "fault";
  }
  return "?";
}

tl::unexpected<Error> LifeCycle::refuse(std::string_view operation) const {
  return fail(ErrorCode::BadState, "vm {} cannot {}: it is {}", index(id_), operation,
              to_string(state_));
}

Result<> LifeCycle::move(VmState from, VmState to, std::string_view operation) {
  if (state_ != from) return refuse(operation);
  state_ = to;
  return {};
}

Result<> LifeCycle::boot() {
  return move(VmState::Ready, VmState::Running, "boot");
}

Result<> LifeCycle::suspend() {
  return move(VmState::Running, VmState::Paused, "suspend");
}

Result<> LifeCycle::resume() {
  return move(VmState::Paused, VmState::Running, "resume");
}

Result<> LifeCycle::end(VmEnd reason, std::string detail) {
  RETRAP_CHECK(reason != VmEnd::None, "a VM ends for a reason");
  if (state_ != VmState::Ready && state_ != VmState::Running && state_ != VmState::Paused) {
    return refuse(reason == VmEnd::Fault ? "fail" : "shut down");
  }
  reason_ = reason;
  detail_ = std::move(detail);
  state_ = VmState::Stopping;
  if (inside_ == 0) state_ = reason == VmEnd::Fault ? VmState::Failed : VmState::Stopped;
  return {};
}

void LifeCycle::leave() {
  RETRAP_CHECK(inside_ != 0, "only a vcpu that went in comes back");
  --inside_;
  if (inside_ != 0 || state_ != VmState::Stopping) return;
  state_ = reason_ == VmEnd::Fault ? VmState::Failed : VmState::Stopped;
}

Result<> LifeCycle::reset() {
  if (state_ == VmState::Stopping || state_ == VmState::Destroyed) return refuse("reset");
  if (inside_ != 0) {
    return fail(ErrorCode::BadState, "vm {} cannot reset: a vcpu of it runs", index(id_));
  }
  state_ = VmState::Ready;
  reason_ = VmEnd::None;
  detail_.clear();
  return {};
}

Result<> LifeCycle::destroy() {
  if (state_ != VmState::Ready && state_ != VmState::Stopped && state_ != VmState::Failed) {
    return refuse("be destroyed");
  }
  if (reason_ == VmEnd::None) reason_ = VmEnd::ShutDown;
  state_ = VmState::Destroyed;
  return {};
}

}  // namespace retrap
