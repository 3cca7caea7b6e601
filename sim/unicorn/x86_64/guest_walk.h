// Stage 1: the guest's own page tables, each of them reached through stage 2.
#pragma once

#include "sim/unicorn/x86_64/code_pages.h"
#include "sim/unicorn/x86_64/env.h"
#include "sim/unicorn/x86_64/nested.h"
#include "vmm/base/bytes.h"

namespace retrap::unicorn::x86_64 {

/// The registers that a walk depends on.
struct PagingMode {
  std::uint64_t cr0;
  std::uint64_t cr3;
  std::uint64_t cr4;
  std::uint64_t efer;
  bool ac;  ///< RFLAGS.AC: lifts SMAP

  [[nodiscard]] static PagingMode of(const EnvHead& head) {
    return {head.cr[0], head.cr[3], head.cr[4], head.efer, (head.eflags & rflags::kAc) != 0};
  }
  friend bool operator==(const PagingMode&, const PagingMode&) = default;
};

/// Whether a walk may change the guest's tables.
enum class Marks : std::uint8_t {
  Set,   ///< accessed and dirty bits, as the CPU does
  Peek,  ///< none, and no permission counts: for looks at code that has been fetched already
};

/// The end of a walk. `page` has what a TLB entry may grant, with stage 1's limits only.
struct Walk {
  Translation::Kind kind = Translation::Kind::Ok;
  std::uint64_t gpa = 0;    ///< NestedFault: of the entry that could not be read
  std::uint64_t error = 0;  ///< #PF error code, or EXITINFO1
  bool readable = false;
  bool writable = false;  ///< without another walk: allowed, and dirty already
  bool executable = false;
};

class GuestWalker {
 public:
  GuestWalker(NestedWalker& nested, HostMemory& memory, CodePages& code)
      : nested_(nested), memory_(memory), code_(code) {}

  [[nodiscard]] Walk walk(const PagingMode& mode, std::uint64_t linear, Access access,
                          Privilege privilege, Marks marks) {
    if (device_.linear == linear && device_.holds(mode, access, privilege)) return device_.walk;
    return walk_anew(mode, linear, access, privilege, marks);
  }

  /// The walk that has just been made ends at a device, and will be asked for again. As long as its
  /// table entries stay as they are, so does its end.
  void remember(const PagingMode& mode, std::uint64_t linear, Access access, Privilege privilege,
                const Walk& walk);
  /// Stage 2 has lost something.
  void forget() { device_.linear = kNowhere; }

 private:
  static constexpr std::uint64_t kNowhere = 1;  ///< no page begins there

  /// The table entries of a walk, each where it is.
  struct Trail {
    struct Step {
      const std::byte* bytes;
      std::uint64_t value;
    };
    std::array<Step, 4> steps;
    unsigned count = 0;
  };
  struct Device {
    std::uint64_t linear = kNowhere;
    PagingMode mode{};
    Access access{};
    Privilege privilege{};
    Walk walk;
    Trail trail;

    [[nodiscard]] bool holds(const PagingMode& now, Access wanted, Privilege by) const {
      if (wanted != access || by != privilege || now != mode) return false;
      for (unsigned i = 0; i < trail.count; ++i) {
        std::uint64_t value = 0;
        std::memcpy(&value, trail.steps[i].bytes, sizeof value);
        if (value != trail.steps[i].value) return false;
      }
      return true;
    }
  };
  [[nodiscard]] Walk walk_anew(const PagingMode& mode, std::uint64_t linear, Access access,
                               Privilege privilege, Marks marks);

  struct Entry {
    std::byte* bytes;
    std::uint64_t gpa;
    std::uint64_t host;
    std::uint64_t value;
    bool wide;  ///< 64 bits
  };
  /// Reads a table entry; false where stage 2 refuses (`walk` says so then).
  [[nodiscard]] bool read_entry(std::uint64_t gpa, bool wide, Marks marks, Entry& entry,
                                Walk& walk);
  void set_bits(Entry& entry, std::uint64_t bits);
  void note_step(const Entry& entry) {
    trail_.steps[trail_.count++] = {entry.bytes, little_endian(entry.value)};
  }
  template <class Format>
  [[nodiscard]] Walk walk_tables(std::uint64_t table, const PagingMode& mode, std::uint64_t linear,
                                 Access access, Privilege privilege, Marks marks);

  NestedWalker& nested_;
  HostMemory& memory_;
  CodePages& code_;
  Trail trail_;  ///< of the last walk in long mode
  Device device_;
};

/// Whether `linear` is canonical for 48 bits.
[[nodiscard]] constexpr bool is_canonical(std::uint64_t linear) {
  return sign_extend(linear, 48) == linear;
}

}  // namespace retrap::unicorn::x86_64
