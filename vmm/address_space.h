// Stage 2: what a guest-physical address of one VM means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "vmm/base/digest.h"
#include "vmm/page_table.h"

namespace retrap {

/// Where the frames of a region come from: the map_type numbers of the configuration.
enum class MapType : std::uint8_t {
  Alloc = 0,      ///< frames we allocate
  Identical = 1,  ///< GPA == HPA
  Reserved = 2,   ///< a host range that the region does not own
};

/// Eager: every frame at map time. Lazy: at the first access.
enum class Populate : std::uint8_t { Eager, Lazy };

/// What a region is to its VM.
enum class RegionUse : std::uint8_t {
  Ram,     ///< the VM's memory, whoever owns the frames
  Window,  ///< to what is others': a passthrough window, an inter-VM channel
};

struct Region {
  GuestRange range;
  std::string name;
  MappingFlags flags;
  RegionUse use;
  MapType type;
  Populate populate;
  HostPhys host;  ///< of range.base(); only where the frames are one run (not Lazy)
};

/// What became of a nested fault. Never "warn and retry".
enum class FaultOutcome : std::uint8_t {
  Populated,   ///< a frame is there now: run the instruction again
  Permission,  ///< memory is there, and this access is not allowed
  Unmapped,    ///< nothing is there
  NoMemory,    ///< the host has no frame left
};

/// The guest-physical map of one VM and its stage-2 table.
///
/// Invariant (V1): regions are sorted by base and do not overlap.
/// Invariant (V2): a leaf exists only inside a region and grants no more than its flags.
/// Invariant (V3): every frame mapped from an Alloc or Identical region is owned by this VM.
class AddressSpace {
 public:
  [[nodiscard]] static Result<AddressSpace> make(const PageTableFormat& format, Frames& frames,
                                                 VmId owner);
  AddressSpace(AddressSpace&&) noexcept = default;
  ~AddressSpace();

  /// RAM that this VM owns (Reserved: a host range at the same address that it does not own, as
  /// map_linear has it; Identical is always Eager). Base and size are multiples of 4 KiB, inside
  /// the format's address width. InvalidInput, AlreadyExists (naming the other region), NoMemory;
  /// on error nothing has changed. The flags have at least Read and neither Device nor Uncached.
  [[nodiscard]] Result<> map_ram(GuestPhys base, std::uint64_t size, MappingFlags flags,
                                 MapType type, Populate populate, std::string name);

  /// Maps a host range that somebody else owns: passthrough windows, shared memory.
  [[nodiscard]] Result<> map_linear(GuestPhys base, HostPhys host, std::uint64_t size,
                                    MappingFlags flags, std::string name);

  /// Removes [base, base + size): regions are split, owned frames are freed. Unmapped addresses
  /// in the range are no error; a range that touches no region is NotFound.
  [[nodiscard]] Result<> unmap(GuestPhys base, std::uint64_t size);

  /// The region that holds all `bytes` from `at` on, or null.
  [[nodiscard]] const Region* find(GuestPhys at, std::uint64_t bytes = 1) const;
  [[nodiscard]] std::span<const Region> regions() const { return regions_; }

  /// Answers a nested fault: populates a lazy page or says why it cannot.
  [[nodiscard]] FaultOutcome handle_fault(GuestPhys at, MappingFlags access);

  [[nodiscard]] std::optional<HostPhys> translate(GuestPhys at) const;

  /// Copies bytes out of and into RAM, across regions. The permissions of the regions do not bind
  /// the monitor. NotFound names the first address with nothing behind it; nothing has been written
  /// then. A write populates lazy pages, a read sees zeroes there. Access is byte-exact; no
  /// alignment is required.
  [[nodiscard]] Result<> read(GuestPhys from, std::span<std::byte> into);
  [[nodiscard]] Result<> write(GuestPhys to, std::span<const std::byte> from);

  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] Result<T> load(GuestPhys from) {
    T value;
    return read(from, std::as_writable_bytes(std::span(&value, 1))).map([&] { return value; });
  }
  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] Result<> store(GuestPhys to, const T& value) {
    return write(to, std::as_bytes(std::span(&value, 1)));
  }

  /// Zeroes all owned RAM (reset). Lazy pages stay populated.
  void clear();

  [[nodiscard]] HostPhys root() const { return table_.root(); }
  [[nodiscard]] const PageTableFormat& format() const { return table_.format(); }

  /// Grows whenever a mapping went away or lost a permission: engines then drop cached
  /// translations before the guest runs on.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

  /// Guest-visible contents of RAM by guest-physical address: the same for eager and lazy, and for
  /// any placement of frames. Pages that are all zero add nothing.
  void digest(Digest& into) const;

  /// A part of guest memory: `size` is a power of two from 4 KiB on, and `base` a multiple of it.
  struct Piece {
    GuestPhys base;
    std::uint64_t size;
    std::uint64_t digest;  ///< as digest(), of this part
  };
  /// The pieces that are not all zero, in order. All are of one size, the smallest with which no
  /// more than `most` (or the number of regions) cover the memory there is.
  [[nodiscard]] std::vector<Piece> pieces(std::uint64_t most) const;

 private:
  AddressSpace(PageTable table, Frames& frames, VmId owner);

  [[nodiscard]] Result<> map_host(GuestPhys base, HostPhys host, std::uint64_t size,
                                  MappingFlags flags, std::string name, RegionUse use);
  [[nodiscard]] Result<> check_free(GuestRange range, std::string_view name) const;
  [[nodiscard]] Result<> check_mapped(GuestPhys at, std::uint64_t bytes) const;
  [[nodiscard]] Result<HostPhys> allocate_run(std::uint64_t size);
  [[nodiscard]] Result<HostPhys> allocate_identical(GuestRange range);
  [[nodiscard]] bool populate(const Region& region, GuestPhys page);
  /// Gives back the frames of `range`, which lies in `region`. The table still maps them.
  void release(const Region& region, GuestRange range);
  [[nodiscard]] static Region part_of(const Region& region, GuestPhys base, std::uint64_t size);
  void insert(Region region);
  [[nodiscard]] std::uint64_t piece_size(std::uint64_t most) const;
  /// visit(page, bytes) for each page that is not all zero, in order.
  template <class Visit>
  void for_each_page(Visit visit) const;
  /// visit(base, host, size) for what is mapped in `range`, in order.
  template <class Visit>
  void for_each_leaf(GuestRange range, Visit visit) const;

  PageTable table_;
  Frames* frames_;  ///< never null; outlives this
  VmId owner_;
  std::vector<Region> regions_;
  std::uint64_t generation_ = 0;
};

}  // namespace retrap
