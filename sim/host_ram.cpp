// The memory of the simulated host, from mmap.
#include "sim/host_ram.h"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace retrap {

Result<HostRam> HostRam::map(std::uint64_t size) {
  if (size == 0) return fail(ErrorCode::InvalidInput, "a host without memory");
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    return fail(ErrorCode::NoMemory, "the operating system refused {:#x} bytes of memory: {}", size,
                std::generic_category().message(errno));
  }
  return HostRam(std::span(static_cast<std::byte*>(at), size));
}

HostRam::HostRam(HostRam&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

HostRam& HostRam::operator=(HostRam&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

HostRam::~HostRam() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace retrap
