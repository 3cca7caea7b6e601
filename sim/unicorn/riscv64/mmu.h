// The MMU of the simulated harts: both stages, the rule for code pages, and what it remembers.
#pragma once

#include <unicorn/unicorn.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "arch/riscv64/translation.h"
#include "sim/unicorn/engine.h"
#include "sim/unicorn/riscv64/block_counts.h"
#include "vmm/address_space.h"
#include "vmm/host_memory.h"

namespace retrap::unicorn::riscv64 {

using retrap::riscv64::AccessKind;
using retrap::riscv64::Cause;
using retrap::riscv64::Privilege;
using retrap::riscv64::VsContext;

/// What a walk through both stages gave.
struct Translated {
  bool ok = false;
  std::uint8_t rights = 0;  ///< of both stages, without the right to write while D is clear
  std::uint64_t hpa = 0;
  // Where not ok:
  Cause cause = Cause::LoadPageFault;
  std::uint64_t gpa = 0;  ///< guest-page faults: of the access, or of the page-table entry
  bool implicit = false;
  bool implicit_write = false;
};

/// What an Mmu is plugged into. All outlive it.
struct MmuParts {
  HostMemory& memory;
  AddressSpace& space;
  Engine& engine;
  BlockCounts& blocks;
  CodeListener& listener;  ///< the one that drops this engine's translations
};

/// Answers the engine's TLB misses from the guest's tables and the monitor's.
///
/// The engine stops checking stores against translated code in a TLB entry without X once it has
/// been written, and re-arms only entries of the same virtual page. Hence:
///
/// Invariant (M1): an entry of a host page that holds translated code always has X, so its stores
/// stay checked; any other entry that may be written has no X. The first fetch from a page that has
/// been granted for writing since the last flush flushes the TLB.
/// Invariant (M3): of a page marked kCode, by whichever engine, only a store is granted W, and then
/// the other engines drop their translations of it. A mark by another engine flushes the TLB before
/// the guest runs on.
/// Invariant (M2): blocks are counted from slots only in pages whose fetch was legal: code_pages_
/// has the page, and no entry of it got X by (M1) alone.
class Mmu {
 public:
  explicit Mmu(const MmuParts& parts);

  /// The state of the hart that runs. Translations of other address spaces are kept.
  void set_satp(std::uint64_t satp);
  [[nodiscard]] std::uint64_t satp() const { return satp_; }

  /// A walk through both stages as an access of this kind does it. `mark` sets A and D.
  [[nodiscard]] Translated translate(std::uint64_t va, AccessKind access, Privilege privilege,
                                     std::uint64_t status, bool mark);

  /// A TLB miss: fills in `entry`, or gives false. SUM and MXR are those of `status`.
  [[nodiscard]] bool fill(std::uint64_t va, AccessKind access, Privilege privilege,
                          std::uint64_t status, uc_tlb_entry& entry) {
    const std::uint64_t page = va >> 12;
    const Leaf& leaf = leaves_[leaf_index(page)];
    if (leaf.tag == (page | tag_)) {
      const std::uint64_t pte = leaf.data & kStageOne;
      const bool user_page = (pte & retrap::riscv64::pte::kU) != 0;
      // SUM and MXR matter rarely: those accesses take the walk.
      const bool plain = user_page == (privilege == Privilege::User);
      const auto rights = static_cast<std::uint8_t>(retrap::riscv64::rights_of(pte) &
                                                    (leaf.data >> kStageTwoShift) & 7);
      if (plain && (rights & retrap::riscv64::right_of(access)) != 0) {
        return grant(va, access, leaf.data & ~low_bits(12), rights, entry);
      }
    }
    return walk_and_fill(va, access, privilege, status, entry);
  }

  /// The walk of the last fill that failed, where it was for this page and access; its gpa is that
  /// of the page.
  [[nodiscard]] bool failed_at(std::uint64_t va, AccessKind access) const {
    return failed_va_ == va && failed_access_ == access && !last_.result.ok;
  }
  [[nodiscard]] const Translated& failure() const { return last_.result; }
  void forget_failure() { last_.result.ok = true; }

  /// SFENCE.VMA for one address, or for all.
  void fence(std::uint64_t va);
  void fence_all();
  /// Another hart, or another G-stage table: nothing remembered holds.
  void forget_everything();
  /// Forgets what depends on G-stage mappings where they have changed, and on which pages hold code
  /// where another engine has translated some.
  void watch_host();
  /// The engine has dropped its translations of the host page at `page`.
  void drop_code(HostPhys page);
  [[nodiscard]] bool has_code(HostPhys page) const {
    return has_code_[host_page_of(page.raw())] != 0;
  }
  /// Empties the engine's TLB; what is remembered here stays.
  void flush_engine();

  /// Code at `va` as it runs, or null where it is not on a page that was fetched from.
  [[nodiscard]] const std::uint8_t* code(std::uint64_t va) {
    const CodePage& known = code_pages_[leaf_index(va >> 12)];
    if (known.page != va >> 12) return nullptr;
    const std::byte* const page = memory_.data() + (known.hpa - memory_.base().raw());
    return reinterpret_cast<const std::uint8_t*>(page) + (va & low_bits(12));
  }
  /// Whether blocks on the page of `va` may be counted from slots.
  [[nodiscard]] bool is_plain_code(std::uint64_t va) const;
  /// Makes the page of `va` known as code after a legal fetch of it.
  void add_code_page(std::uint64_t va, std::uint64_t hpa);

 private:
  /// A VS-stage leaf and the G-stage leaf under it, whoever asks.
  struct Leaf {
    std::uint64_t tag = ~std::uint64_t{0};  ///< virtual page and address space
    std::uint64_t data = 0;                 ///< host page, and the bits below
  };
  static constexpr std::uint64_t kStageOne = 0x1e;  ///< R W X U of the guest's entry, at [4:1]
  static constexpr unsigned kStageTwoShift = 5;     ///< R W X of the monitor's, at [7:5]

  struct CodePage {
    std::uint64_t page = ~std::uint64_t{0};
    std::uint64_t hpa = 0;
  };
  struct GuestPage {
    std::uint64_t gpa = ~std::uint64_t{0};
    std::uint64_t hpa = 0;
    std::uint8_t rights = 0;
  };
  /// A guest page that the G-stage tables do not have: a device's, most of the time.
  struct RefusedPage {
    std::uint64_t gpa = ~std::uint64_t{0};
    HostPhys entry{};  ///< invalid, when it was looked at
  };
  struct AddressSpaceTag {
    std::uint64_t satp = 0;
    std::uint64_t tag = 0;
    bool used = false;
  };
  struct Freed {
    void operator()(void* memory) const { std::free(memory); }
  };
  class Tables;

  static constexpr std::size_t kLeaves = 4096;
  static constexpr std::size_t kCodePages = 4096;
  static constexpr std::size_t kGuestPages = 1024;
  static constexpr std::size_t kFilterBits = 4096;
  static constexpr std::size_t kSpaces = 16;
  using Filter = std::array<std::uint64_t, kFilterBits / 64>;

  [[nodiscard]] static std::size_t leaf_index(std::uint64_t page) {
    return (page ^ (page >> 12)) & (kLeaves - 1);
  }
  [[nodiscard]] static std::size_t filter_bit(std::uint64_t number) {
    return (number ^ (number >> 12)) & (kFilterBits - 1);
  }
  static void add(Filter& filter, std::uint64_t number) {
    filter[filter_bit(number) / 64] |= bit(filter_bit(number) % 64);
  }
  [[nodiscard]] static bool may_contain(const Filter& filter, std::uint64_t number) {
    return has_bit(filter[filter_bit(number) / 64], filter_bit(number) % 64);
  }

  [[nodiscard]] GuestPage g_stage(std::uint64_t gpa,
                                  std::uint8_t wanted = retrap::riscv64::kMayRead);
  [[nodiscard]] bool walk_and_fill(std::uint64_t va, AccessKind access, Privilege privilege,
                                   std::uint64_t status, uc_tlb_entry& entry);
  bool grant(std::uint64_t va, AccessKind access, std::uint64_t hpa, std::uint8_t rights,
             uc_tlb_entry& entry);
  /// The walk itself, with what remember() wants to know.
  struct Walk {
    Translated result;
    // Of the guest's leaf; zero where nothing is translated.
    std::uint64_t entry = 0;
    std::uint8_t shift = 0;
    std::uint8_t g_rights = 0;
  };
  void walk(std::uint64_t va, AccessKind access, const VsContext& context, bool mark, Walk& out);
  void remember(std::uint64_t va, const Walk& walk);
  void become_code(std::uint64_t host_page);
  void write_to_code(std::uint64_t host_page);
  [[nodiscard]] std::uint64_t host_page_of(std::uint64_t hpa) const {
    return (hpa - memory_.base().raw()) >> 12;
  }
  void new_tag();
  void drop_code_page(std::uint64_t page);

  HostMemory& memory_;
  AddressSpace& space_;
  Engine& engine_;
  BlockCounts& blocks_;
  CodeListener& listener_;

  std::uint64_t satp_ = 0;
  std::uint64_t tag_ = 0;
  std::uint64_t next_tag_ = 0;
  std::array<AddressSpaceTag, kSpaces> spaces_{};
  std::size_t next_space_ = 0;
  std::uint64_t generation_ = 0;
  std::uint64_t code_marks_seen_ = 0;
  std::uint64_t root_ = 0;
  unsigned levels_ = 3;

  std::array<Leaf, kLeaves> leaves_{};
  std::array<CodePage, kCodePages> code_pages_{};
  std::array<GuestPage, kGuestPages> guest_pages_{};
  RefusedPage refused_;   ///< the last; tables only lose a mapping together with their generation
  Filter present_{};      ///< virtual pages that the engine's TLB may hold
  Filter large_pages_{};  ///< 2 MiB regions in which a fill came from a large page
  Filter huge_pages_{};   ///< the same for 1 GiB
  std::vector<std::uint64_t> forced_;  ///< virtual pages with X by (M1) alone

  Walk last_;  ///< of walk_and_fill(), in its place: a copy of what has just been written is slow
  std::uint64_t failed_va_ = 0;
  AccessKind failed_access_ = AccessKind::Load;

  std::uint32_t era_ = 1;  ///< grows when the engine's TLB is emptied
  /// By host page: the era in which it was last granted for writing without X.
  std::unique_ptr<std::uint32_t[], Freed> written_in_;
  /// By host page: whether this engine may hold translations of it.
  std::unique_ptr<std::uint8_t[], Freed> has_code_;
};

}  // namespace retrap::unicorn::riscv64
