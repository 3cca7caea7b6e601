// Which pages the engine's TLB may let the guest write.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/host_memory.h"

namespace retrap::unicorn::aarch64 {

/// The engine has no way to take one entry of its TLB back, and none to ask for it: what was
/// granted stays until the whole TLB is flushed.
class WriteGrants {
 public:
  explicit WriteGrants(const HostMemory& memory) : granted_(memory.size() / kPageSize, 0) {}

  /// `page` is the index of a host page.
  void grant(std::uint64_t page) { granted_[page] = flushes_; }
  [[nodiscard]] bool may_have(std::uint64_t page) const { return granted_[page] == flushes_; }
  void flushed() { ++flushes_; }

 private:
  std::vector<std::uint32_t> granted_;  ///< flushes_ at the last grant
  std::uint32_t flushes_ = 1;
};

}  // namespace retrap::unicorn::aarch64
