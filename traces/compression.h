// Compression of blocks; the only file behind it that knows zstd.
#pragma once

#include <cstddef>
#include <memory>

#include "traces/varint.h"

namespace retrap::traces {

/// Keeps zstd's working memory from block to block.
class Compressor {
 public:
  Compressor();
  ~Compressor();
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;

  /// Writes the compressed bytes of `raw` over `into`.
  void compress(ConstBytes raw, ByteVector& into);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;

  /// Writes exactly `raw_size` bytes over `into`; false where `stored` is not the compressed form
  /// of so many bytes. Allocates `raw_size` bytes and no more.
  [[nodiscard]] bool decompress(ConstBytes stored, std::size_t raw_size, ByteVector& into);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrap::traces
