// Translation tables of VMSAv8-64, both stages (DDI 0487, D8).
#include "sim/unicorn/aarch64/mmu.h"

#include "arch/aarch64/stage2.h"
#include "vmm/base/bits.h"

namespace retrap::unicorn::aarch64 {
namespace {

using retrap::aarch64::fsc::kAccessFlag;
using retrap::aarch64::fsc::kAddressSize;
using retrap::aarch64::fsc::kPermission;
using retrap::aarch64::fsc::kTranslation;
namespace s2 = retrap::aarch64::s2;

constexpr unsigned kPhysicalBits = 48;  // ID_AA64MMFR0_EL1.PARange

// TCR_EL1.IPS, table D8-? "PA size": values beyond the implemented size behave as that size.
constexpr unsigned output_bits(std::uint64_t tcr) {
  constexpr std::array<unsigned, 8> kBits = {32, 36, 40, 42, 44, 48, 48, 48};
  return kBits[extract(tcr, 34, 32)];
}

void stage1_fault(std::uint32_t code, Walk& walk) {
  walk = {.outcome = Walk::Outcome::Stage1, .fsc = code};
}

}  // namespace

struct Mmu::Half {
  unsigned input_bits = 0;  // 64 - TnSZ
  unsigned granule = 0;     // log2 of a page
  bool disabled = false;    // EPDn
  bool canonical = false;
  std::uint64_t table = 0;
};

/// The permission bits of a walk so far, and of its leaf (D8.4.1).
struct Mmu::Attributes {
  bool read_only = false;
  bool for_el0 = false;
  bool privileged_xn = false;
  bool unprivileged_xn = false;
};

Mmu::Mmu(HostMemory& memory, HostPhys stage2_root) : memory_(memory), root_(stage2_root) {}

void Mmu::translate(std::uint64_t va, unsigned permissions_needed, Privilege privilege,
                    Walk& walk) {
  stage1(va, permissions_needed, privilege, walk);
  if (!walk.ok()) return;
  const unsigned permissions = walk.permissions;
  if (const CachedPage* const known = find(walk.ipa, permissions_needed)) {
    walk.permissions = permissions & known->permissions;
    walk.hpa = known->hpa | (walk.ipa & low_bits(12));
    return;
  }
  stage2(walk, permissions_needed);
  walk.permissions &= permissions;
}

void Mmu::stage1(std::uint64_t va, unsigned permissions_needed, Privilege privilege, Walk& walk) {
  if ((regime_.sctlr & retrap::aarch64::kSctlrM) == 0) return flat(va, walk);
  const Half half = half_of(va);
  if (half.disabled || !half.canonical) return stage1_fault(kTranslation, walk);
  walk_tables(half, va, permissions_needed, privilege, walk);
}

// D8.2.12: with the MMU off, the address is the address.
void Mmu::flat(std::uint64_t va, Walk& walk) const {
  const bool ignore_top = has_bit(regime_.tcr, has_bit(va, 55) ? 38 : 37);
  const std::uint64_t address = ignore_top ? va & low_bits(56) : va;
  if ((address >> kPhysicalBits) != 0) return stage1_fault(kAddressSize, walk);
  walk = {.permissions = permission::kAll, .ipa = address};
}

Mmu::Half Mmu::half_of(std::uint64_t va) const {
  // TG0 and TG1 number the granules differently; reserved values mean 4 KiB.
  constexpr std::array<unsigned, 4> kGranule0 = {12, 16, 14, 12};
  constexpr std::array<unsigned, 4> kGranule1 = {12, 14, 12, 16};
  const std::uint64_t tcr = regime_.tcr;
  const bool high = has_bit(va, 55);
  Half half;
  const auto size_offset = static_cast<unsigned>(high ? extract(tcr, 21, 16) : extract(tcr, 5, 0));
  half.granule = high ? kGranule1[extract(tcr, 31, 30)] : kGranule0[extract(tcr, 15, 14)];
  half.table = high ? regime_.ttbr1 : regime_.ttbr0;
  // Sizes that no implementation has translate nothing.
  half.disabled = has_bit(tcr, high ? 23 : 7) || size_offset < 16 || size_offset > 39;
  if (half.disabled) return half;
  half.input_bits = 64 - size_offset;
  const unsigned top = has_bit(tcr, high ? 38 : 37) ? 55 : 63;
  const std::uint64_t extension = extract(va, top, half.input_bits);
  half.canonical = extension == (high ? low_bits(top - half.input_bits + 1) : 0);
  return half;
}

bool Mmu::read_descriptor(std::uint64_t at, std::uint64_t& descriptor, Walk& walk) {
  if (const CachedPage* const known = find(at, permission::kRead)) {
    descriptor = word_at(HostPhys(known->hpa | (at & low_bits(12))));
    return true;
  }
  walk = {.ipa = at};
  stage2(walk, permission::kRead);
  if (walk.outcome == Walk::Outcome::Stage2) walk.outcome = Walk::Outcome::Stage2OnWalk;
  if (!walk.ok()) return false;
  descriptor = word_at(HostPhys(walk.hpa));
  return true;
}

void Mmu::walk_tables(const Half& half, std::uint64_t va, unsigned needed, Privilege privilege,
                      Walk& walk) {
  const unsigned stride = half.granule - 3;
  const unsigned out_bits = output_bits(regime_.tcr);
  unsigned level = 4 - (half.input_bits - half.granule + stride - 1) / stride;
  unsigned low = half.granule + stride * (3 - level);
  unsigned top = half.input_bits - 1;
  std::uint64_t table = half.table & low_bits(48) & ~low_bits(top - low + 4);
  if ((table >> out_bits) != 0) return stage1_fault(kAddressSize, walk);
  Attributes attributes;
  bool el0_denied = false;
  std::uint64_t descriptor = 0;
  for (;; ++level) {
    if (!read_descriptor(table + extract(va, top, low) * 8, descriptor, walk)) return;
    const bool bit1 = has_bit(descriptor, 1);
    if (!has_bit(descriptor, 0) || (level == 3 && !bit1)) {
      return stage1_fault(kTranslation | level, walk);
    }
    if (level == 3 || !bit1) break;
    table = descriptor & low_bits(48) & ~low_bits(half.granule);
    if ((table >> out_bits) != 0) return stage1_fault(kAddressSize | level, walk);
    attributes.privileged_xn |= has_bit(descriptor, 59);
    attributes.unprivileged_xn |= has_bit(descriptor, 60);
    el0_denied |= has_bit(descriptor, 61);
    attributes.read_only |= has_bit(descriptor, 62);
    top = low - 1;
    low -= stride;
  }
  // Blocks exist at levels 1 and 2 of the 4 KiB granule, at level 2 of the others.
  if (level < (half.granule == 12 ? 1u : 2u)) return stage1_fault(kTranslation | level, walk);
  const std::uint64_t output = descriptor & low_bits(48) & ~low_bits(low);
  if ((output >> out_bits) != 0) return stage1_fault(kAddressSize | level, walk);
  if (!has_bit(descriptor, 10)) return stage1_fault(kAccessFlag | level, walk);
  attributes.read_only |= has_bit(descriptor, 7);
  attributes.for_el0 = has_bit(descriptor, 6) && !el0_denied;
  attributes.privileged_xn |= has_bit(descriptor, 53);
  attributes.unprivileged_xn |= has_bit(descriptor, 54);
  const unsigned permissions = permissions_of(attributes, privilege);
  if ((permissions & needed) != needed) return stage1_fault(kPermission | level, walk);
  walk = {.permissions = permissions, .ipa = output | (va & low_bits(low))};
}

// D8.4.1.2, tables of AP and XN: what EL0 can write, EL1 does not execute.
unsigned Mmu::permissions_of(const Attributes& attributes, Privilege privilege) const {
  const bool write_implies_xn = has_bit(regime_.sctlr, 19);
  unsigned permissions = 0;
  bool execute_never = false;
  if (privilege == Privilege::El1) {
    permissions = permission::kRead | (attributes.read_only ? 0 : permission::kWrite);
    execute_never = attributes.privileged_xn || (attributes.for_el0 && !attributes.read_only);
  } else {
    if (attributes.for_el0) {
      permissions = permission::kRead | (attributes.read_only ? 0 : permission::kWrite);
    }
    execute_never = attributes.unprivileged_xn;
  }
  if (write_implies_xn && (permissions & permission::kWrite) != 0) execute_never = true;
  return execute_never ? permissions : permissions | permission::kExecute;
}

void Mmu::stage2(Walk& walk, unsigned permissions_needed) {
  const std::uint64_t ipa = walk.ipa;
  const std::uint64_t page = ipa >> 12;
  CachedPage& cached = cache_[page % cache_.size()];
  if (cached.ipa_page != page) {
    if (page == refused_.ipa_page && (word_at(refused_.descriptor) & s2::kValid) == 0) {
      walk.outcome = Walk::Outcome::Stage2;
      walk.fsc = refused_.fsc;
      return;
    }
    walk = refill(ipa, cached);
    if (!walk.ok()) return;
  }
  if ((cached.permissions & permissions_needed) != permissions_needed) {
    // Perhaps the monitor has granted more since: only then is the table asked again.
    walk = refill(ipa, cached);
    if (!walk.ok()) return;
    if ((cached.permissions & permissions_needed) != permissions_needed) {
      walk.outcome = Walk::Outcome::Stage2;
      return;
    }
  }
  walk.permissions = cached.permissions;
  walk.hpa = cached.hpa | (ipa & low_bits(12));
}

Walk Mmu::refill(std::uint64_t ipa, CachedPage& cached) {
  const Walk walk = walk_stage2(ipa);
  if (walk.ok()) {
    cached = {
        .ipa_page = ipa >> 12, .hpa = walk.hpa & ~low_bits(12), .permissions = walk.permissions};
  }
  return walk;
}

// When Ok, `fsc` is what a permission fault at the leaf would say.
Walk Mmu::walk_stage2(std::uint64_t ipa) {
  const auto fault = [&](std::uint32_t code) {
    return Walk{.outcome = Walk::Outcome::Stage2, .fsc = code, .ipa = ipa};
  };
  if ((ipa >> s2::kAddressBits) != 0) return fault(kTranslation);
  HostPhys table = root_;
  for (unsigned level = s2::kLevels - 1;; --level) {
    const std::uint32_t manual_level = s2::kLevels - 1 - level;
    const HostPhys at(table.raw() + s2::index_of(ipa, level) * 8);
    if (!memory_.contains(at, 8)) return {.outcome = Walk::Outcome::NoMemory, .ipa = ipa};
    const std::uint64_t descriptor = word_at(at);
    if ((descriptor & s2::kValid) == 0) {
      refused_ = {.ipa_page = ipa >> 12, .descriptor = at, .fsc = kTranslation | manual_level};
      return fault(refused_.fsc);
    }
    if (s2::is_table(descriptor, level)) {
      table = HostPhys(descriptor & s2::kAddressMask);
      continue;
    }
    if (!s2::is_leaf(descriptor, level)) return fault(kTranslation | manual_level);
    if ((descriptor & s2::kAccessFlag) == 0) return fault(kAccessFlag | manual_level);
    unsigned permissions = 0;
    if ((descriptor & s2::kReadable) != 0) permissions |= permission::kRead;
    if ((descriptor & s2::kWritable) != 0) permissions |= permission::kWrite;
    if ((descriptor & s2::kExecuteNever) == 0) permissions |= permission::kExecute;
    const std::uint64_t hpa =
        s2::leaf_address(descriptor, level) | (ipa & low_bits(s2::shift_of(level)));
    if (!memory_.contains(HostPhys(hpa))) return {.outcome = Walk::Outcome::NoMemory, .ipa = ipa};
    return {.fsc = kPermission | manual_level, .permissions = permissions, .ipa = ipa, .hpa = hpa};
  }
}

}  // namespace retrap::unicorn::aarch64
