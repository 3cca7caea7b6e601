// Answers the TLB misses of the engine.
#include "sim/unicorn/x86_64/mmu.h"

#include <algorithm>

#include "sim/unicorn/x86_64/instruction.h"
#include "vmm/base/check.h"

namespace retrap::unicorn::x86_64 {
namespace {

constexpr unsigned kR = UC_PROT_READ;
constexpr unsigned kW = UC_PROT_WRITE;
constexpr unsigned kX = UC_PROT_EXEC;

// Where drop_code() looks a page up: no guest can fetch from a non-canonical address.
constexpr std::uint64_t kProbe = 0x00de'ad00'0000'0000;

constexpr std::uint64_t page_of(std::uint64_t address) {
  return address & ~(kPageSize - 1);
}

Access to_access(uc_mem_type type) {
  if (type == UC_MEM_WRITE) return Access::Write;
  return type == UC_MEM_FETCH ? Access::Fetch : Access::Read;
}

bool set(uc_tlb_entry* entry, std::uint64_t address, unsigned permissions) {
  entry->paddr = address;
  entry->perms = static_cast<uc_prot>(permissions);
  return true;
}

}  // namespace

Mmu::Mmu(Engine& engine, HostMemory& memory, const AddressSpace& space, MonitorMemory& monitor,
         Env& env, const CodeListener& self)
    : engine_(engine),
      memory_(memory),
      monitor_(monitor),
      env_(env),
      self_(self),
      code_(memory),
      nested_(memory, space),
      walker_(nested_, memory, code_) {}

void Mmu::flush() {
  code_.tlb_flushed();
  watched_count_ = 0;
  fetched_.fill(CodeTranslation{});
  engine_.flush_tlb();
}

void Mmu::heed_others() {
  if (code_marks_seen_ == memory_.code_marks()) return;
  code_marks_seen_ = memory_.code_marks();
  flush();
}

void Mmu::drop_code(std::size_t page) {
  probe_page_ = page;
  check(uc_ctl_remove_cache(engine_.get(), kProbe, kProbe + kPageSize), "remove_cache");
  probe_page_ = kNoPage;
  code_.clear_code(page);
  flush();
}

bool Mmu::refuse(const MemoryFault& fault) {
  pending_ = fault;
  tail_at_ = nullptr;
  return false;
}

bool Mmu::poison(const MemoryFault& fault, uc_tlb_entry* entry) {
  poisoned_ = fault;
  return set(entry, layout::kPoison, kR | kW);
}

bool Mmu::fill(std::uint64_t linear, uc_mem_type type, uc_tlb_entry* entry) {
  const Access access = to_access(type);
  if (probe_page_ != kNoPage) return set(entry, code_.host(probe_page_), kR | kW | kX);
  if (access == Access::Fetch && (env_.has_code_base() || env_.has_wide_rip())) [[unlikely]] {
    return refuse({.kind = MemoryFault::Kind::CodeBase, .fetch = true});
  }
  const PagingMode mode = PagingMode::of(env_.head());
  // The hook is not told for which privilege the entry is.
  Privilege privilege = env_.cpl() == 3 ? Privilege::User : Privilege::Supervisor;
  Walk walk = walker_.walk(mode, linear, access, privilege, Marks::Set);
  if (walk.kind != Translation::Kind::Ok) [[unlikely]] {
    if (privilege == Privilege::User && access != Access::Fetch && is_system_access(linear)) {
      privilege = Privilege::Supervisor;
      walk = walker_.walk(mode, linear, access, privilege, Marks::Set);
    }
    if (walk.kind != Translation::Kind::Ok) {
      return fill_fault(walk, linear, access, privilege, entry);
    }
  }
  const NestedPage& page = nested_.find_for(walk.gpa, access);
  if (!permits(page, access)) [[unlikely]] {
    if (!page.present && access != Access::Fetch) {
      walker_.remember(mode, linear, access, privilege, walk);
    }
    return fill_nested_fault(page, page_of(walk.gpa), linear, access, privilege, entry);
  }
  return grant(walk, page, linear, access, entry);
}

// Completes a fault of the instruction at RIP. Of a plain move in 64-bit mode everything is known;
// but not where it crosses the page end, which the engine goes by parts.
bool Mmu::locate(MemoryFault& fault) {
  const EnvHead& head = env_.head();
  if (!env_.code64()) return false;
  const Instruction& in = instruction_at(head, head.eip, 8);
  if (in.length == 0 || !is_plain_move(in)) return false;
  const std::uint64_t linear = operand_address(in, head, head.eip + in.length);
  const std::uint64_t offset = linear & (kPageSize - 1);
  const unsigned size = moved_bytes(in);
  if (linear - offset != fault.linear || offset + size > kPageSize) return false;
  fault.exact = true;
  fault.linear = linear;
  fault.gpa |= offset;
  fault.size = static_cast<std::uint8_t>(size);
  return true;
}

bool Mmu::fill_fault(const Walk& walk, std::uint64_t linear, Access access, Privilege privilege,
                     uc_tlb_entry* entry) {
  MemoryFault fault;
  fault.fetch = access == Access::Fetch;
  fault.linear = linear;
  fault.error = walk.error;
  fault.gpa = walk.gpa;
  if (walk.kind == Translation::Kind::NestedFault) {
    fault.kind = MemoryFault::Kind::Nested;
    return refuse(fault);
  }
  fault.kind = walk.kind == Translation::Kind::PageFault ? MemoryFault::Kind::PageFault
                                                         : MemoryFault::Kind::NonCanonical;
  if (fault.fetch || locate(fault)) return refuse(fault);
  if (access == Access::Write) keep_tail(linear, privilege);
  return poison(fault, entry);
}

bool Mmu::fill_nested_fault(const NestedPage& page, std::uint64_t gpa, std::uint64_t linear,
                            Access access, Privilege privilege, uc_tlb_entry* entry) {
  MemoryFault fault;
  fault.kind = MemoryFault::Kind::Nested;
  fault.fetch = access == Access::Fetch;
  fault.linear = linear;
  fault.gpa = gpa;
  fault.error = nested_error(page, access, npf::kFinal);
  if (fault.fetch) return refuse(fault);
  const std::uint64_t scratch = scratch_for(gpa);
  if (scratch == 0 && locate(fault)) return refuse(fault);
  if (access == Access::Write) keep_tail(linear, privilege);
  if (scratch != 0) return set(entry, scratch, kR | kW);
  return poison(fault, entry);
}

bool Mmu::grant(const Walk& walk, const NestedPage& page, std::uint64_t linear, Access access,
                uc_tlb_entry* entry) {
  const std::size_t index = code_.index(page.host);
  unsigned permissions = walk.readable ? kR : 0;
  if (walk.writable && page.writable) permissions |= kW;
  if (walk.executable && page.executable) permissions |= kX;
  std::uint8_t& flags = memory_.page_flags()[index];

  if (access == Access::Fetch) {
    if (!code_.has_code(index)) {
      code_.set_code(index);
      const bool seen = code_marks_seen_ == memory_.code_marks();
      memory_.mark_code(HostPhys(page.host));
      if (seen) code_marks_seen_ = memory_.code_marks();
      if (code_.may_be_written(index)) flush();
    }
    fetched_[fetch_slot(linear)] = {linear >> 12, page.host};
    return set(entry, page.host, permissions & ~kW);
  }
  if (access == Access::Write) {
    if ((flags & HostMemory::kCode) != 0) {
      memory_.tell_code_written(HostPhys(page.host), &self_);
      if (!code_.has_code(index)) flags &= static_cast<std::uint8_t>(~HostMemory::kCode);
    }
    if (code_.has_code(index)) {
      if (!grant_write_to_code(index, linear, permissions)) return false;
    } else {
      permissions &= ~kX;
    }
  } else {
    permissions &= (flags & HostMemory::kCode) != 0 ? ~(kW | kX) : ~kX;
  }
  if ((permissions & kW) != 0) {
    flags |= HostMemory::kWritten;
    code_.grant_write(index);
  }
  return set(entry, page.host, permissions);
}

// A page that the guest may execute through this very address gets an entry with W and X: the
// engine watches each store through it. Through another alias the translations go first; but not
// where the store itself lies in the page, which would never get anywhere.
bool Mmu::grant_write_to_code(std::size_t page, std::uint64_t linear, unsigned& permissions) {
  MemoryFault fault;
  fault.kind = MemoryFault::Kind::StaleCode;
  if ((permissions & kX) != 0 || is_own_code(page)) {
    if (is_watched(page)) {
      permissions |= kX;
      return true;
    }
    watch(page);
    fault.kind = MemoryFault::Kind::OwnCode;
  }
  fault.linear = linear;
  fault.page = page;
  return refuse(fault);
}

bool Mmu::is_watched(std::size_t page) const {
  const auto watched = std::span(watched_).first(watched_count_);
  return std::ranges::find(watched, page) != watched.end();
}

void Mmu::watch(std::size_t page) {
  if (watched_count_ == watched_.size()) flush();
  if (watched_count_ == 0) ++watches_;
  watched_[watched_count_++] = page;
}

std::size_t Mmu::code_page(const EnvHead& head, std::uint64_t linear) {
  const std::uint64_t host = code_address(head, linear);
  return host == kNowhere ? kNoPage : code_.index(host);
}

bool Mmu::may_be_hit(const EnvHead& head, std::uint64_t pc, std::uint32_t size) {
  return is_watched(code_page(head, pc)) || is_watched(code_page(head, pc + size - 1));
}

// The block that begins here again may go on into the next page.
bool Mmu::is_own_code(std::size_t page) {
  const std::uint64_t rip = env_.linear_rip();
  const EnvHead& head = env_.head();
  return code_page(head, rip) == page || code_page(head, page_of(rip) + kPageSize) == page;
}

std::uint64_t Mmu::walk_for_code(const EnvHead& head, std::uint64_t linear) {
  const Walk walk =
      walker_.walk(PagingMode::of(head), linear, Access::Read, Privilege::Supervisor, Marks::Peek);
  if (walk.kind != Translation::Kind::Ok) return kNowhere;
  const NestedPage& page = nested_.find(walk.gpa);
  if (!page.present) return kNowhere;
  return page.host + (walk.gpa & (kPageSize - 1));
}

// Segment loads read descriptors, and ring changes the TSS, with the rights of the supervisor.
bool Mmu::is_system_access(std::uint64_t linear) {
  const EnvHead& head = env_.head();
  const auto in = [&](const EnvSegment& table) {
    const std::uint64_t last = table.base + table.limit;
    return page_of(table.base) <= linear && linear <= page_of(last);
  };
  const auto loaded = [](const EnvSegment& segment) { return (segment.selector & 0xfffc) != 0; };
  if (!in(head.gdt) && !(loaded(head.ldt) && in(head.ldt)) && !(loaded(head.tr) && in(head.tr))) {
    return false;
  }
  return is_system_reader(instruction_at(head, env_.linear_rip(), env_.code_bytes()));
}

std::size_t Mmu::read_code(const EnvHead& head, std::uint64_t linear,
                           std::span<std::uint8_t> into) {
  if ((linear & (kPageSize - 1)) + into.size() <= kPageSize) [[likely]] {
    const std::uint64_t host = code_address(head, linear);
    if (host == kNowhere) return 0;
    std::memcpy(into.data(), nested_.host_bytes(host), into.size());
    return into.size();
  }
  std::size_t done = 0;
  while (done < into.size()) {
    const std::uint64_t host = code_address(head, linear + done);
    if (host == kNowhere) break;
    const std::size_t count =
        std::min<std::size_t>(into.size() - done, kPageSize - (host & (kPageSize - 1)));
    std::memcpy(into.data() + done, nested_.host_bytes(host), count);
    done += count;
  }
  return done;
}

const Instruction& Mmu::instruction_at(const EnvHead& head, std::uint64_t linear,
                                       unsigned code_bytes) {
  constexpr std::size_t kLongest = 15;
  const std::uint64_t host = code_address(head, linear);
  if (host == kNowhere || (linear & (kPageSize - 1)) > kPageSize - kLongest) [[unlikely]] {
    std::array<std::uint8_t, kLongest> buffer;
    const std::size_t size = read_code(head, linear, buffer);
    across_pages_ = decode(std::span(buffer).first(size), code_bytes);
    return across_pages_;
  }
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(nested_.host_bytes(host));
  // All 15 of them, one twice.
  std::array<std::uint64_t, 2> key;
  std::memcpy(key.data(), bytes, sizeof key[0]);
  std::memcpy(&key[1], bytes + kLongest - sizeof key[1], sizeof key[1]);
  Decoded& known = decoded_[(key[0] ^ key[0] >> 8 ^ key[0] >> 16) % decoded_.size()];
  if (known.key[0] != key[0] || known.key[1] != key[1] || known.code_bytes != code_bytes) {
    known = {key, code_bytes, decode(std::span(bytes, kLongest), code_bytes)};
  }
  return known.instruction;
}

void Mmu::keep_tail(std::uint64_t linear, Privilege privilege) {
  const Walk walk = walker_.walk(PagingMode::of(env_.head()), linear - kTail, Access::Write,
                                 privilege, Marks::Peek);
  if (walk.kind != Translation::Kind::Ok) return;
  const NestedPage& page = nested_.find(walk.gpa);
  if (!page.present) return;
  // The engine asks twice for the second page: before it writes to the first one, and after.
  std::byte* const at = nested_.host_bytes(page.host + kPageSize - kTail);
  if (tail_at_ == at) return;
  tail_at_ = at;
  std::copy_n(tail_at_, kTail, tail_.begin());
}

void Mmu::on_poison(std::uint64_t address, bool write, unsigned size) {
  const std::uint64_t offset = address & (kPageSize - 1);
  pending_ = poisoned_;
  pending_.linear |= offset;
  pending_.gpa |= offset;
  pending_.fetch = false;
  pending_.size = static_cast<std::uint8_t>(std::min(size, 64U));
  if (write && offset == 0 && tail_at_ != nullptr) std::copy_n(tail_.begin(), kTail, tail_at_);
  tail_at_ = nullptr;
}

void Mmu::set_scratch(std::span<const ScratchPage> pages) {
  RETRAP_CHECK(pages.size() <= scratch_.size(), "{} scratch pages", pages.size());
  scratch_count_ = 0;
  for (const ScratchPage& page : pages) {
    const std::uint64_t at = layout::kScratch + scratch_count_ * kPageSize;
    std::ranges::copy(page.bytes, monitor_.at(at, kPageSize).begin());
    scratch_[scratch_count_++] = page.page.raw();
  }
  flush();
}

void Mmu::clear_scratch() {
  scratch_count_ = 0;
  flush();
}

std::uint64_t Mmu::scratch_for(std::uint64_t gpa) const {
  for (unsigned i = 0; i < scratch_count_; ++i) {
    if (scratch_[i] == page_of(gpa)) return layout::kScratch + i * kPageSize;
  }
  return 0;
}

}  // namespace retrap::unicorn::x86_64
