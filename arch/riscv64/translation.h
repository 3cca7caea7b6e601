// The two-stage walk: what hardware does at a TLB miss, and what the monitor does to emulate.
#pragma once

#include <cstdint>

#include "arch/riscv64/causes.h"
#include "arch/riscv64/stage2.h"

namespace retrap::riscv64 {

enum class AccessKind : std::uint8_t { Load, Store, Fetch };
enum class Privilege : std::uint8_t { User = 0, Supervisor = 1 };

/// The exception codes of a refused access, by AccessKind.
[[nodiscard]] constexpr Cause page_fault(AccessKind access) {
  return access == AccessKind::Fetch  ? Cause::InstructionPageFault
         : access == AccessKind::Load ? Cause::LoadPageFault
                                      : Cause::StorePageFault;
}
[[nodiscard]] constexpr Cause guest_page_fault(AccessKind access) {
  return access == AccessKind::Fetch  ? Cause::InstructionGuestPageFault
         : access == AccessKind::Load ? Cause::LoadGuestPageFault
                                      : Cause::StoreGuestPageFault;
}
[[nodiscard]] constexpr Cause access_fault(AccessKind access) {
  return access == AccessKind::Fetch  ? Cause::InstructionAccessFault
         : access == AccessKind::Load ? Cause::LoadAccessFault
                                      : Cause::StoreAccessFault;
}

/// Rights of a leaf, as bits that both stages share.
inline constexpr std::uint8_t kMayRead = 1;
inline constexpr std::uint8_t kMayWrite = 2;
inline constexpr std::uint8_t kMayExecute = 4;

[[nodiscard]] constexpr std::uint8_t right_of(AccessKind access) {
  return access == AccessKind::Load    ? kMayRead
         : access == AccessKind::Store ? kMayWrite
                                       : kMayExecute;
}

/// R, W and X of an entry as rights.
[[nodiscard]] constexpr std::uint8_t rights_of(std::uint64_t entry) {
  return static_cast<std::uint8_t>((entry >> 1) & 7);
}

/// Modes of satp (Privileged Architecture, "satp").
inline constexpr std::uint64_t kSatpBare = 0;
inline constexpr std::uint64_t kSatpSv39 = 8;
inline constexpr std::uint64_t kSatpSv48 = 9;

/// Whether a write of `satp` takes effect: one with an unknown mode changes nothing.
[[nodiscard]] constexpr bool satp_is_supported(std::uint64_t satp) {
  const std::uint64_t mode = satp >> 60;
  return mode == kSatpBare || mode == kSatpSv39 || mode == kSatpSv48;
}

/// Who translates: the state that a VS-stage walk depends on.
struct VsContext {
  std::uint64_t satp;
  Privilege privilege;
  bool sum;  ///< sstatus.SUM
  bool mxr;  ///< sstatus.MXR
};

/// Where a VS-stage walk ended.
struct VsWalk {
  enum class Kind : std::uint8_t {
    Ok,             ///< `gpa` is what the tables say
    PageFault,      ///< the guest's own
    ImplicitRead,   ///< the page-table entry at `gpa` cannot be read
    ImplicitWrite,  ///< nor can its A or D bit be set
  };
  Kind kind = Kind::Ok;
  std::uint64_t gpa = 0;
  /// What this privilege may do through this entry without another walk (no W while D is clear).
  std::uint8_t rights = kMayRead | kMayWrite | kMayExecute;
  std::uint8_t shift = 12;  ///< log2 of the page
  std::uint64_t entry = 0;  ///< the leaf, A and D as the walk left them; 0 without translation
};

/// The rights that `entry` grants at this privilege (Privileged Architecture, "Virtual Address
/// Translation Process", steps 5 and 6).
[[nodiscard]] constexpr std::uint8_t leaf_rights(std::uint64_t entry, const VsContext& context,
                                                 AccessKind access) {
  const bool user_page = (entry & pte::kU) != 0;
  if (context.privilege == Privilege::User
          ? !user_page
          : user_page && (access == AccessKind::Fetch || !context.sum)) {
    return 0;
  }
  std::uint8_t rights = rights_of(entry);
  if (context.mxr && (rights & kMayExecute) != 0) rights |= kMayRead;
  if (context.privilege == Privilege::Supervisor && user_page) {
    rights &= static_cast<std::uint8_t>(~kMayExecute);
  }
  return rights;
}

/// Walks the guest's tables for `va`. `tables` reads and updates their entries by guest-physical
/// address:
///
///   bool read(std::uint64_t gpa, std::uint64_t& entry);   false: stage 2 refuses
///   bool update(std::uint64_t gpa, std::uint64_t entry);  sets A or D; false: stage 2 refuses
///
/// A and D are set by the walk, as hardware with Svadu does.
template <class Tables>
[[nodiscard]] VsWalk walk_vs_stage(const VsContext& context, std::uint64_t va, AccessKind access,
                                   Tables&& tables) {
  const std::uint64_t mode = context.satp >> 60;
  if (mode == kSatpBare) return {.kind = VsWalk::Kind::Ok, .gpa = va};
  const unsigned levels = mode == kSatpSv39 ? 3 : 4;
  const VsWalk fault{.kind = VsWalk::Kind::PageFault, .rights = 0};
  if (sign_extend(va, 12 + kLevelBits * levels) != va) return fault;
  std::uint64_t table = (context.satp & low_bits(pte::kPpnBits)) << 12;
  for (unsigned level = levels; level-- > 0;) {
    const unsigned shift = 12 + kLevelBits * level;
    const std::uint64_t at = table + ((va >> shift) & 0x1ff) * 8;
    std::uint64_t entry = 0;
    if (!tables.read(at, entry)) return {.kind = VsWalk::Kind::ImplicitRead, .gpa = at};
    if ((entry & pte::kV) == 0 || (entry & (pte::kR | pte::kW)) == pte::kW) return fault;
    if (entry >> pte::kReservedShift != 0) return fault;
    const std::uint64_t address = pte::address(entry);
    if ((entry & (pte::kR | pte::kW | pte::kX)) == 0) {
      if ((entry & (pte::kU | pte::kA | pte::kD)) != 0) return fault;
      table = address;
      continue;
    }
    if (!is_aligned(address, bit(shift))) return fault;
    std::uint8_t rights = leaf_rights(entry, context, access);
    if ((rights & right_of(access)) == 0) return fault;
    const std::uint64_t marked =
        entry | pte::kA | (access == AccessKind::Store ? pte::kD : std::uint64_t{0});
    if (marked != entry && !tables.update(at, marked)) {
      return {.kind = VsWalk::Kind::ImplicitWrite, .gpa = at};
    }
    if ((marked & pte::kD) == 0) rights &= static_cast<std::uint8_t>(~kMayWrite);
    return {VsWalk::Kind::Ok, address | (va & low_bits(shift)), rights,
            static_cast<std::uint8_t>(shift), marked};
  }
  return fault;
}

/// A G-stage leaf.
struct GStageLeaf {
  bool valid = false;
  std::uint8_t rights = 0;
  std::uint8_t shift = 12;  ///< log2 of its size
  std::uint64_t hpa = 0;    ///< of the guest-physical address that was asked for
};

/// Walks a G-stage table of `levels` levels at `root` for `gpa`. `load(hpa, entry)` reads an entry
/// of host memory, false where there is none. An entry without U is invalid: all accesses of a
/// guest are user accesses here. Requires A and D set (the monitor sets both): an entry without
/// them grants nothing, or no write.
template <class Load>
[[nodiscard]] GStageLeaf walk_g_stage(std::uint64_t root, unsigned levels, std::uint64_t gpa,
                                      Load&& load) {
  if (gpa >> g_stage_address_bits(levels) != 0) return {};
  std::uint64_t table = root;
  for (unsigned level = levels; level-- > 0;) {
    std::uint64_t entry = 0;
    if (!load(table + g_stage_index(gpa, level, levels) * 8, entry)) return {};
    if ((entry & pte::kV) == 0 || (entry & (pte::kR | pte::kW)) == pte::kW) return {};
    if (entry >> pte::kReservedShift != 0) return {};
    if ((entry & (pte::kR | pte::kW | pte::kX)) == 0) {
      table = pte::address(entry);
      continue;
    }
    const unsigned shift = 12 + kLevelBits * level;
    if (!is_aligned(pte::address(entry), bit(shift))) return {};
    if ((entry & pte::kU) == 0 || (entry & pte::kA) == 0) return {};
    std::uint8_t rights = rights_of(entry);
    if ((entry & pte::kD) == 0) rights &= static_cast<std::uint8_t>(~kMayWrite);
    return {true, rights, static_cast<std::uint8_t>(shift),
            pte::address(entry) | (gpa & low_bits(shift))};
  }
  return {};
}

}  // namespace retrap::riscv64
