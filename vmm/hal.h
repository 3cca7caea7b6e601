// What the monitor needs from below.
#pragma once

#include "vmm/architecture.h"
#include "vmm/clock.h"
#include "vmm/frames.h"
#include "vmm/host_devices.h"

namespace retrap {

/// The host: frames, virtual time, and the architectures it can virtualize.
class Hal {
 public:
  virtual ~Hal() = default;
  [[nodiscard]] virtual Frames& frames() = 0;
  [[nodiscard]] virtual Clock& clock() = 0;
  /// Null where the host has no virtualization hardware for `arch`.
  [[nodiscard]] virtual Architecture* architecture(ArchId arch) = 0;
  /// Decides what is left to chance: the bytes of entropy devices.
  [[nodiscard]] virtual std::uint64_t seed() const { return 1; }
  /// What it can pass through beside its memory; null where there is nothing.
  [[nodiscard]] virtual HostDevices* host_devices() { return nullptr; }
};

/// Whether `hal` can run guests of `arch`.
[[nodiscard]] inline bool has_hardware_support(Hal& hal, ArchId arch) {
  return hal.architecture(arch) != nullptr;
}

}  // namespace retrap
