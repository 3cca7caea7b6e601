// Stage 2: reads the monitor's nested page tables, bit for bit, out of host memory.
#pragma once

#include <array>

#include "sim/unicorn/x86_64/names.h"

namespace retrap::unicorn::x86_64 {

/// What stage 2 says about a guest-physical page.
struct NestedPage {
  std::uint64_t host = 0;  ///< of the 4 KiB page; host-physical
  bool present = false;    ///< and within host memory
  bool writable = false;
  bool executable = false;
  bool reserved = false;  ///< a reserved bit was set on the way: not present, with that error bit
};

/// Whether `page` lets `access` through.
[[nodiscard]] constexpr bool permits(const NestedPage& page, Access access) {
  if (!page.present) return false;
  if (access == Access::Write) return page.writable;
  if (access == Access::Fetch) return page.executable;
  return true;
}

class NestedWalker {
 public:
  /// Both outlive this.
  NestedWalker(HostMemory& memory, const AddressSpace& space) : memory_(memory), space_(space) {
    forget();
  }

  /// The 4 KiB page at `gpa`. Permissions that the table grew since the last look may be missed:
  /// a refusal must be confirmed by look().
  [[nodiscard]] const NestedPage& find(std::uint64_t gpa) {
    Slot& slot = slots_[(gpa >> 12) % kSlots];
    if (slot.page != gpa >> 12) [[unlikely]] {
      slot.result = walk(gpa);
      slot.page = slot.result.present ? gpa >> 12 : kNone;
    }
    return slot.result;
  }

  /// The same from the tables themselves.
  [[nodiscard]] const NestedPage& look(std::uint64_t gpa) {
    slots_[(gpa >> 12) % kSlots].page = kNone;
    return find(gpa);
  }

  /// find(), confirmed where it refuses `access`.
  [[nodiscard]] const NestedPage& find_for(std::uint64_t gpa, Access access) {
    const NestedPage& found = find_if_known(gpa);
    return permits(found, access) ? found : look(gpa);
  }

  /// Whether stage 2 lets `access` through now.
  [[nodiscard]] bool allows(std::uint64_t gpa, Access access) {
    return permits(find_for(gpa, access), access);
  }

  /// The bytes of host memory behind an aligned word of a guest's page table, or null.
  [[nodiscard]] std::byte* host_bytes(std::uint64_t host) {
    return memory_.data() + (host - memory_.base().raw());
  }

  void forget();

 private:
  static constexpr std::size_t kSlots = 512;
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t page;
    NestedPage result;
  };
  [[nodiscard]] NestedPage walk(std::uint64_t gpa) const;
  [[nodiscard]] const NestedPage& find_if_known(std::uint64_t gpa) const {
    static constexpr NestedPage kUnknown;
    const Slot& slot = slots_[(gpa >> 12) % kSlots];
    return slot.page == gpa >> 12 ? slot.result : kUnknown;
  }

  HostMemory& memory_;
  const AddressSpace& space_;
  std::array<Slot, kSlots> slots_;
};

/// EXITINFO1 for an access that `page` refused.
[[nodiscard]] std::uint64_t nested_error(const NestedPage& page, Access access,
                                         std::uint64_t where);

}  // namespace retrap::unicorn::x86_64
