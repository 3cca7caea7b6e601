// Little-endian words whose width is known at run time.
#include "vmm/base/bytes.h"

namespace retrap {

std::optional<std::uint64_t> load_le(ConstBytes buffer, std::uint64_t offset, Width width) {
  const std::uint64_t count = bytes(width);
  if (offset > buffer.size() || buffer.size() - offset < count) return std::nullopt;
  std::uint64_t value = 0;
  for (std::uint64_t i = count; i-- > 0;) {
    value = (value << 8) | std::to_integer<std::uint64_t>(buffer[offset + i]);
  }
  return value;
}

bool store_le(Bytes buffer, std::uint64_t offset, Width width, std::uint64_t value) {
  const std::uint64_t count = bytes(width);
  if (offset > buffer.size() || buffer.size() - offset < count) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    buffer[offset + i] = static_cast<std::byte>(value & 0xff);
    value >>= 8;
  }
  return true;
}

}  // namespace retrap
