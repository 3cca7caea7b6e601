// Host-physical memory: bytes by host-physical address, and the two facts kept about each page.
#include "vmm/host_memory.h"

#include <algorithm>
#include <cstring>

#include "vmm/base/bytes.h"
#include "vmm/base/check.h"

namespace retrap {

HostMemory::HostMemory(HostPhys base, std::span<std::byte> bytes)
    : base_(base),
      bytes_(bytes),
      flags_(static_cast<std::uint8_t*>(std::calloc(bytes.size() / kPageSize + 1, 1))) {
  RETRAP_CHECK(base.is_aligned(kPageSize) && bytes.size() % kPageSize == 0,
               "host memory at {} of {:#x} bytes is not made of whole pages", base, bytes.size());
  RETRAP_CHECK(flags_ != nullptr, "no memory for the flags of {:#x} bytes", bytes.size());
}

std::span<const std::byte> HostMemory::read(HostPhys at, std::uint64_t size) const {
  RETRAP_CHECK(contains(at, size), "{}+{:#x} is not host memory", at, size);
  return bytes_.subspan(at.offset_from(base_), size);
}

std::span<std::byte> HostMemory::write(HostPhys at, std::uint64_t size) {
  RETRAP_CHECK(contains(at, size), "{}+{:#x} is not host memory", at, size);
  const std::uint64_t offset = at.offset_from(base_);
  if (size == 0) return {};
  const std::uint64_t last = (offset + size - 1) / kPageSize;
  for (std::uint64_t page = offset / kPageSize; page <= last; ++page) mark_written(page);
  return bytes_.subspan(offset, size);
}

std::uint64_t HostMemory::load64(HostPhys at) const {
  RETRAP_CHECK(contains(at, sizeof(std::uint64_t)), "{} is not host memory", at);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes_.data() + at.offset_from(base_), sizeof(value));
  return little_endian(value);
}

void HostMemory::store64(HostPhys at, std::uint64_t value) {
  RETRAP_CHECK(contains(at, sizeof(std::uint64_t)), "{} is not host memory", at);
  const std::uint64_t offset = at.offset_from(base_);
  mark_written(offset / kPageSize);
  value = little_endian(value);
  std::memcpy(bytes_.data() + offset, &value, sizeof(value));
}

void HostMemory::zero(HostPhys at, std::uint64_t size) {
  RETRAP_CHECK(contains(at, size), "{}+{:#x} is not host memory", at, size);
  RETRAP_CHECK(at.is_aligned(kPageSize) && size % kPageSize == 0, "{}+{:#x} is not made of pages",
               at, size);
  const std::uint64_t first = at.offset_from(base_) / kPageSize;
  for (std::uint64_t page = first; page < first + size / kPageSize; ++page) {
    if ((flags_[page] & kWritten) == 0) continue;
    mark_written(page);
    std::memset(bytes_.data() + page * kPageSize, 0, kPageSize);
    flags_[page] = static_cast<std::uint8_t>(flags_[page] & ~kWritten);
  }
}

void HostMemory::add_listener(CodeListener* listener) {
  RETRAP_CHECK(listener != nullptr, "a listener is never null");
  listeners_.push_back(listener);
}

void HostMemory::remove_listener(CodeListener* listener) {
  std::erase(listeners_, listener);
}

void HostMemory::tell_code_written(HostPhys page, const CodeListener* except) {
  for (CodeListener* listener : listeners_) {
    if (listener != except) listener->code_page_written(page);
  }
}

void HostMemory::mark_written(std::uint64_t page) {
  flags_[page] |= kWritten;
  if ((flags_[page] & kCode) != 0) {
    tell_code_written(base_.wrapping_add(page * kPageSize), nullptr);
  }
}

}  // namespace retrap
