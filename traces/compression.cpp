// Compression of blocks by zstd.
#include "traces/compression.h"

#include <zstd.h>

#include "vmm/base/check.h"

namespace retrap::traces {
namespace {

/// Recording is in the way of the guest: the level that costs least time.
constexpr int kLevel = 1;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { (void)ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { (void)ZSTD_freeDCtx(context); }
};

}  // namespace

struct Compressor::State {
  std::unique_ptr<ZSTD_CCtx, FreeContext> context{ZSTD_createCCtx()};
};

struct Decompressor::State {
  std::unique_ptr<ZSTD_DCtx, FreeContext> context;  ///< made for the first block: it is large
};

Compressor::Compressor() : state_(std::make_unique<State>()) {}
Compressor::~Compressor() = default;
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;

void Compressor::compress(ConstBytes raw, ByteVector& into) {
  into.resize(ZSTD_compressBound(raw.size()));
  const std::size_t size = ZSTD_compressCCtx(state_->context.get(), into.data(), into.size(),
                                             raw.data(), raw.size(), kLevel);
  RETRAP_CHECK(ZSTD_isError(size) == 0, "zstd: {}", ZSTD_getErrorName(size));
  into.resize(size);
}

Decompressor::Decompressor() : state_(std::make_unique<State>()) {}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

bool Decompressor::decompress(ConstBytes stored, std::size_t raw_size, ByteVector& into) {
  if (state_->context == nullptr) state_->context.reset(ZSTD_createDCtx());
  into.resize(raw_size);
  const std::size_t size = ZSTD_decompressDCtx(state_->context.get(), into.data(), into.size(),
                                               stored.data(), stored.size());
  return ZSTD_isError(size) == 0 && size == raw_size;
}

}  // namespace retrap::traces
