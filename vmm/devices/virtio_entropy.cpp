// Entropy on request: VIRTIO 1.2, section 5.4.6.
#include "vmm/devices/virtio_entropy.h"

#include <algorithm>
#include <array>

#include "vmm/devices/virtio_mmio.h"

namespace retrap::virtio {

std::byte Entropy::draw() {
  const std::uint64_t place = drawn_ % sizeof(word_);
  if (place == 0) word_ = words_.next();
  ++drawn_;
  return static_cast<std::byte>(word_ >> (8 * place));
}

// 5.4.6.1: a driver places no readable buffer. 5.4.6.2: it gets one byte at least.
std::optional<std::uint32_t> Entropy::serve(std::uint32_t /*queue*/, const Chain& request,
                                            Dma& dma) {
  if (!request.readable.empty() || request.writable.empty()) return std::nullopt;
  std::uint32_t written = 0;
  for (const Chain::Buffer& buffer : request.writable) {
    std::array<std::byte, kMostBytes> bytes;
    const std::uint32_t count = std::min(buffer.bytes, kMostBytes - written);
    const auto part = std::span(bytes).first(count);
    std::ranges::generate(part, [this] { return draw(); });
    if (!dma.write(buffer.at, part)) return std::nullopt;
    written += count;
  }
  return written;
}

std::unique_ptr<Device> make_entropy_device(std::uint64_t seed, Dma& dma) {
  return std::make_unique<Mmio>(std::make_unique<Entropy>(seed), dma);
}

}  // namespace retrap::virtio
