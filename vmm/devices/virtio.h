// A kind of virtio device: what differs between them behind one transport.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/devices/virtio_queue.h"

namespace retrap::virtio {

/// Virtual I/O Device (VIRTIO) Version 1.2, chapter 5. The transport has the status, the features
/// and the queues; this has what they are for. Without a configuration space.
class Function {
 public:
  virtual ~Function() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual std::uint32_t device_id() const = 0;  ///< chapter 5
  [[nodiscard]] virtual std::uint32_t queues() const = 0;     ///< how many, all of them needed
  /// Feature bits of this kind of device (2.2); those of transports and queues are not its own.
  [[nodiscard]] virtual std::uint64_t features() const { return 0; }

  /// Does what a request of `queue` asks for, in bounded time. The number of bytes written into the
  /// writable buffers, or nothing where the request is against the rules.
  [[nodiscard]] virtual std::optional<std::uint32_t> serve(std::uint32_t queue,
                                                           const Chain& request, Dma& dma) = 0;

  /// The driver resets the device (2.4). What it has given away it does not give again.
  virtual void reset_by_driver() {}
  /// Back to the state after power-on, to the bit.
  virtual void reset() = 0;
  virtual void digest(Digest& into) const = 0;
};

}  // namespace retrap::virtio
