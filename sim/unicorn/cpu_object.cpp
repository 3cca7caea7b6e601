// Finds the CPU state of an engine by what was written to it.
#include "sim/unicorn/cpu_object.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "sim/unicorn/engine.h"

namespace retrap::unicorn {
namespace {

/// The state lies in the object of the CPU, behind its table of blocks (32 KiB).
constexpr std::size_t kObjectBytes = std::size_t{64} << 10;
constexpr std::size_t kHostPage = 4096;

/// Copies memory that may not be there. The system does it: no signal where nothing is mapped, and
/// nothing that a sanitizer could object to in the middle of somebody else's object.
class MemoryReader {
 public:
  MemoryReader() {
    if (pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) != 0) ends_ = {-1, -1};
  }
  ~MemoryReader() {
    // The next search must not find what this one has found in freed memory.
    ::explicit_bzero(copy_.data(), copy_.size());
    for (const int end : ends_) {
      if (end >= 0) close(end);
    }
  }
  MemoryReader(const MemoryReader&) = delete;
  MemoryReader& operator=(const MemoryReader&) = delete;

  /// The bytes from `at` on, as far as they can be read. Valid until the next call.
  [[nodiscard]] std::span<const std::byte> read(const std::byte* at) {
    std::size_t size = 0;
    while (size < copy_.size()) {
      const std::size_t more = read_some(at + size, std::span(copy_).subspan(size));
      if (more == 0) break;
      size += more;
    }
    return {copy_.data(), size};
  }

 private:
  /// Copies what a pipe holds: usually everything.
  [[nodiscard]] std::size_t read_some(const std::byte* from, std::span<std::byte> to) const {
    // Not ::write(): sanitizers replace it and look at what it is given.
    const long written = ::syscall(SYS_write, ends_[1], from, to.size());
    if (written <= 0) return 0;
    const auto size = static_cast<std::size_t>(written);
    return ::read(ends_[0], to.data(), size) == written ? size : 0;
  }

  std::array<int, 2> ends_{};
  std::vector<std::byte> copy_ = std::vector<std::byte>(kObjectBytes);
};

std::uint64_t word_at(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Where `pattern` is in `object`, with `needed` bytes from there on.
std::optional<std::size_t> find_in(std::span<const std::byte> object,
                                   std::span<const std::byte> pattern, std::size_t needed) {
  const std::size_t last = pattern.size() - sizeof(std::uint64_t);
  const std::uint64_t wanted = word_at(pattern.data() + last);
  for (std::size_t at = 0; at + needed <= object.size(); at += sizeof(std::uint64_t)) {
    if (word_at(object.data() + at + last) != wanted) continue;
    if (std::memcmp(object.data() + at, pattern.data(), pattern.size()) == 0) return at;
  }
  return std::nullopt;
}

}  // namespace

// A uc_engine has a pointer to its CPU, which comes from the same heap: pointers near its own
// address are tried first, then the others.
std::byte* find_in_cpu(uc_engine* uc, std::span<const std::byte> pattern, std::size_t size) {
  MemoryReader memory;
  const auto* const words = reinterpret_cast<const std::byte*>(uc);
  const std::size_t words_size = malloc_usable_size(uc);
  const std::uint64_t region = word_at(reinterpret_cast<const std::byte*>(&words)) >> 32;
  for (const bool near : {true, false}) {
    for (std::size_t at = 0; at + sizeof(std::byte*) <= words_size; at += sizeof(std::byte*)) {
      const std::uint64_t word = word_at(words + at);
      if (word < kHostPage || word % 16 != 0 || (word >> 32 == region) != near) continue;
      std::byte* object = nullptr;
      std::memcpy(static_cast<void*>(&object), words + at, sizeof object);
      const auto found = find_in(memory.read(object), pattern, size);
      if (found) return object + *found;
    }
  }
  return nullptr;
}

Result<std::byte*> find_state(uc_engine* uc, std::byte* (*search)(uc_engine*),
                              std::string_view (*mismatch)(uc_engine*, std::byte*)) {
  uc_context* before = nullptr;
  check(uc_context_alloc(uc, &before), "context_alloc");
  check(uc_context_save(uc, before), "context_save");
  std::byte* const found = search(uc);
  const std::string_view wrong = found == nullptr ? "general registers" : mismatch(uc, found);
  check(uc_context_restore(uc, before), "context_restore");
  uc_context_free(before);
  if (wrong.empty()) return found;
  return fail(ErrorCode::Backend,
              "unicorn {}.{}.{}: the CPU state has another layout than that of 2.1.4 ({})",
              UC_VERSION_MAJOR, UC_VERSION_MINOR, UC_VERSION_PATCH, wrong);
}

}  // namespace retrap::unicorn
