// Walks, and the rule for code pages.
#include "sim/unicorn/riscv64/mmu.h"

#include <algorithm>
#include <cstring>

#include "vmm/base/check.h"

namespace retrap::unicorn::riscv64 {
namespace {

using namespace retrap::riscv64;  // the walk's vocabulary

template <class T>
T* zeroed_array(std::size_t count) {
  // From calloc: host memory is big, and most of it is never used.
  void* const memory = std::calloc(count, sizeof(T));
  RETRAP_CHECK(memory != nullptr, "no memory for {} page states", count);
  return static_cast<T*>(memory);
}

constexpr std::uint64_t kPageMask = ~low_bits(12);

uc_prot prot_of(std::uint8_t rights) {
  int prot = 0;
  if ((rights & kMayRead) != 0) prot |= UC_PROT_READ;
  if ((rights & kMayWrite) != 0) prot |= UC_PROT_WRITE;
  if ((rights & kMayExecute) != 0) prot |= UC_PROT_EXEC;
  return static_cast<uc_prot>(prot);
}

}  // namespace

/// The guest's page tables as the walk reads them: through stage 2, from host memory.
class Mmu::Tables {
 public:
  Tables(Mmu& mmu, bool mark) : mmu_(mmu), mark_(mark) {}

  [[nodiscard]] bool read(std::uint64_t gpa, std::uint64_t& entry) {
    const GuestPage page = mmu_.g_stage(gpa);
    if ((page.rights & kMayRead) == 0) return false;
    outside_ = !mmu_.memory_.contains(HostPhys(page.hpa), kPageSize);
    if (outside_) return false;
    entry = mmu_.memory_.load64(HostPhys(page.hpa | (gpa & low_bits(12))));
    return true;
  }

  [[nodiscard]] bool update(std::uint64_t gpa, std::uint64_t entry) {
    if (!mark_) return true;
    const GuestPage page = mmu_.g_stage(gpa, kMayWrite);
    if ((page.rights & kMayWrite) == 0) return false;
    mmu_.memory_.store64(HostPhys(page.hpa | (gpa & low_bits(12))), entry);
    return true;
  }

  /// The entry is mapped to where no memory is.
  [[nodiscard]] bool outside() const { return outside_; }

 private:
  Mmu& mmu_;
  bool mark_;
  bool outside_ = false;
};

Mmu::Mmu(const MmuParts& parts)
    : memory_(parts.memory),
      space_(parts.space),
      engine_(parts.engine),
      blocks_(parts.blocks),
      listener_(parts.listener),
      root_(space_.root().raw()),
      levels_(space_.format().levels()),
      written_in_(zeroed_array<std::uint32_t>(memory_.size() / kPageSize)),
      has_code_(zeroed_array<std::uint8_t>(memory_.size() / kPageSize)) {
  forget_everything();
}

Mmu::GuestPage Mmu::g_stage(std::uint64_t gpa, std::uint8_t wanted) {
  const std::uint64_t page = gpa & kPageMask;
  GuestPage& cached = guest_pages_[(gpa >> 12) & (kGuestPages - 1)];
  if (cached.gpa == page && (cached.rights & wanted) == wanted) return cached;
  const auto is_there = [](std::uint64_t entry) { return (entry & pte::kV) != 0; };
  if (page == refused_.gpa && !is_there(memory_.load64(refused_.entry))) return {};
  const GStageLeaf leaf =
      walk_g_stage(root_, levels_, page, [&](std::uint64_t at, std::uint64_t& entry) {
        if (!memory_.contains(HostPhys(at), sizeof(entry))) return false;
        entry = memory_.load64(HostPhys(at));
        if (!is_there(entry)) refused_ = {page, HostPhys(at)};
        return true;
      });
  if (!leaf.valid) return {};
  cached = {page, leaf.hpa, leaf.rights};
  return cached;
}

void Mmu::walk(std::uint64_t va, AccessKind access, const VsContext& context, bool mark,
               Walk& out) {
  Tables tables(*this, mark);
  const VsWalk first = walk_vs_stage(context, va, access, tables);
  Translated& result = out.result;
  result = {.gpa = first.gpa};
  if (first.kind == VsWalk::Kind::PageFault) {
    result.cause = page_fault(access);
    return;
  }
  if (first.kind != VsWalk::Kind::Ok) {
    result.implicit = true;
    result.implicit_write = first.kind == VsWalk::Kind::ImplicitWrite;
    result.cause = tables.outside() ? access_fault(access) : guest_page_fault(access);
    return;
  }
  const GuestPage page = g_stage(first.gpa, right_of(access));
  if ((page.rights & right_of(access)) == 0) {
    result.cause = guest_page_fault(access);
    return;
  }
  if (!memory_.contains(HostPhys(page.hpa), kPageSize)) {
    result.cause = access_fault(access);
    return;
  }
  out.entry = first.entry;
  out.shift = first.shift;
  out.g_rights = page.rights;
  result.ok = true;
  result.rights = first.rights & page.rights;
  result.hpa = page.hpa | (va & low_bits(12));
}

Translated Mmu::translate(std::uint64_t va, AccessKind access, Privilege privilege,
                          std::uint64_t status, bool mark) {
  const VsContext context{.satp = satp_,
                          .privilege = privilege,
                          .sum = (status & bit(18)) != 0,
                          .mxr = (status & bit(19)) != 0};
  Walk out;
  walk(va, access, context, mark, out);
  return out.result;
}

bool Mmu::walk_and_fill(std::uint64_t va, AccessKind access, Privilege privilege,
                        std::uint64_t status, uc_tlb_entry& entry) {
  const VsContext context{.satp = satp_,
                          .privilege = privilege,
                          .sum = (status & bit(18)) != 0,
                          .mxr = (status & bit(19)) != 0};
  walk(va, access, context, true, last_);
  if (!last_.result.ok) {
    failed_va_ = va;
    failed_access_ = access;
    return false;
  }
  remember(va, last_);
  return grant(va, access, last_.result.hpa & kPageMask, last_.result.rights, entry);
}

void Mmu::remember(std::uint64_t va, const Walk& walk) {
  std::uint64_t leaf = walk.entry;
  if (leaf == 0) leaf = pte::kR | pte::kW | pte::kX | pte::kD;  // no translation
  if ((leaf & pte::kD) == 0) leaf &= ~pte::kW;
  const std::uint64_t page = va >> 12;
  leaves_[leaf_index(page)] = {page | tag_, (walk.result.hpa & kPageMask) | (leaf & kStageOne) |
                                                std::uint64_t{walk.g_rights} << kStageTwoShift};
  if (walk.shift >= 21) add(large_pages_, va >> 21);
  if (walk.shift >= 30) add(huge_pages_, va >> 30);
}

bool Mmu::grant(std::uint64_t va, AccessKind access, std::uint64_t hpa, std::uint8_t rights,
                uc_tlb_entry& entry) {
  const std::uint64_t page = va >> 12;
  const std::uint64_t host_page = host_page_of(hpa);
  std::uint8_t& flags = memory_.page_flags()[host_page];
  if (access == AccessKind::Fetch) {
    if (has_code_[host_page] == 0) become_code(host_page);
    add_code_page(va, hpa);
    rights &= static_cast<std::uint8_t>(~kMayWrite);
  } else if ((flags & HostMemory::kCode) == 0) {
    rights &= static_cast<std::uint8_t>(~kMayExecute);
    if ((rights & kMayWrite) != 0) written_in_[host_page] = era_;
  } else {
    if (access == AccessKind::Store) {
      write_to_code(host_page);
    } else {
      rights &= static_cast<std::uint8_t>(~kMayWrite);
    }
    if (has_code_[host_page] == 0) {
      rights &= static_cast<std::uint8_t>(~kMayExecute);
      if ((rights & kMayWrite) != 0) written_in_[host_page] = era_;
    } else if ((rights & kMayExecute) == 0) {
      rights |= kMayExecute;
      drop_code_page(page);
      if (std::find(forced_.begin(), forced_.end(), page) == forced_.end()) forced_.push_back(page);
    }
  }
  if ((rights & kMayWrite) != 0) flags |= HostMemory::kWritten;
  add(present_, page);
  entry.paddr = hpa;
  entry.perms = prot_of(rights);
  return true;
}

/// The first fetch from a page since its translations, if there were any, were dropped.
void Mmu::become_code(std::uint64_t host_page) {
  has_code_[host_page] = 1;
  const bool seen = code_marks_seen_ == memory_.code_marks();
  memory_.mark_code(memory_.base().wrapping_add(host_page << 12));
  if (seen) code_marks_seen_ = memory_.code_marks();
  if (written_in_[host_page] == era_) flush_engine();
}

/// The guest is about to write where other engines may have translated: they forget, and will mark
/// the page again before they use it as code.
void Mmu::write_to_code(std::uint64_t host_page) {
  memory_.tell_code_written(memory_.base().wrapping_add(host_page << 12), &listener_);
  if (has_code_[host_page] != 0) return;
  std::uint8_t& flags = memory_.page_flags()[host_page];
  flags = static_cast<std::uint8_t>(flags & ~HostMemory::kCode);
}

void Mmu::drop_code(HostPhys page) {
  has_code_[host_page_of(page.raw())] = 0;
  flush_engine();
}

void Mmu::watch_host() {
  if (space_.generation() != generation_) [[unlikely]]
    forget_everything();
  if (code_marks_seen_ == memory_.code_marks()) [[likely]]
    return;
  code_marks_seen_ = memory_.code_marks();
  flush_engine();
}

void Mmu::set_satp(std::uint64_t satp) {
  if (satp == satp_) return;
  satp_ = satp;
  flush_engine();
  for (const AddressSpaceTag& known : spaces_) {
    if (!known.used || known.satp != satp) continue;
    tag_ = known.tag;
    return;
  }
  new_tag();
}

void Mmu::new_tag() {
  constexpr unsigned kTagShift = 52;
  if (++next_tag_ == bit(64 - kTagShift) - 1) {
    leaves_.fill({});
    spaces_.fill({});
    next_tag_ = 0;
  }
  tag_ = next_tag_ << kTagShift;
  for (AddressSpaceTag& known : spaces_) {
    if (known.satp == satp_) known.used = false;
  }
  spaces_[next_space_] = {satp_, tag_, true};
  next_space_ = (next_space_ + 1) % kSpaces;
}

void Mmu::fence(std::uint64_t va) {
  if (may_contain(large_pages_, va >> 21) || may_contain(huge_pages_, va >> 30)) {
    fence_all();
    return;
  }
  const std::uint64_t page = va >> 12;
  Leaf& leaf = leaves_[leaf_index(page)];
  if ((leaf.tag & low_bits(52)) == page) leaf.tag = ~std::uint64_t{0};
  if (may_contain(present_, page)) flush_engine();
}

void Mmu::fence_all() {
  spaces_.fill({});
  new_tag();
  large_pages_.fill(0);
  huge_pages_.fill(0);
  flush_engine();
}

void Mmu::forget_everything() {
  generation_ = space_.generation();
  root_ = space_.root().raw();
  guest_pages_.fill({});
  refused_ = {};
  fence_all();
}

void Mmu::flush_engine() {
  engine_.flush_tlb();
  present_.fill(0);
  forced_.clear();
  ++era_;
}

void Mmu::add_code_page(std::uint64_t va, std::uint64_t hpa) {
  const std::uint64_t page = va >> 12;
  CodePage& known = code_pages_[leaf_index(page)];
  if (known.page == page && known.hpa == hpa) return;
  if (known.page != ~std::uint64_t{0}) blocks_.drop_page(known.page << 12);
  known = {page, hpa};
}

void Mmu::drop_code_page(std::uint64_t page) {
  CodePage& known = code_pages_[leaf_index(page)];
  if (known.page != page) return;
  blocks_.drop_page(page << 12);
  known.page = ~std::uint64_t{0};
}

bool Mmu::is_plain_code(std::uint64_t va) const {
  return std::find(forced_.begin(), forced_.end(), va >> 12) == forced_.end();
}

}  // namespace retrap::unicorn::riscv64
