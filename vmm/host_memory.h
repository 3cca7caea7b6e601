// Host-physical memory: one mapping, and what is known about each of its pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/address.h"

namespace retrap {

inline constexpr std::uint64_t kPageSize = 4096;

/// An engine that keeps translations of guest code: told when bytes under them change.
class CodeListener {
 public:
  virtual ~CodeListener() = default;
  /// The 4 KiB host page at `page` was (or is about to be) written by somebody else.
  virtual void code_page_written(HostPhys page) = 0;
};

/// The memory of the simulated host. Frames come from it; engines map all of it at base().
///
/// Two facts are kept for every 4 KiB page. `kWritten`: it may differ from zero (set by whoever
/// writes or grants a guest write access; never cleared but by zeroing). `kCode`: some engine may
/// hold translations of its bytes, so writes must be told to the listeners.
class HostMemory {
 public:
  static constexpr std::uint8_t kWritten = 1;
  static constexpr std::uint8_t kCode = 2;

  /// `base` and the size of `bytes` are multiples of 4 KiB; `bytes` starts zeroed and outlives
  /// this.
  HostMemory(HostPhys base, std::span<std::byte> bytes);

  [[nodiscard]] HostPhys base() const { return base_; }
  [[nodiscard]] std::uint64_t size() const { return bytes_.size(); }
  [[nodiscard]] std::byte* data() { return bytes_.data(); }
  [[nodiscard]] bool contains(HostPhys at, std::uint64_t size = 1) const {
    return at >= base_ && size <= bytes_.size() && at.offset_from(base_) <= bytes_.size() - size;
  }

  /// The bytes at [at, at + size). Requires contains(at, size).
  [[nodiscard]] std::span<const std::byte> read(HostPhys at, std::uint64_t size) const;

  /// The same for writing: marks the pages written and tells the listeners of those with code.
  [[nodiscard]] std::span<std::byte> write(HostPhys at, std::uint64_t size);

  /// A little-endian 64-bit word: page-table entries. Requires contains(at, 8), 8-byte alignment.
  [[nodiscard]] std::uint64_t load64(HostPhys at) const;
  void store64(HostPhys at, std::uint64_t value);

  /// The flags of the page that holds `at`. Requires contains(at). Hot paths index page_flags().
  [[nodiscard]] std::uint8_t& flags(HostPhys at) { return flags_[at.offset_from(base_) >> 12]; }
  /// One byte for each 4 KiB page.
  [[nodiscard]] std::span<std::uint8_t> page_flags() {
    return {flags_.get(), bytes_.size() / kPageSize};
  }

  /// Zeroes [at, at + size) (page aligned); pages never written are not touched.
  void zero(HostPhys at, std::uint64_t size);

  /// An engine is about to translate code of the page at `page`.
  void mark_code(HostPhys page) {
    flags(page) |= kCode;
    ++code_marks_;
  }
  /// Grows with each mark. An engine that finds it grown by others drops the permissions to write
  /// that it has cached, before its guest runs on.
  [[nodiscard]] std::uint64_t code_marks() const { return code_marks_; }

  void add_listener(CodeListener* listener);  ///< never null; outlives its registration
  void remove_listener(CodeListener* listener);
  /// Tells all listeners but `except` (may be null).
  void tell_code_written(HostPhys page, const CodeListener* except);

 private:
  struct Freed {
    void operator()(std::uint8_t* flags) const { std::free(flags); }
  };
  void mark_written(std::uint64_t page);

  HostPhys base_;
  std::span<std::byte> bytes_;
  // From calloc: the flags of memory that nobody uses cost nothing, however big the host is.
  std::unique_ptr<std::uint8_t[], Freed> flags_;  // NOLINT(modernize-avoid-c-arrays)
  std::vector<CodeListener*> listeners_;
  std::uint64_t code_marks_ = 0;
};

}  // namespace retrap
