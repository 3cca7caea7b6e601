// The frame of a block: what stands before its bytes, and how damage is found.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "traces/layers.h"
#include "traces/varint.h"

namespace retrap::traces {

/// The version of the format that is written. Older ones are read for ever.
inline constexpr std::uint32_t kVersion = 2;

/// Whether traces of this version say which interrupts vCPUs got.
[[nodiscard]] constexpr bool has_deliveries(std::uint32_t version) {
  return version >= 2;
}

/// The first eight bytes of a file: no text, and damaged by whatever translates line ends.
inline constexpr std::array<std::uint8_t, 8> kFileMagic = {0x89, 'R',  'T',  'R',
                                                           0x0d, 0x0a, 0x1a, 0x0a};
/// The last eight.
inline constexpr std::array<std::uint8_t, 8> kFooterMagic = {'R', 'T', 'R', '-',
                                                             'E', 'N', 'D', '\n'};
inline constexpr std::uint32_t kBlockMagic = 0x4b'42'54'52;  // "RTBK"

inline constexpr std::size_t kPrefixSize = 16;  ///< magic, version, check of both
inline constexpr std::size_t kFrameSize = 40;
inline constexpr std::size_t kFooterSize = 16;

/// No block is larger than this when it is unpacked, and none unpacks to more than kMaxRatio times
/// its stored size and kMaxRatio bytes: what reading allocates follows from the size of the file.
inline constexpr std::uint64_t kMaxRaw = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kMaxRatio = 256;

enum class Codec : std::uint8_t { Stored = 0, Zstd = 1 };

struct Frame {
  Layer layer = Layer::Header;
  Codec codec = Codec::Stored;
  std::uint32_t stored = 0;   ///< bytes in the file
  std::uint32_t raw = 0;      ///< bytes unpacked
  std::uint64_t first = 0;    ///< exits (Exits) or records (others) of this layer before this block
  std::uint64_t retired = 0;  ///< instruction count at its begin
  std::uint64_t check = 0;    ///< digest of all the above and the stored bytes
};

/// The file's first bytes.
[[nodiscard]] ByteVector encode_prefix();
/// The version, or nothing where this is no trace.
[[nodiscard]] std::optional<std::uint32_t> decode_prefix(ConstBytes bytes);

/// With its check computed.
[[nodiscard]] std::array<std::byte, kFrameSize> encode(const Frame& frame, ConstBytes stored);
/// Nothing where the fields cannot be; whether the bytes are intact is is_intact()'s to say.
[[nodiscard]] std::optional<Frame> decode_frame(ConstBytes bytes);
/// The layer of a frame that would be one but for its layer: of a later program.
[[nodiscard]] std::optional<std::uint8_t> unknown_layer(ConstBytes bytes);
[[nodiscard]] bool is_intact(const Frame& frame, ConstBytes frame_bytes, ConstBytes stored);

}  // namespace retrap::traces
