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
  /// Bytes from `at` on, up to `limit`: a page is readable, or not.
  [[nodiscard]] std::size_t size_at(const std::byte* at, std::size_t limit) const {
    std::size_t size = 0;
    while (size < limit && has(at + size)) size += kHostPage;
    return size == 0 || has(at + size - 1) ? size : size - kHostPage;
  }

 private:
  std::array<int, 2> ends_{};
};

std::uint64_t word_at(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Where `pattern` is in the `size` bytes at `object`, with `needed` bytes from there on.
std::byte* find_in(std::byte* object, std::size_t size, std::span<const std::byte> pattern,
                   std::size_t needed) {
  const std::size_t last = pattern.size() - sizeof(std::uint64_t);
  const std::uint64_t wanted = word_at(pattern.data() + last);
  for (std::size_t at = 0; at + needed <= size; at += sizeof(std::uint64_t)) {
    if (word_at(object + at + last) != wanted) continue;
    if (std::memcmp(object + at, pattern.data(), pattern.size()) == 0) return object + at;
  }
  return nullptr;
}

}  // namespace

// A uc_engine has a pointer to its CPU, which comes from the same heap: pointers near its own
// address are tried first, then the others.
std::byte* find_in_cpu(uc_engine* uc, std::span<const std::byte> pattern, std::size_t size) {
  const ReadableMemory readable;
  const auto* const words = reinterpret_cast<const std::byte*>(uc);
  const std::size_t words_size = malloc_usable_size(uc);
  const std::uint64_t region = word_at(reinterpret_cast<const std::byte*>(&words)) >> 32;
  for (const bool near : {true, false}) {
    for (std::size_t at = 0; at + sizeof(std::byte*) <= words_size; at += sizeof(std::byte*)) {
      const std::uint64_t word = word_at(words + at);
      if (word < kHostPage || word % 16 != 0 || (word >> 32 == region) != near) continue;
      std::byte* object = nullptr;
      std::memcpy(&object, words + at, sizeof object);
      const std::size_t object_size = readable.size_at(object, kObjectBytes);
      std::byte* const found = find_in(object, object_size, pattern, size);
      if (found != nullptr) return found;
    }
  }
  return nullptr;
}

}  // namespace retrap::unicorn
