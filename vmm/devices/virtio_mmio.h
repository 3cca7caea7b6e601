// The memory-mapped transport of virtio 1.2: registers, status and notifications of any device.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "vmm/devices/virtio.h"
#include "vmm/register_table.h"

namespace retrap::virtio {

/// Virtual I/O Device (VIRTIO) Version 1.2, section 4.2: MMIO, version 2, not the legacy interface.
/// Registers are 32 bits wide.
///
/// Nothing that a driver does wrong goes further than this device: it is refused, and the device
/// asks for a reset (DEVICE_NEEDS_RESET, 2.1.2) and touches no queue until it gets one.
class Mmio final : public Device {
 public:
  static constexpr std::uint64_t kSize = 0x200;
  static constexpr std::uint32_t kMagic = 0x7472'6976;   ///< "virt"
  static constexpr std::uint32_t kVendor = 0x5254'5250;  ///< "PRTR"
  static constexpr std::uint64_t kVersion1 = std::uint64_t{1} << 32;

  /// 2.1: bits of the device status.
  enum Status : std::uint32_t {
    Acknowledge = 1,
    Driver = 2,
    DriverOk = 4,
    FeaturesOk = 8,
    NeedsReset = 64,
    Failed = 128,
  };
  /// 4.2.2: bits of InterruptStatus.
  enum Interrupt : std::uint32_t { UsedBuffer = 1, ConfigurationChange = 2 };

  /// `function` is never null; `dma` outlives the device.
  Mmio(std::unique_ptr<Function> function, Dma& dma);

  [[nodiscard]] std::string_view name() const override { return function_->name(); }
  [[nodiscard]] std::uint64_t size() const override { return kSize; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override;
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t value) override;
  void reset() override;
  [[nodiscard]] bool irq_level() const override { return state_.interrupts != 0; }
  [[nodiscard]] bool uses_memory() const override { return true; }
  void digest(Digest& into) const override;

  [[nodiscard]] Function& function() { return *function_; }

 private:
  /// What a reset by the driver clears. Addresses and sizes wait here until QueueReady.
  struct State {
    std::uint32_t status = 0;
    std::uint32_t interrupts = 0;
    std::uint32_t device_features_select = 0;
    std::uint32_t driver_features_select = 0;
    std::uint64_t driver_features = 0;
    bool unknown_features = false;  ///< the driver took a bit above 63
    std::uint32_t selected = 0;
  };
  struct Queue {
    QueueLayout wanted;
    SplitQueue ring;
  };

  static const std::array<Register<Mmio>, 28> kRegisters;

  [[nodiscard]] std::uint64_t features() const { return function_->features() | kVersion1; }
  [[nodiscard]] bool agrees_to_features() const;
  /// Whether queues are served.
  [[nodiscard]] bool is_live() const;
  /// The selected queue, or null where there is none.
  [[nodiscard]] Queue* selected();
  /// The same where its registers may be written.
  [[nodiscard]] Queue* configurable();
  void clear();
  void break_down();
  void serve(std::uint32_t index);
  [[nodiscard]] bool serve_all(std::uint32_t index, SplitQueue& ring);

  template <std::uint32_t kValue>
  std::uint64_t read_constant() {
    return kValue;
  }
  std::uint64_t read_device_id() { return function_->device_id(); }
  std::uint64_t read_device_features();
  std::uint64_t read_queue_size_max() { return selected() == nullptr ? 0 : SplitQueue::kMaxSize; }
  std::uint64_t read_queue_ready();
  std::uint64_t read_interrupts() { return state_.interrupts; }
  std::uint64_t read_status() { return state_.status; }
  void write_device_features_select(std::uint64_t value);
  void write_driver_features(std::uint64_t value);
  void write_driver_features_select(std::uint64_t value);
  void write_queue_select(std::uint64_t value);
  void write_queue_size(std::uint64_t value);
  void write_queue_ready(std::uint64_t value);
  void write_queue_notify(std::uint64_t value);
  void write_interrupt_acknowledge(std::uint64_t value);
  void write_status(std::uint64_t value);
  template <GuestPhys QueueLayout::* kPart, unsigned kLow>
  void write_queue_part(std::uint64_t value);
  void write_nothing(std::uint64_t) {}

  std::unique_ptr<Function> function_;
  Dma& dma_;
  State state_;
  std::vector<Queue> queues_;
  Chain request_;  ///< of serve_all(), kept for its memory
};

}  // namespace retrap::virtio
