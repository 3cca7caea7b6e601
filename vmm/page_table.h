// Stage-2 page tables: one algorithm, three formats.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/exit.h"
#include "vmm/frames.h"

namespace retrap {

/// How an architecture writes its stage-2 tables. A value without state; lives as long as the
/// program. Levels count down: level 0 holds 4 KiB leaves, 1 2 MiB, 2 1 GiB.
class PageTableFormat {
 public:
  enum class Kind : std::uint8_t { Invalid, Table, Leaf };

  /// An entry taken apart.
  struct Entry {
    Kind kind;
    HostPhys address;    ///< of the next table, or of the page
    MappingFlags flags;  ///< of a leaf: Read, Write, Execute, Device, Uncached
  };

  virtual ~PageTableFormat() = default;
  [[nodiscard]] virtual unsigned levels() const = 0;          ///< 3 or 4
  [[nodiscard]] virtual unsigned address_bits() const = 0;    ///< width of a GPA
  [[nodiscard]] virtual std::uint64_t root_size() const = 0;  ///< bytes; also its alignment
  [[nodiscard]] virtual std::uint64_t encode_leaf(HostPhys page, unsigned level,
                                                  MappingFlags flags) const = 0;
  [[nodiscard]] virtual std::uint64_t encode_table(HostPhys table) const = 0;
  [[nodiscard]] virtual Entry decode(std::uint64_t entry, unsigned level) const = 0;
};

/// A stage-2 table in frames of its own VM.
///
/// Invariant: every table page below the root is owned by `owner` and referenced exactly once.
class PageTable {
 public:
  struct Translation {
    HostPhys address;
    MappingFlags flags;
    unsigned level;  ///< of the leaf
  };

  /// A leaf where it lies.
  struct Leaf {
    GuestPhys base;
    Translation target;  ///< of the whole leaf
    HostPhys entry;      ///< where it is written

    [[nodiscard]] GuestPhys last() const {
      return base.wrapping_add((kPageSize << (9 * target.level)) - 1);
    }
  };

  [[nodiscard]] static Result<PageTable> make(const PageTableFormat& format, Frames& frames,
                                              VmId owner);
  PageTable(PageTable&& other) noexcept;
  PageTable& operator=(PageTable&&) = delete;
  PageTable(const PageTable&) = delete;
  ~PageTable();

  /// Maps [at, at + size) to [to, to + size) with the largest leaves that alignment allows (or
  /// only 4 KiB ones). All page aligned; at + size within address_bits. AlreadyExists where a
  /// leaf is in the way, NoMemory without frames for tables; then nothing has changed.
  [[nodiscard]] Result<> map(GuestPhys at, HostPhys to, std::uint64_t size, MappingFlags flags);

  /// Unmaps whatever is mapped in [at, at + size); splits blocks; frees tables that become empty.
  [[nodiscard]] Result<> unmap(GuestPhys at, std::uint64_t size);

  /// Changes the permissions of what is mapped in [at, at + size).
  [[nodiscard]] Result<> protect(GuestPhys at, std::uint64_t size, MappingFlags flags);

  /// Makes leaves end at both ends of the range, so that unmap() and protect() cannot fail there.
  /// Changes no translation.
  [[nodiscard]] Result<> split_around(GuestPhys at, std::uint64_t size);

  [[nodiscard]] std::optional<Translation> translate(GuestPhys at) const;
  /// The leaf that covers `from`, or else the first one above it that begins at or below `last`.
  [[nodiscard]] std::optional<Leaf> next_leaf(GuestPhys from, GuestPhys last) const;
  [[nodiscard]] HostPhys root() const { return root_; }
  [[nodiscard]] const PageTableFormat& format() const { return *format_; }

 private:
  /// What map() has to do below one table.
  struct Job {
    GuestPhys at;
    std::uint64_t size;
    HostPhys to;
    MappingFlags flags;
  };

  PageTable(const PageTableFormat& format, Frames& frames, VmId owner, HostPhys root);

  [[nodiscard]] Result<> check(GuestPhys at, std::uint64_t size, MappingFlags flags) const;
  [[nodiscard]] HostMemory& memory() const;
  [[nodiscard]] unsigned top_level() const;
  [[nodiscard]] std::uint64_t entries(unsigned level) const;
  /// Where the entry for `at` is in a table of `level`.
  [[nodiscard]] HostPhys slot(HostPhys table, unsigned level, GuestPhys at) const;
  [[nodiscard]] Result<HostPhys> new_table();
  [[nodiscard]] bool map_in(HostPhys table, unsigned level, const Job& job);
  void unmap_in(HostPhys table, unsigned level, GuestPhys at, std::uint64_t size);
  [[nodiscard]] Result<> split_at(GuestPhys at);
  [[nodiscard]] bool is_empty(HostPhys table) const;
  void free_table(HostPhys table, unsigned level);

  const PageTableFormat* format_;  ///< never null; outlives this
  Frames* frames_;                 ///< outlives this; null once moved from
  VmId owner_;
  HostPhys root_;
};

}  // namespace retrap
