// Host frames and who owns each: no frame freed while mapped, none shared by accident.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "vmm/base/result.h"
#include "vmm/host_memory.h"
#include "vmm/ids.h"

namespace retrap {

/// What a frame is used for.
enum class FrameUse : std::uint8_t { GuestRam, PageTable, Shared };

[[nodiscard]] std::string_view to_string(FrameUse use);

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

  /// Another mapping of whatever is in [at, at + size), so that nobody can free it: free frames
  /// become `owner`'s, runs of `owner.vm` and Shared ones get one reference more. PermissionDenied
  /// names a page table or another VM's memory in the range; nothing has changed then.
  [[nodiscard]] Result<> hold(HostPhys at, std::uint64_t size, FrameOwner owner);

  /// Takes one reference from all of [at, at + size), which may be part of runs. Requires that
  /// all of it is allocated.
  void release(HostPhys at, std::uint64_t size);

  /// Whether all of [at, at + size) lies in runs of `vm`.
  [[nodiscard]] bool owns(VmId vm, HostPhys at, std::uint64_t size) const;
  /// Who has the frame of `at`, or nobody.
  [[nodiscard]] std::optional<FrameOwner> owner_of(HostPhys at) const;
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
  using Runs = std::map<HostPhys, Run>;

  [[nodiscard]] Result<> check_range(HostPhys at, std::uint64_t size) const;
  /// The first run that ends above `at`.
  [[nodiscard]] Runs::const_iterator first_above(HostPhys at) const;
  void take(HostPhys at, std::uint64_t size, FrameOwner owner);
  void give_back(HostPhys at, std::uint64_t size);
  /// Makes the run that contains `at`, if any, two that meet there.
  void split(HostPhys at);

  HostMemory& memory_;
  Runs runs_;
  std::map<HostPhys, std::uint64_t> free_;  ///< base -> size; no two of them touch
};

}  // namespace retrap
