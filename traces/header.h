// The first block of a trace: all that is needed to run the same thing again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "traces/layers.h"
#include "traces/varint.h"
#include "vmm/ids.h"

namespace retrap::traces {

/// An image file of a VM: which it was, and whether the trace has its bytes.
struct ImageRecord {
  VmId vm{};
  std::string role;  ///< "kernel", "ramdisk", "dtb", "bios"
  std::string path;  ///< as it was given
  std::uint64_t size = 0;
  std::uint64_t digest = 0;  ///< vmm/base/digest.h, of all its bytes
  bool embedded = false;
  friend bool operator==(const ImageRecord&, const ImageRecord&) = default;
};

/// Which board the recording program had for VMs of an architecture.
struct BoardRecord {
  std::string arch;
  std::uint64_t revision = 0;
  friend bool operator==(const BoardRecord&, const BoardRecord&) = default;
};

/// A trace has no more of these.
inline constexpr std::size_t kMostConfigs = 256;
inline constexpr std::size_t kMostImages = 1024;

struct Header {
  std::string program{};  ///< "retrap 0.1.0"
  Detail detail = Detail::Exits;
  std::uint64_t seed = 1;
  std::uint64_t memory_bytes = 0;     ///< of the host; 0: as the VMs need
  std::uint64_t digest_interval = 0;  ///< instructions between two digests; 0: none
  /// The configuration of each VM, as vmm/config_toml.h reads it. Empty where VMs were set up by a
  /// program: then that program has to set them up for the replay.
  std::vector<std::string> configs{};
  std::vector<ImageRecord> images{};
  std::vector<std::pair<std::string, std::string>> notes{};  ///< for readers, as "command"
  std::vector<BoardRecord> boards{};  ///< one for each architecture; empty: not known
  friend bool operator==(const Header&, const Header&) = default;
};

[[nodiscard]] ByteVector encode(const Header& header);

/// Nothing where the bytes are not what encode() writes, where there are more configurations or
/// images than a trace has, or two images of one role for a VM. Fields of a later version are
/// passed over.
[[nodiscard]] std::optional<Header> decode_header(ConstBytes payload);

}  // namespace retrap::traces
