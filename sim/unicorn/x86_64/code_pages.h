// The code-page rule: which host pages this engine may hold translations of, and which it may
// write to without being asked.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/host_memory.h"

namespace retrap::unicorn::x86_64 {

/// Invariant (C1): no TLB entry grants writes to a page with code, but entries that also grant
/// fetches: for those the engine itself watches every store.
/// Invariant (C2): a page with writes granted since the last flush gets code only after a flush.
class CodePages {
 public:
  explicit CodePages(HostMemory& memory)
      : base_(memory.base().raw()),
        code_(memory.size() / kPageSize),
        granted_(memory.size() / kPageSize) {}

  [[nodiscard]] std::size_t index(std::uint64_t host) const { return (host - base_) / kPageSize; }
  [[nodiscard]] std::uint64_t host(std::size_t index) const { return base_ + index * kPageSize; }

  [[nodiscard]] bool has_code(std::size_t page) const { return code_[page] != 0; }
  void set_code(std::size_t page) { code_[page] = 1; }
  void clear_code(std::size_t page) { code_[page] = 0; }

  /// Writes are granted until the next flush of the TLB.
  void grant_write(std::size_t page) { granted_[page] = epoch_; }
  [[nodiscard]] bool may_be_written(std::size_t page) const { return granted_[page] == epoch_; }
  void tlb_flushed() { ++epoch_; }

  /// The CPU has written to the page of `host` by itself: a bit of a table entry, a stack frame.
  void written_by_cpu(HostMemory& memory, std::uint64_t host) {
    std::uint8_t& flags = memory.flags(HostPhys(host));
    flags |= HostMemory::kWritten;
    if ((flags & HostMemory::kCode) != 0) [[unlikely]]
      stale_.push_back(index(host));
  }

  /// Pages whose translations must go before the guest runs on.
  [[nodiscard]] std::vector<std::size_t>& stale() { return stale_; }

 private:
  std::uint64_t base_;
  std::vector<std::uint8_t> code_;
  std::vector<std::uint32_t> granted_;
  std::uint32_t epoch_ = 1;
  std::vector<std::size_t> stale_;
};

}  // namespace retrap::unicorn::x86_64
