// The TLB fill of the engine: both stages, faults that stop exactly, and the code-page rule.
#pragma once

#include <array>

#include "sim/unicorn/x86_64/guest_walk.h"
#include "sim/unicorn/x86_64/instruction.h"
#include "sim/unicorn/x86_64/monitor_memory.h"

namespace retrap::unicorn::x86_64 {

/// Why the engine stopped in a memory access.
struct MemoryFault {
  enum class Kind : std::uint8_t {
    None,
    PageFault,     ///< `linear`, `error`
    NonCanonical,  ///< of a data access: #GP(0); `linear`
    Nested,     ///< `gpa`, `error` is EXITINFO1; `linear` and `size` where it is the final address
    StaleCode,  ///< a store is about to hit translated code: drop `page` and go on
    OwnCode,    ///< stores may hit the running block from here on: Mmu::watches_stores()
    CodeBase,   ///< a fetch by a base of CS or bits of RIP that do not count: drop them and go on
  };
  Kind kind = Kind::None;
  bool fetch = false;
  /// Refused by the fill itself, of a plain move within one page: nothing about it is unknown.
  bool exact = false;
  std::uint64_t linear = 0;
  std::uint64_t error = 0;
  std::uint64_t gpa = 0;
  std::uint8_t size = 0;
  std::size_t page = 0;
};

/// A fault is answered in one of two ways. Fetches, and data accesses whose low address bits do not
/// matter or are known, are refused: the engine stops at once. The others get a TLB entry that
/// leads to a poison page where nothing is mapped: the engine then calls on_poison() with the exact
/// address and size before the instruction has done anything. It never looks at such an entry
/// again: the next access asks anew.
class Mmu {
 public:
  /// All outlive this.
  Mmu(Engine& engine, HostMemory& memory, const AddressSpace& space, MonitorMemory& monitor,
      Env& env, const CodeListener& self);

  /// UC_HOOK_TLB_FILL.
  [[nodiscard]] bool fill(std::uint64_t linear, uc_mem_type type, uc_tlb_entry* entry);

  /// UC_HOOK_MEM_INVALID on the poison pages. The fault is pending() then.
  void on_poison(std::uint64_t address, bool write, unsigned size);

  [[nodiscard]] const MemoryFault& pending() const { return pending_; }
  void clear_pending() {
    pending_.kind = MemoryFault::Kind::None;
    tail_at_ = nullptr;
  }

  void flush();
  /// Stores may hit the block that they are in. The engine then abandons it and runs the storing
  /// instruction again, as a block of its own.
  [[nodiscard]] bool watches_stores() const { return watched_count_ != 0; }
  /// How often that began.
  [[nodiscard]] std::uint64_t watches() const { return watches_; }
  /// Whether they may hit this block.
  [[nodiscard]] bool may_be_hit(const EnvHead& head, std::uint64_t pc, std::uint32_t size);
  /// The nested tables lost something.
  void forget_nested() {
    nested_.forget();
    walker_.forget();
    flush();
  }

  /// Other engines have translated code since the last call: pages of it must not be written
  /// unasked.
  void heed_others();

  /// Drops the translations of a page of host memory. Not while the engine runs.
  void drop_code(std::size_t page);

  [[nodiscard]] GuestWalker& walker() { return walker_; }
  [[nodiscard]] NestedWalker& nested() { return nested_; }
  [[nodiscard]] CodePages& code() { return code_; }
  [[nodiscard]] HostMemory& memory() { return memory_; }
  [[nodiscard]] MonitorMemory& monitor() { return monitor_; }

  static constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

  /// The host address of the instruction bytes at `linear`, or kNowhere: as they were last fetched,
  /// or by a walk without marks or checks.
  [[nodiscard]] std::uint64_t code_address(const EnvHead& head, std::uint64_t linear) {
    const CodeTranslation& known = fetched_[fetch_slot(linear)];
    if (known.linear == linear >> 12) return known.host + (linear & (kPageSize - 1));
    return walk_for_code(head, linear);
  }

  /// Copies instruction bytes; fewer than wanted where the tables end. Pages are not checked for
  /// execution: this is for looks at what has been, or is to be, fetched by the engine.
  [[nodiscard]] std::size_t read_code(const EnvHead& head, std::uint64_t linear,
                                      std::span<std::uint8_t> into);

  /// The instruction at `linear`; its length is 0 where the tables end before it does.
  /// Valid until the next call.
  [[nodiscard]] const Instruction& instruction_at(const EnvHead& head, std::uint64_t linear,
                                                  unsigned code_bytes);

  // Scratch pages: while set, they stand in for guest-physical pages without memory.
  void set_scratch(std::span<const ScratchPage> pages);
  void clear_scratch();
  /// The monitor page that stands in for the page at `gpa`, or 0.
  [[nodiscard]] std::uint64_t scratch_for(std::uint64_t gpa) const;

 private:
  /// Where the engine last fetched a page from. What it executes is there: whenever the guest
  /// changes the mapping and drops its TLB entry, the next fetch comes by here.
  struct CodeTranslation {
    std::uint64_t linear = ~std::uint64_t{0};  ///< page number
    std::uint64_t host = 0;
  };
  [[nodiscard]] static std::size_t fetch_slot(std::uint64_t linear) {
    return (linear >> 12) % kFetched;
  }
  static constexpr std::size_t kFetched = 64;

  /// Instructions are decoded again and again: at each exit of a loop.
  struct Decoded {
    std::array<std::uint64_t, 2> key{};  ///< its bytes
    unsigned code_bytes = 0;
    Instruction instruction;
  };

  [[nodiscard]] std::uint64_t walk_for_code(const EnvHead& head, std::uint64_t linear);
  [[nodiscard]] bool refuse(const MemoryFault& fault);
  [[nodiscard]] bool poison(const MemoryFault& fault, uc_tlb_entry* entry);
  [[nodiscard]] bool fill_fault(const Walk& walk, std::uint64_t linear, Access access,
                                Privilege privilege, uc_tlb_entry* entry);
  [[nodiscard]] bool fill_nested_fault(const NestedPage& page, std::uint64_t gpa,
                                       std::uint64_t linear, Access access, Privilege privilege,
                                       uc_tlb_entry* entry);
  [[nodiscard]] bool locate(MemoryFault& fault);
  [[nodiscard]] bool grant(const Walk& walk, const NestedPage& page, std::uint64_t linear,
                           Access access, uc_tlb_entry* entry);
  [[nodiscard]] bool grant_write_to_code(std::size_t page, std::uint64_t linear,
                                         unsigned& permissions);
  /// Of the instruction bytes at `linear`, by number in the host's memory; or kNoPage.
  [[nodiscard]] std::size_t code_page(const EnvHead& head, std::uint64_t linear);
  [[nodiscard]] bool is_own_code(std::size_t page);
  [[nodiscard]] bool is_watched(std::size_t page) const;
  void watch(std::size_t page);
  [[nodiscard]] bool is_system_access(std::uint64_t linear);
  void keep_tail(std::uint64_t linear, Privilege privilege);

  Engine& engine_;
  HostMemory& memory_;
  MonitorMemory& monitor_;
  Env& env_;  ///< the engine's registers
  const CodeListener& self_;
  std::uint64_t code_marks_seen_ = 0;
  CodePages code_;
  // Pages for which the TLB may have entries with W and X.
  std::array<std::size_t, 16> watched_{};
  std::size_t watched_count_ = 0;
  std::uint64_t watches_ = 0;
  NestedWalker nested_;
  GuestWalker walker_;
  MemoryFault pending_;
  MemoryFault poisoned_;  ///< what the poison page stands for
  std::size_t probe_page_ = kNoPage;
  static constexpr std::size_t kNoPage = ~std::size_t{0};

  // A store across a page end has written to the first page when the second one refuses it.
  static constexpr std::size_t kTail = 64;
  std::byte* tail_at_ = nullptr;
  std::array<std::byte, kTail> tail_{};

  std::array<CodeTranslation, kFetched> fetched_{};
  std::array<Decoded, 64> decoded_;
  Instruction across_pages_;
  std::array<std::uint64_t, layout::kScratchPages> scratch_{};
  unsigned scratch_count_ = 0;
};

}  // namespace retrap::unicorn::x86_64
