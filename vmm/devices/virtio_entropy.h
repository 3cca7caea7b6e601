// The virtio entropy device: random bytes that are the same in every run with one seed.
#pragma once

#include <memory>

#include "vmm/base/prng.h"
#include "vmm/device.h"
#include "vmm/devices/virtio.h"

namespace retrap::virtio {

/// Virtual I/O Device (VIRTIO) Version 1.2, section 5.4. One queue, no features. The n-th byte that
/// it gives is a function of the seed and of n.
class Entropy final : public Function {
 public:
  /// What one request gets at most: a driver asks again for more (5.4.6.2).
  static constexpr std::uint32_t kMostBytes = 4096;

  explicit Entropy(std::uint64_t seed) : seed_(seed), words_(seed) {}

  [[nodiscard]] std::string_view name() const override { return "virtio-entropy"; }
  [[nodiscard]] std::uint32_t device_id() const override { return 4; }
  [[nodiscard]] std::uint32_t queues() const override { return 1; }
  [[nodiscard]] std::optional<std::uint32_t> serve(std::uint32_t queue, const Chain& request,
                                                   Dma& dma) override;
  void reset() override { *this = Entropy(seed_); }
  /// The seed is given, and no state.
  void digest(Digest& into) const override { into.add(drawn_); }

  [[nodiscard]] std::uint64_t drawn() const { return drawn_; }  ///< bytes since power-on

 private:
  [[nodiscard]] std::byte draw();

  std::uint64_t seed_;
  Prng words_;
  std::uint64_t word_ = 0;
  std::uint64_t drawn_ = 0;
};

/// An entropy device behind the memory-mapped transport (virtio_mmio.h). `dma` outlives it.
[[nodiscard]] std::unique_ptr<Device> make_entropy_device(std::uint64_t seed, Dma& dma);

}  // namespace retrap::virtio
