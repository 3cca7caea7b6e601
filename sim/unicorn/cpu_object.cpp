// Finds the CPU state of an engine by what was written to it.
#include "sim/unicorn/cpu_object.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace retrap::unicorn {
namespace {

/// The state lies in the object of the CPU, behind its table of blocks (32 KiB).
constexpr std::size_t kObjectBytes = std::size_t{64} << 10;
constexpr std::size_t kHostPage = 4096;

/// Says whether memory can be read, without reading it: the system refuses to copy from it.
class ReadableMemory {
 public:
  ReadableMemory() {
    if (pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) != 0) ends_ = {-1, -1};
  }
  ~ReadableMemory() {
    for (const int end : ends_) {
      if (end >= 0) close(end);
    }
  }
  ReadableMemory(const ReadableMemory&) = delete;
  ReadableMemory& operator=(const ReadableMemory&) = delete;

  [[nodiscard]] bool has(const std::byte* at) const {
    if (::write(ends_[1], at, 1) != 1) return false;
    std::byte copied{};
    return ::read(ends_[0], &copied, 1) == 1;
  }
  /// Bytes from `at` on, up to `limit`.
  [[nodiscard]] std::size_t size_at(const std::byte* at, std::size_t limit) const {
    std::size_t size = 0;
    while (size + kHostPage <= limit && has(at + size) && has(at + size + kHostPage - 1)) {
      size += kHostPage;
    }
    return size;
  }

 private:
  std::array<int, 2> ends_{};
};

}  // namespace

// One of the first pointers in a uc_engine is that to its CPU.
std::byte* find_in_cpu(uc_engine* uc, std::span<const std::byte> pattern, std::size_t size) {
  const ReadableMemory readable;
  const auto* const words = reinterpret_cast<const std::byte*>(uc);
  const std::size_t words_size = malloc_usable_size(uc);
  for (std::size_t at = 0; at + sizeof(std::byte*) <= words_size; at += sizeof(std::byte*)) {
    std::uint64_t word = 0;
    std::memcpy(&word, words + at, sizeof word);
    if (word < kHostPage || word % 16 != 0) continue;
    std::byte* object = nullptr;
    std::memcpy(&object, words + at, sizeof object);
    const std::size_t object_size = readable.size_at(object, kObjectBytes);
    for (std::size_t offset = 0; offset + size <= object_size; offset += 8) {
      if (std::memcmp(object + offset, pattern.data(), pattern.size()) == 0) return object + offset;
    }
  }
  return nullptr;
}

}  // namespace retrap::unicorn
