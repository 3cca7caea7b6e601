// Frames as bytes, and their checks.
#include "traces/block.h"

#include <algorithm>

#include "vmm/base/digest.h"

namespace retrap::traces {
namespace {

constexpr std::size_t kCheckAt = kFrameSize - sizeof(std::uint64_t);

std::uint64_t check_of(ConstBytes frame, ConstBytes stored) {
  Digest digest;
  digest.add(frame.first(kCheckAt));
  digest.add(stored);
  return digest.value();
}

/// Of the frame alone: so that a damaged length is not taken for a file that was cut off.
std::uint16_t frame_check(ConstBytes frame) {
  Digest digest;
  digest.add(frame.first(6));
  digest.add(frame.subspan(8, kCheckAt - 8));
  return static_cast<std::uint16_t>(digest.value());
}

std::uint32_t prefix_check(ConstBytes bytes) {
  Digest digest;
  digest.add(bytes.first(12));
  return static_cast<std::uint32_t>(digest.value());
}

}  // namespace

ByteVector encode_prefix() {
  ByteVector bytes;
  for (const std::uint8_t byte : kFileMagic) append_byte(bytes, byte);
  append_le(bytes, kVersion);
  append_le(bytes, prefix_check(bytes));
  return bytes;
}

std::optional<std::uint32_t> decode_prefix(ConstBytes bytes) {
  if (bytes.size() < kPrefixSize) return std::nullopt;
  const bool ours =
      std::equal(kFileMagic.begin(), kFileMagic.end(), bytes.begin(),
                 [](std::uint8_t want, std::byte got) { return std::byte{want} == got; });
  if (!ours || load_le<std::uint32_t>(bytes, 12) != prefix_check(bytes)) return std::nullopt;
  return load_le<std::uint32_t>(bytes, 8);
}

std::array<std::byte, kFrameSize> encode(const Frame& frame, ConstBytes stored) {
  std::array<std::byte, kFrameSize> bytes{};
  (void)store_le(bytes, 0, kBlockMagic);
  (void)store_le(bytes, 4, static_cast<std::uint8_t>(frame.layer));
  (void)store_le(bytes, 5, static_cast<std::uint8_t>(frame.codec));
  (void)store_le(bytes, 8, frame.stored);
  (void)store_le(bytes, 12, frame.raw);
  (void)store_le(bytes, 16, frame.first);
  (void)store_le(bytes, 24, frame.retired);
  (void)store_le(bytes, 6, frame_check(bytes));
  (void)store_le(bytes, kCheckAt, check_of(bytes, stored));
  return bytes;
}

std::optional<Frame> decode_frame(ConstBytes bytes) {
  if (bytes.size() < kFrameSize || load_le<std::uint32_t>(bytes, 0) != kBlockMagic) {
    return std::nullopt;
  }
  const auto layer = std::to_integer<std::uint8_t>(bytes[4]);
  const auto codec = std::to_integer<std::uint8_t>(bytes[5]);
  Frame frame{.stored = *load_le<std::uint32_t>(bytes, 8),
              .raw = *load_le<std::uint32_t>(bytes, 12),
              .first = *load_le<std::uint64_t>(bytes, 16),
              .retired = *load_le<std::uint64_t>(bytes, 24),
              .check = *load_le<std::uint64_t>(bytes, kCheckAt)};
  if (layer >= kLayers || codec > 1 || load_le<std::uint16_t>(bytes, 6) != frame_check(bytes))
    return std::nullopt;
  frame.layer = static_cast<Layer>(layer);
  frame.codec = static_cast<Codec>(codec);
  if (frame.codec == Codec::Stored) {
    if (frame.raw != frame.stored) return std::nullopt;
  } else {
    const bool may_be_packed = frame.layer == Layer::Exits || frame.layer == Layer::Image;
    if (!may_be_packed || frame.raw > kMaxRatio * frame.stored + kMaxRatio) return std::nullopt;
  }
  if (frame.raw > kMaxRaw) return std::nullopt;
  return frame;
}

std::optional<std::uint8_t> unknown_layer(ConstBytes bytes) {
  if (bytes.size() < kFrameSize || load_le<std::uint32_t>(bytes, 0) != kBlockMagic ||
      load_le<std::uint16_t>(bytes, 6) != frame_check(bytes)) {
    return std::nullopt;
  }
  const auto layer = std::to_integer<std::uint8_t>(bytes[4]);
  return layer < kLayers ? std::nullopt : std::optional(layer);
}

bool is_intact(const Frame& frame, ConstBytes frame_bytes, ConstBytes stored) {
  return frame.check == check_of(frame_bytes, stored);
}

}  // namespace retrap::traces
