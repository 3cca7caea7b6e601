// Split virtqueues: Virtual I/O Device (VIRTIO) Version 1.2, section 2.7.
#include "vmm/devices/virtio_queue.h"

#include <array>
#include <optional>

#include "vmm/base/bits.h"
#include "vmm/base/bytes.h"

namespace retrap::virtio {
namespace {

// 2.7: bytes of each part, and how it is aligned.
constexpr std::uint64_t kDescriptorBytes = 16;
constexpr std::uint64_t kAvailableBytes = 2;
constexpr std::uint64_t kUsedBytes = 8;
constexpr std::uint64_t kRingHeader = 4;  ///< flags, idx
constexpr std::uint64_t kRingTrailer = 2;
constexpr std::uint64_t kRingEnds = kRingHeader + kRingTrailer;

// 2.7.5, flags of a descriptor.
constexpr std::uint16_t kNext = 1;
constexpr std::uint16_t kWrite = 2;
constexpr std::uint16_t kIndirect = 4;

// 2.7.6, flags of the available ring.
constexpr std::uint16_t kNoInterrupt = 1;

/// 2.7.5: what all descriptors of a chain may have together.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 32;

struct Descriptor {
  GuestPhys at;
  std::uint32_t bytes;
  std::uint16_t flags;
  std::uint16_t next;
};

template <std::unsigned_integral T>
std::optional<T> load(Dma& dma, GuestPhys from) {
  std::array<std::byte, sizeof(T)> bytes{};
  if (!dma.read(from, bytes)) return std::nullopt;
  return load_le<T>(bytes);
}

std::optional<Descriptor> descriptor(Dma& dma, const QueueLayout& layout, std::uint16_t number) {
  std::array<std::byte, kDescriptorBytes> bytes{};
  if (!dma.read(layout.descriptors.wrapping_add(number * kDescriptorBytes), bytes)) {
    return std::nullopt;
  }
  return Descriptor{.at = GuestPhys(load_le<std::uint64_t>(bytes).value_or(0)),
                    .bytes = load_le<std::uint32_t>(bytes, 8).value_or(0),
                    .flags = load_le<std::uint16_t>(bytes, 12).value_or(0),
                    .next = load_le<std::uint16_t>(bytes, 14).value_or(0)};
}

}  // namespace

bool SplitQueue::start(const QueueLayout& layout) {
  stop();
  const std::uint64_t size = layout.size;
  if (!is_power_of_two(size) || size > kMaxSize) return false;
  if (!layout.descriptors.is_aligned(16) || !layout.available.is_aligned(2) ||
      !layout.used.is_aligned(4)) {
    return false;
  }
  if (!GuestRange::make(layout.descriptors, size * kDescriptorBytes) ||
      !GuestRange::make(layout.available, kRingEnds + size * kAvailableBytes) ||
      !GuestRange::make(layout.used, kRingEnds + size * kUsedBytes)) {
    return false;
  }
  layout_ = layout;
  return true;
}

// 2.7.13: idx counts on and on; the ring has its places modulo the size. A request that could not
// be given back is not begun.
SplitQueue::Taken SplitQueue::take(Dma& dma, Chain& into) {
  const auto index = load<std::uint16_t>(dma, layout_.available.wrapping_add(2));
  if (!index) return Taken::Broken;
  const auto waiting = static_cast<std::uint16_t>(*index - next_available_);
  if (waiting == 0) return Taken::Nothing;
  if (waiting > layout_.size) return Taken::Broken;
  const std::uint64_t used_ring = kRingEnds + layout_.size * kUsedBytes;
  if (!dma.allows(DmaAccess::Write, layout_.used, used_ring)) return Taken::Broken;
  const std::uint64_t place = next_available_ % layout_.size;
  const auto head = load<std::uint16_t>(
      dma, layout_.available.wrapping_add(kRingHeader + place * kAvailableBytes));
  if (!head || *head >= layout_.size) return Taken::Broken;
  into.head = *head;
  if (!walk(dma, into)) return Taken::Broken;
  ++next_available_;
  return Taken::Chain;
}

// No chain has more descriptors than the queue (2.7.5.3.1 says so of indirect ones, and a longer
// one has a loop). Buffers to write follow those to read (2.7.4.2).
bool SplitQueue::walk(Dma& dma, Chain& into) const {
  into.readable.clear();
  into.writable.clear();
  std::uint64_t total = 0;
  std::uint16_t number = into.head;
  for (std::uint32_t seen = 0; seen < layout_.size; ++seen) {
    const auto found = descriptor(dma, layout_, number);
    if (!found || (found->flags & kIndirect) != 0) return false;
    const bool write = (found->flags & kWrite) != 0;
    if (!write && !into.writable.empty()) return false;
    total += found->bytes;
    if (total > kMostBytes) return false;
    const auto access = write ? DmaAccess::Write : DmaAccess::Read;
    if (!dma.allows(access, found->at, found->bytes)) return false;
    if (found->bytes != 0) {
      (write ? into.writable : into.readable).push_back({found->at, found->bytes});
    }
    if ((found->flags & kNext) == 0) return true;
    if (found->next >= layout_.size) return false;
    number = found->next;
  }
  return false;
}

// 2.7.14: the element first, then idx. The flags beside it are ours, and zero: notify us (2.7.10).
bool SplitQueue::give_back(Dma& dma, std::uint16_t head, std::uint32_t written) {
  std::array<std::byte, kUsedBytes> element{};
  (void)store_le<std::uint32_t>(element, 0, head);
  (void)store_le<std::uint32_t>(element, 4, written);
  const std::uint64_t place = next_used_ % layout_.size;
  if (!dma.write(layout_.used.wrapping_add(kRingHeader + place * kUsedBytes), element)) {
    return false;
  }
  ++next_used_;
  std::array<std::byte, kRingHeader> header{};
  (void)store_le<std::uint16_t>(header, 2, next_used_);
  return dma.write(layout_.used, header);
}

SplitQueue::Wish SplitQueue::wish(Dma& dma) const {
  const auto flags = load<std::uint16_t>(dma, layout_.available);
  if (!flags) return Wish::Broken;
  return (*flags & kNoInterrupt) != 0 ? Wish::Silence : Wish::Interrupt;
}

void SplitQueue::digest(Digest& into) const {
  into.add(layout_.size);
  into.add(layout_.descriptors.raw());
  into.add(layout_.available.raw());
  into.add(layout_.used.raw());
  into.add(std::uint64_t{next_available_} << 16 | next_used_);
}

}  // namespace retrap::virtio
