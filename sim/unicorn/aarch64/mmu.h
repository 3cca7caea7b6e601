// The two-stage walk: the guest's stage-1 tables, and the monitor's stage-2 tables, bit for bit.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "arch/aarch64/cpu.h"
#include "vmm/base/bytes.h"
#include "vmm/host_memory.h"

namespace retrap::unicorn::aarch64 {

using retrap::aarch64::AccessType;
using retrap::aarch64::Privilege;

/// The registers that stage 1 depends on.
struct TranslationRegime {
  std::uint64_t sctlr = 0;
  std::uint64_t tcr = 0;
  std::uint64_t ttbr0 = 0;
  std::uint64_t ttbr1 = 0;
};

/// Permissions of a translation, as bits.
namespace permission {
inline constexpr unsigned kRead = 1;
inline constexpr unsigned kWrite = 2;
inline constexpr unsigned kExecute = 4;
inline constexpr unsigned kAll = 7;
[[nodiscard]] constexpr unsigned needed_for(AccessType access) {
  return 1u << static_cast<unsigned>(access);
}
}  // namespace permission

/// What a walk came to.
struct Walk {
  enum class Outcome : std::uint8_t {
    Ok,
    Stage1,        ///< the guest's own fault
    Stage2,        ///< stage 2 refuses the final address
    Stage2OnWalk,  ///< stage 2 refuses a table of stage 1
    NoMemory,      ///< stage 2 points where the host has no memory: external abort
  };
  Outcome outcome = Outcome::Ok;
  std::uint32_t fsc = 0;     ///< status code, level included
  unsigned permissions = 0;  ///< of both stages; valid when Ok
  std::uint64_t ipa = 0;     ///< of the access, or of the table (Stage2OnWalk)
  std::uint64_t hpa = 0;     ///< valid when Ok
  [[nodiscard]] bool ok() const { return outcome == Outcome::Ok; }
};

/// Walks tables. Keeps a small cache of stage-2 pages, and the last descriptor that had nothing:
/// stage 2 only ever loses a mapping, or a table, together with forget_stage2().
class Mmu {
 public:
  Mmu(HostMemory& memory, HostPhys stage2_root);

  void set_regime(const TranslationRegime& regime) { regime_ = regime; }
  [[nodiscard]] const TranslationRegime& regime() const { return regime_; }
  void forget_stage2() {
    cache_.fill({});
    refused_ = {};
  }

  /// `permissions_needed` may be 0: then only the address matters.
  void translate(std::uint64_t va, unsigned permissions_needed, Privilege privilege, Walk& walk);
  /// Stage 1 alone: `hpa` means nothing.
  [[nodiscard]] Walk stage1(std::uint64_t va, unsigned permissions_needed, Privilege privilege) {
    Walk walk;
    stage1(va, permissions_needed, privilege, walk);
    return walk;
  }
  /// Of `walk.ipa`; `walk` is that of stage 1 before.
  void stage2(Walk& walk, unsigned permissions_needed);

 private:
  struct CachedPage {
    std::uint64_t ipa_page = ~std::uint64_t{0};
    std::uint64_t hpa = 0;
    unsigned permissions = 0;
  };
  struct RefusedPage {
    std::uint64_t ipa_page = ~std::uint64_t{0};
    HostPhys descriptor{};  ///< invalid, when it was looked at
    std::uint32_t fsc = 0;
  };
  /// Requires that the memory contains it.
  [[nodiscard]] std::uint64_t word_at(HostPhys at) const {
    std::uint64_t value = 0;
    std::memcpy(&value, memory_.data() + at.offset_from(memory_.base()), sizeof value);
    return little_endian(value);
  }
  /// What stage 1 takes from TCR_EL1 for one half of the address space.
  struct Half;
  struct Attributes;
  [[nodiscard]] Half half_of(std::uint64_t va) const;
  // `walk` is written in its place: a copy of what has just been written is slow.
  void stage1(std::uint64_t va, unsigned permissions_needed, Privilege privilege, Walk& walk);
  void flat(std::uint64_t va, Walk& walk) const;
  void walk_tables(const Half& half, std::uint64_t va, unsigned needed, Privilege privilege,
                   Walk& walk);
  /// What is remembered of the page of `ipa`, where it grants what is needed.
  [[nodiscard]] const CachedPage* find(std::uint64_t ipa, unsigned permissions_needed) const {
    const CachedPage& cached = cache_[(ipa >> 12) % cache_.size()];
    const bool grants = (cached.permissions & permissions_needed) == permissions_needed;
    return cached.ipa_page == ipa >> 12 && grants ? &cached : nullptr;
  }
  /// Reads the descriptor at `at` of stage 1. False: `walk` says why not.
  [[nodiscard]] bool read_descriptor(std::uint64_t at, std::uint64_t& descriptor, Walk& walk);
  [[nodiscard]] Walk walk_stage2(std::uint64_t ipa);
  /// Asks the table, and keeps what it says where the address has a page.
  [[nodiscard]] Walk refill(std::uint64_t ipa, CachedPage& cached);
  [[nodiscard]] unsigned permissions_of(const Attributes& attributes, Privilege privilege) const;

  HostMemory& memory_;
  HostPhys root_;
  TranslationRegime regime_;
  std::array<CachedPage, 1024> cache_;
  RefusedPage refused_;
};

}  // namespace retrap::unicorn::aarch64
