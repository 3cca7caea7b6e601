// virtio over MMIO: the register table of VIRTIO 1.2, section 4.2.2, and what each register does.
#include "vmm/devices/virtio_mmio.h"

#include "vmm/base/bits.h"
#include "vmm/base/check.h"

namespace retrap::virtio {
namespace {

/// What a driver may set; NeedsReset is the device's.
constexpr std::uint32_t kDriverStatus =
    Mmio::Acknowledge | Mmio::Driver | Mmio::DriverOk | Mmio::FeaturesOk | Mmio::Failed;

constexpr WidthRule kWordOnly{.narrowest = Width::Word, .widest = Width::Word};

constexpr std::uint32_t kAllOnes = 0xffff'ffff;

}  // namespace

// Shared memory regions (2.10) there are none: their length is all ones.
// clang-format off
constexpr std::array<Register<Mmio>, 28> Mmio::kRegisters = {{
    {0x000, "MagicValue",        &Mmio::read_constant<kMagic>, nullptr},
    {0x004, "Version",           &Mmio::read_constant<2>,      nullptr},
    {0x008, "DeviceID",          &Mmio::read_device_id,        nullptr},
    {0x00c, "VendorID",          &Mmio::read_constant<kVendor>, nullptr},
    {0x010, "DeviceFeatures",    &Mmio::read_device_features,  nullptr},
    {0x014, "DeviceFeaturesSel", nullptr, &Mmio::write_device_features_select},
    {0x020, "DriverFeatures",    nullptr, &Mmio::write_driver_features},
    {0x024, "DriverFeaturesSel", nullptr, &Mmio::write_driver_features_select},
    {0x030, "QueueSel",          nullptr, &Mmio::write_queue_select},
    {0x034, "QueueNumMax",       &Mmio::read_queue_size_max,   nullptr},
    {0x038, "QueueNum",          nullptr, &Mmio::write_queue_size},
    {0x044, "QueueReady",        &Mmio::read_queue_ready,      &Mmio::write_queue_ready},
    {0x050, "QueueNotify",       nullptr, &Mmio::write_queue_notify},
    {0x060, "InterruptStatus",   &Mmio::read_interrupts,       nullptr},
    {0x064, "InterruptACK",      nullptr, &Mmio::write_interrupt_acknowledge},
    {0x070, "Status",            &Mmio::read_status,           &Mmio::write_status},
    {0x080, "QueueDescLow",      nullptr, &Mmio::write_queue_part<&QueueLayout::descriptors, 0>},
    {0x084, "QueueDescHigh",     nullptr, &Mmio::write_queue_part<&QueueLayout::descriptors, 32>},
    {0x090, "QueueDriverLow",    nullptr, &Mmio::write_queue_part<&QueueLayout::available, 0>},
    {0x094, "QueueDriverHigh",   nullptr, &Mmio::write_queue_part<&QueueLayout::available, 32>},
    {0x0a0, "QueueDeviceLow",    nullptr, &Mmio::write_queue_part<&QueueLayout::used, 0>},
    {0x0a4, "QueueDeviceHigh",   nullptr, &Mmio::write_queue_part<&QueueLayout::used, 32>},
    {0x0ac, "SHMSel",            nullptr, &Mmio::write_nothing},
    {0x0b0, "SHMLenLow",         &Mmio::read_constant<kAllOnes>, nullptr},
    {0x0b4, "SHMLenHigh",        &Mmio::read_constant<kAllOnes>, nullptr},
    {0x0b8, "SHMBaseLow",        &Mmio::read_constant<kAllOnes>, nullptr},
    {0x0bc, "SHMBaseHigh",       &Mmio::read_constant<kAllOnes>, nullptr},
    {0x0fc, "ConfigGeneration",  &Mmio::read_constant<0>,      nullptr},
}};
// clang-format on

Mmio::Mmio(std::unique_ptr<Function> function, Dma& dma)
    : function_(std::move(function)), dma_(dma) {
  RETRAP_CHECK(function_ != nullptr, "a transport needs a device");
  clear();
}

IoResult<std::uint64_t> Mmio::read(const Access& access) {
  static_assert(is_sorted(kRegisters));
  return read_register(*this, kRegisters, access, kWordOnly);
}

IoResult<> Mmio::write(const Access& access, std::uint64_t value) {
  return write_register(*this, kRegisters, access, value, kWordOnly);
}

void Mmio::clear() {
  state_ = {};
  queues_.assign(function_->queues(), {});
}

void Mmio::reset() {
  clear();
  function_->reset();
}

void Mmio::digest(Digest& into) const {
  into.add(state_.status);
  into.add(state_.interrupts);
  into.add(state_.device_features_select);
  into.add(state_.driver_features_select);
  into.add(state_.driver_features);
  into.add(static_cast<std::uint64_t>(state_.unknown_features));
  into.add(state_.selected);
  for (const Queue& queue : queues_) {
    into.add(queue.wanted.size);
    into.add(queue.wanted.descriptors.raw());
    into.add(queue.wanted.available.raw());
    into.add(queue.wanted.used.raw());
    queue.ring.digest(into);
  }
  function_->digest(into);
}

// Features (2.2, 3.1.1).

std::uint64_t Mmio::read_device_features() {
  const std::uint32_t half = state_.device_features_select;
  return half > 1 ? 0 : features() >> (32 * half) & kAllOnes;
}

void Mmio::write_device_features_select(std::uint64_t value) {
  state_.device_features_select = static_cast<std::uint32_t>(value);
}

void Mmio::write_driver_features_select(std::uint64_t value) {
  state_.driver_features_select = static_cast<std::uint32_t>(value);
}

// After FEATURES_OK nothing is negotiated any more (2.2.2).
void Mmio::write_driver_features(std::uint64_t value) {
  if ((state_.status & FeaturesOk) != 0) return;
  const std::uint32_t half = state_.driver_features_select;
  if (half > 1) {
    state_.unknown_features = state_.unknown_features || value != 0;
    return;
  }
  state_.driver_features =
      insert(state_.driver_features, 32 * half + 31, 32 * half, value & kAllOnes);
}

bool Mmio::agrees_to_features() const {
  const bool offered = (state_.driver_features & ~features()) == 0 && !state_.unknown_features;
  return offered && (state_.driver_features & kVersion1) != 0;
}

// Status (2.1). Zero resets; a bit once set stays; one that is not in order is not set.

void Mmio::write_status(std::uint64_t value) {
  if (value == 0) {
    clear();
    function_->reset_by_driver();
    return;
  }
  std::uint32_t wanted = state_.status | (static_cast<std::uint32_t>(value) & kDriverStatus);
  if ((state_.status & FeaturesOk) == 0 && !agrees_to_features()) wanted &= ~FeaturesOk;
  if ((wanted & FeaturesOk) == 0) wanted &= ~DriverOk;
  state_.status = wanted;
}

bool Mmio::is_live() const {
  return (state_.status & (DriverOk | NeedsReset | Failed)) == DriverOk;
}

// 2.1.2: a driver that is there is told with a configuration change.
void Mmio::break_down() {
  state_.status |= NeedsReset;
  if ((state_.status & DriverOk) != 0) state_.interrupts |= ConfigurationChange;
}

void Mmio::write_interrupt_acknowledge(std::uint64_t value) {
  state_.interrupts &= ~static_cast<std::uint32_t>(value);
}

// Queues (4.2.3.2).

Mmio::Queue* Mmio::selected() {
  return state_.selected < queues_.size() ? &queues_[state_.selected] : nullptr;
}

Mmio::Queue* Mmio::configurable() {
  Queue* const queue = selected();
  return queue == nullptr || queue->ring.is_running() ? nullptr : queue;
}

void Mmio::write_queue_select(std::uint64_t value) {
  state_.selected = static_cast<std::uint32_t>(value);
}

void Mmio::write_queue_size(std::uint64_t value) {
  if (Queue* const queue = configurable()) queue->wanted.size = static_cast<std::uint32_t>(value);
}

template <GuestPhys QueueLayout::* kPart, unsigned kLow>
void Mmio::write_queue_part(std::uint64_t value) {
  Queue* const queue = configurable();
  if (queue == nullptr) return;
  GuestPhys& part = queue->wanted.*kPart;
  part = GuestPhys(insert(part.raw(), kLow + 31, kLow, value));
}

std::uint64_t Mmio::read_queue_ready() {
  const Queue* const queue = selected();
  return queue != nullptr && queue->ring.is_running() ? 1 : 0;
}

void Mmio::write_queue_ready(std::uint64_t value) {
  Queue* const queue = selected();
  if (queue == nullptr) return;
  if ((value & 1) == 0) {
    queue->ring.stop();
  } else if (!queue->ring.is_running() && !queue->ring.start(queue->wanted)) {
    break_down();
  }
}

void Mmio::write_queue_notify(std::uint64_t value) {
  if (value < queues_.size()) serve(static_cast<std::uint32_t>(value));
}

// Serving (4.2.3.3). One notification is worth at most as many requests as the queue can hold.

void Mmio::serve(std::uint32_t index) {
  SplitQueue& ring = queues_[index].ring;
  if (!is_live() || !ring.is_running()) return;
  if (!serve_all(index, ring)) break_down();
}

bool Mmio::serve_all(std::uint32_t index, SplitQueue& ring) {
  bool used = false;
  for (std::uint32_t count = 0; count < ring.layout().size; ++count) {
    const auto taken = ring.take(dma_, request_);
    if (taken == SplitQueue::Taken::Broken) return false;
    if (taken == SplitQueue::Taken::Nothing) break;
    const auto written = function_->serve(index, request_, dma_);
    if (!written || !ring.give_back(dma_, request_.head, *written)) return false;
    used = true;
  }
  if (!used) return true;
  const auto wish = ring.wish(dma_);
  if (wish == SplitQueue::Wish::Interrupt) state_.interrupts |= UsedBuffer;
  return wish != SplitQueue::Wish::Broken;
}

}  // namespace retrap::virtio
