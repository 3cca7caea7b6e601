// Pages that only the simulator sees: the VMCB and its bitmaps, scratch pages. Guests cannot reach
// them, for no nested page table leads there.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>

#include "sim/unicorn/engine.h"

namespace retrap::unicorn::x86_64 {

/// Physical addresses of the engine that are no host memory. HostMemory lies far below.
namespace layout {
inline constexpr std::uint64_t kMonitor = std::uint64_t{1} << 45;
inline constexpr std::uint64_t kVmcb = kMonitor;
inline constexpr std::uint64_t kIoPermissions = kMonitor + 0x1000;   ///< three pages
inline constexpr std::uint64_t kMsrPermissions = kMonitor + 0x4000;  ///< two pages
inline constexpr std::uint64_t kStub = kMonitor + 0x6000;            ///< holds a VMRUN
inline constexpr std::uint64_t kHostSave = kMonitor + 0x7000;
inline constexpr std::uint64_t kScratch = kMonitor + 0x8000;  ///< kScratchPages pages
inline constexpr unsigned kScratchPages = 2;
inline constexpr std::uint64_t kMonitorSize = 0x8000 + kScratchPages * kPageSize;

/// Nothing is mapped at this page: a TLB entry that leads here stops the access before it does
/// anything.
inline constexpr std::uint64_t kPoison = std::uint64_t{1} << 46;
}  // namespace layout

/// Owns those pages and maps them into the engine.
class MonitorMemory {
 public:
  explicit MonitorMemory(const Engine& engine)
      : bytes_(static_cast<std::byte*>(
            ::operator new(layout::kMonitorSize, std::align_val_t{kPageSize}))) {
    std::memset(bytes_.get(), 0, layout::kMonitorSize);
    check(uc_mem_map_ptr(engine.get(), layout::kMonitor, layout::kMonitorSize, UC_PROT_ALL,
                         bytes_.get()),
          "mem_map_ptr");
  }

  /// The bytes at [at, at + size), which lie in the monitor's pages.
  [[nodiscard]] std::span<std::byte> at(std::uint64_t address, std::uint64_t size) {
    return std::span(bytes_.get(), layout::kMonitorSize).subspan(address - layout::kMonitor, size);
  }

 private:
  struct Free {
    void operator()(std::byte* bytes) const {
      ::operator delete(bytes, std::align_val_t{kPageSize});
    }
  };
  std::unique_ptr<std::byte, Free> bytes_;
};

}  // namespace retrap::unicorn::x86_64
