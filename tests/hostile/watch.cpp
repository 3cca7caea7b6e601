// Watches the host's memory that does not belong to a guest.
#include "tests/hostile/watch.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

#include "vmm/base/check.h"

namespace retrap::hostile {
namespace {

/// Which pages the operating system has given memory to; it does so at the first touch.
std::vector<unsigned char> touched_pages(HostMemory& memory) {
  std::vector<unsigned char> pages(memory.size() / kPageSize);
  const int error = ::mincore(memory.data(), memory.size(), pages.data());
  RETRAP_CHECK(error == 0, "mincore refuses {:#x} bytes", memory.size());
  return pages;
}

}  // namespace

Watch::Watch(Frames& frames, VmId vm, bool tables_may_change) : frames_(frames) {
  HostMemory& memory = frames.memory();
  // A huge page would make neighbours look touched.
  (void)::madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
  for (std::uint64_t at = 0; at < memory.size(); at += kPageSize) {
    const HostPhys page = memory.base().wrapping_add(at);
    const auto owner = frames.owner_of(page);
    if (!owner) continue;
    if (owner->vm != vm || (owner->use == FrameUse::PageTable && !tables_may_change)) {
      const auto bytes = memory.read(page, kPageSize);
      saved_.push_back({page, {bytes.begin(), bytes.end()}});
    }
  }
  touched_ = touched_pages(memory);
}

std::string Watch::finding() const {
  HostMemory& memory = frames_.memory();
  const auto touched = touched_pages(memory);
  for (std::size_t i = 0; i < touched.size(); ++i) {
    if ((touched[i] & 1) == 0 || (touched_[i] & 1) != 0) continue;
    const HostPhys page = memory.base().wrapping_add(i * kPageSize);
    if (!frames_.owner_of(page)) {
      return fmt::format("the host's page {:#x} was touched, and nobody owns it", page.raw());
    }
  }
  for (const auto& [page, bytes] : saved_) {
    if (!std::ranges::equal(memory.read(page, kPageSize), bytes)) {
      return fmt::format("the page {:#x} was written, and it is not the guest's", page.raw());
    }
  }
  return {};
}

}  // namespace retrap::hostile
