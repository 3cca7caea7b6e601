// How a device reads and writes the memory of its VM by itself.
#pragma once

#include <cstdint>
#include <span>

#include "vmm/address_space.h"

namespace retrap {

enum class DmaAccess : std::uint8_t { Read, Write };

/// What devices were refused.
struct DmaCounters {
  std::uint64_t refused_reads = 0;
  std::uint64_t refused_writes = 0;
};

/// Memory as a device sees it. A refused access has moved no byte and is counted.
class Dma {
 public:
  virtual ~Dma() = default;

  /// Whether all `bytes` from `at` on can be accessed. Counts a refusal. True for no bytes.
  [[nodiscard]] virtual bool allows(DmaAccess access, GuestPhys at, std::uint64_t bytes) = 0;
  /// False, and nothing read, where allows() is.
  [[nodiscard]] virtual bool read(GuestPhys from, std::span<std::byte> into) = 0;
  /// False, and nothing written, where allows() is, or the host has no frame left.
  [[nodiscard]] virtual bool write(GuestPhys to, std::span<const std::byte> from) = 0;
};

/// Through stage 2, and only into RAM of the VM, a reserved host range of its configuration, too:
/// windows to memory of others (passthrough, inter-VM channels, the embedder's) are refused, and so
/// is writing what the guest may only read.
/// A write is one of the monitor: pages are marked written and translated code is dropped.
class GuestDma final : public Dma {
 public:
  /// The memory (null for none) that is accessed from now on; it outlives its attachment. The
  /// counters begin at zero.
  void attach(AddressSpace* memory) {
    memory_ = memory;
    counters_ = {};
  }

  [[nodiscard]] bool allows(DmaAccess access, GuestPhys at, std::uint64_t bytes) override;
  [[nodiscard]] bool read(GuestPhys from, std::span<std::byte> into) override;
  [[nodiscard]] bool write(GuestPhys to, std::span<const std::byte> from) override;

  [[nodiscard]] const DmaCounters& counters() const { return counters_; }

 private:
  [[nodiscard]] bool reaches(DmaAccess access, GuestPhys at, std::uint64_t bytes) const;
  [[nodiscard]] bool count(DmaAccess access, bool done);

  AddressSpace* memory_ = nullptr;
  DmaCounters counters_;
};

}  // namespace retrap
