// The memory of the simulated host: one anonymous mapping that costs only what is touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"

namespace retrap {

/// Zeroed pages from the operating system, given back by the destructor.
class HostRam {
 public:
  /// `size` is a multiple of 4 KiB. NoMemory where the operating system refuses.
  [[nodiscard]] static Result<HostRam> map(std::uint64_t size);
  HostRam(HostRam&& other) noexcept;
  HostRam& operator=(HostRam&& other) noexcept;
  HostRam(const HostRam&) = delete;
  HostRam& operator=(const HostRam&) = delete;
  ~HostRam();

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit HostRam(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes_;
};

}  // namespace retrap
