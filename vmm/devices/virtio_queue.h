// The split virtqueue of virtio 1.2, as the device has it.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/base/digest.h"
#include "vmm/dma.h"

namespace retrap::virtio {

/// The buffers of one request (2.7.5), in the order of the chain. No buffer is empty.
struct Chain {
  struct Buffer {
    GuestPhys at;
    std::uint32_t bytes;
    friend bool operator==(const Buffer&, const Buffer&) = default;
  };
  std::uint16_t head = 0;  ///< number of its first descriptor
  std::vector<Buffer> readable;
  std::vector<Buffer> writable;
};

/// Where the driver put the three parts of a queue (2.7).
struct QueueLayout {
  std::uint32_t size = 0;  ///< descriptors
  GuestPhys descriptors;
  GuestPhys available;
  GuestPhys used;
  friend bool operator==(const QueueLayout&, const QueueLayout&) = default;
};

/// Takes requests from the available ring and gives them back through the used ring. No feature of
/// queues is negotiated: no indirect descriptors, no event index, ring addresses of any place.
///
/// All three parts are memory of a hostile guest, and read anew each time. What breaks the rules is
/// an answer (Broken, false), after which the device asks for a reset.
class SplitQueue {
 public:
  static constexpr std::uint32_t kMaxSize = 64;

  /// False, and the queue stopped, where 2.7 does not allow the layout: the size is a power of two
  /// up to kMaxSize, the parts are aligned to 16, 2 and 4 bytes and do not wrap. Whether memory is
  /// there shows when it is accessed.
  [[nodiscard]] bool start(const QueueLayout& layout);
  void stop() { *this = {}; }
  [[nodiscard]] bool is_running() const { return layout_.size != 0; }
  [[nodiscard]] const QueueLayout& layout() const { return layout_; }

  enum class Taken : std::uint8_t {
    Nothing,  ///< the driver has made nothing more available
    Chain,
    Broken,  ///< the ring or the chain is against the rules, or memory was refused
  };
  /// The next request. Every byte of its buffers can be accessed. Requires is_running().
  [[nodiscard]] Taken take(Dma& dma, Chain& into);

  /// Returns a request of which `written` bytes were written (2.7.8). False where memory was
  /// refused. Requires is_running().
  [[nodiscard]] bool give_back(Dma& dma, std::uint16_t head, std::uint32_t written);

  enum class Wish : std::uint8_t { Interrupt, Silence, Broken };
  /// Whether the driver wants to hear of used buffers (2.7.7). Requires is_running().
  [[nodiscard]] Wish wish(Dma& dma) const;

  void digest(Digest& into) const;

 private:
  [[nodiscard]] bool walk(Dma& dma, Chain& into) const;

  QueueLayout layout_;
  std::uint16_t next_available_ = 0;
  std::uint16_t next_used_ = 0;
};

}  // namespace retrap::virtio
