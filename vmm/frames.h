// Host frames and who owns each: no frame freed while mapped, none shared by accident.
#pragma once

#include <cstdint>
#include <map>

#include "vmm/base/result.h"
#include "vmm/host_memory.h"
#include "vmm/ids.h"

namespace retrap {

/// What a frame is used for.
enum class FrameUse : std::uint8_t { GuestRam, PageTable, Shared };

struct FrameOwner {
  VmId vm;
  FrameUse use;
  friend auto operator<=>(const FrameOwner&, const FrameOwner&) = default;
};

/// Hands out runs of zeroed 4 KiB frames of one HostMemory and keeps the ledger.
///
/// Invariant: allocated runs are disjoint and page aligned; free space is what is left.
class Frames {
 public:
  explicit Frames(HostMemory& memory);

  /// A zeroed run of `size` bytes (rounded up to 4 KiB) aligned to `align` (a power of two, at
  /// least 4096). First fit, lowest address. InvalidInput for size 0, NoMemory where none fits.
  [[nodiscard]] Result<HostPhys> allocate(std::uint64_t size, std::uint64_t align,
                                          FrameOwner owner);

  /// Exactly [at, at + size): identity mappings. AlreadyExists names the owner in the way.
  [[nodiscard]] Result<> allocate_at(HostPhys at, std::uint64_t size, FrameOwner owner);

  /// Another mapping of the run that starts at `at`; free() then only counts down.
  [[nodiscard]] Result<> share(HostPhys at);

  /// Gives back the run that starts at `at`. NotFound where no run starts there.
  [[nodiscard]] Result<> free(HostPhys at);

  /// Whether all of [at, at + size) lies in runs of `vm`.
  [[nodiscard]] bool owns(VmId vm, HostPhys at, std::uint64_t size) const;
  [[nodiscard]] std::uint64_t bytes_of(VmId vm) const;  ///< allocated now
  [[nodiscard]] std::uint64_t bytes_free() const;
  [[nodiscard]] HostMemory& memory() { return memory_; }
  [[nodiscard]] const HostMemory& memory() const { return memory_; }

 private:
  struct Run {
    std::uint64_t size;
    FrameOwner owner;
    std::uint32_t references;
  };
  HostMemory& memory_;
  std::map<HostPhys, Run> runs_;
};

}  // namespace retrap
