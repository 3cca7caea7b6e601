// A driver of a virtio device, as honest or as hostile as a test wants it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "tests/support/scripted_host.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/virtio_entropy.h"
#include "vmm/devices/virtio_mmio.h"

namespace retrap::test {

/// 64 KiB of RAM that can be written at kRam, 4 KiB after it that can only be read, and a window to
/// memory of somebody else.
class DmaWorld {
 public:
  static constexpr std::uint64_t kRam = 0x4000'0000;
  static constexpr std::uint64_t kRamBytes = 0x1'0000;
  static constexpr std::uint64_t kReadOnly = kRam + kRamBytes;
  static constexpr std::uint64_t kWindow = kReadOnly + kPageSize;
  static constexpr std::uint64_t kNowhere = kWindow + kPageSize;
  /// RAM at the same address of the host: owned, and not.
  static constexpr std::uint64_t kIdentical = ScriptedHost::kBase.raw() + 0x80'0000;
  static constexpr std::uint64_t kReserved = kIdentical + kPageSize;

  DmaWorld() {
    constexpr auto kRead = MappingFlags::Read;
    expect(memory.map_ram(GuestPhys(kRam), kRamBytes, kRamFlags, MapType::Alloc, Populate::Lazy,
                          "ram"));
    expect(memory.map_ram(GuestPhys(kReadOnly), kPageSize, kRead, MapType::Alloc, Populate::Eager,
                          "rom"));
    expect(memory.map_ram(GuestPhys(kIdentical), kPageSize, kRamFlags, MapType::Identical,
                          Populate::Eager, "identical"));
    expect(memory.map_ram(GuestPhys(kReserved), kPageSize, kRamFlags, MapType::Reserved,
                          Populate::Eager, "reserved"));
    const auto shared =
        host.frames().allocate(kPageSize, kPageSize, {.vm = VmId{2}, .use = FrameUse::Shared});
    expect(memory.map_linear(GuestPhys(kWindow), *shared, kPageSize, kRamFlags, "window"));
    dma.attach(&memory);
  }

  template <std::unsigned_integral T>
  void poke(std::uint64_t at, T value) {
    value = little_endian(value);
    expect(memory.write(GuestPhys(at), std::as_bytes(std::span(&value, 1))));
  }
  template <std::unsigned_integral T>
  T peek(std::uint64_t at) {
    T value = 0;
    expect(memory.read(GuestPhys(at), std::as_writable_bytes(std::span(&value, 1))));
    return little_endian(value);
  }
  std::vector<std::byte> bytes_at(std::uint64_t at, std::size_t count) {
    std::vector<std::byte> bytes(count);
    expect(memory.read(GuestPhys(at), bytes));
    return bytes;
  }
  /// All of memory.
  std::uint64_t digest() const {
    Digest digest;
    memory.digest(digest);
    return digest.value();
  }

  ScriptedHost host;
  scripted::ScriptedFormat format;
  AddressSpace memory = *AddressSpace::make(format, host.frames(), VmId{1});
  GuestDma dma;

 private:
  static void expect(const Result<>& done) {
    EXPECT_TRUE(done.has_value()) << (done ? "" : done.error().message);
  }
};

/// A queue of eight in the memory of a DmaWorld.
class DriverQueue {
 public:
  static constexpr std::uint32_t kSize = 8;
  static constexpr std::uint64_t kDescriptors = DmaWorld::kRam;
  static constexpr std::uint64_t kAvailable = DmaWorld::kRam + 0x1000;
  static constexpr std::uint64_t kUsed = DmaWorld::kRam + 0x2000;
  static constexpr std::uint64_t kBuffers = DmaWorld::kRam + 0x3000;
  static constexpr std::uint16_t kNext = 1;
  static constexpr std::uint16_t kWrite = 2;
  static constexpr std::uint16_t kIndirect = 4;

  explicit DriverQueue(DmaWorld& world) : world_(world) {}

  static virtio::QueueLayout layout() {
    return {.size = kSize,
            .descriptors = GuestPhys(kDescriptors),
            .available = GuestPhys(kAvailable),
            .used = GuestPhys(kUsed)};
  }

  struct Descriptor {
    std::uint64_t at;
    std::uint32_t bytes;
    std::uint16_t flags = 0;
    std::uint16_t next = 0;
  };
  void describe(std::uint16_t number, Descriptor descriptor) {
    const std::uint64_t at = kDescriptors + std::uint64_t{16} * number;
    world_.poke<std::uint64_t>(at, descriptor.at);
    world_.poke<std::uint32_t>(at + 8, descriptor.bytes);
    world_.poke<std::uint16_t>(at + 12, descriptor.flags);
    world_.poke<std::uint16_t>(at + 14, descriptor.next);
  }
  void make_available(std::uint16_t head) {
    const auto index = world_.peek<std::uint16_t>(kAvailable + 2);
    world_.poke<std::uint16_t>(kAvailable + 4 + std::uint64_t{2} * (index % kSize), head);
    set_available(static_cast<std::uint16_t>(index + 1));
  }
  void set_available(std::uint16_t index) { world_.poke<std::uint16_t>(kAvailable + 2, index); }
  void set_flags(std::uint16_t flags) { world_.poke<std::uint16_t>(kAvailable, flags); }

  std::uint16_t used() { return world_.peek<std::uint16_t>(kUsed + 2); }
  /// (head, bytes written) of the n-th request that came back.
  std::pair<std::uint32_t, std::uint32_t> used_element(std::uint16_t n) {
    const std::uint64_t at = kUsed + 4 + std::uint64_t{8} * (n % kSize);
    return {world_.peek<std::uint32_t>(at), world_.peek<std::uint32_t>(at + 4)};
  }

 private:
  DmaWorld& world_;
};

namespace registers {

// Offsets of registers, 4.2.2.
inline constexpr std::uint64_t kDeviceFeatures = 0x010;
inline constexpr std::uint64_t kDeviceFeaturesSel = 0x014;
inline constexpr std::uint64_t kDriverFeatures = 0x020;
inline constexpr std::uint64_t kDriverFeaturesSel = 0x024;
inline constexpr std::uint64_t kQueueSel = 0x030;
inline constexpr std::uint64_t kQueueNumMax = 0x034;
inline constexpr std::uint64_t kQueueNum = 0x038;
inline constexpr std::uint64_t kQueueReady = 0x044;
inline constexpr std::uint64_t kQueueNotify = 0x050;
inline constexpr std::uint64_t kInterruptStatus = 0x060;
inline constexpr std::uint64_t kInterruptAck = 0x064;
inline constexpr std::uint64_t kStatus = 0x070;
inline constexpr std::uint64_t kQueueDesc = 0x080;
inline constexpr std::uint64_t kQueueDriver = 0x090;
inline constexpr std::uint64_t kQueueDevice = 0x0a0;

inline constexpr std::uint64_t kNegotiated =
    virtio::Mmio::Acknowledge | virtio::Mmio::Driver | virtio::Mmio::FeaturesOk;
inline constexpr std::uint64_t kRunning = kNegotiated | virtio::Mmio::DriverOk;

inline Access access_to(std::uint64_t offset, Width width = Width::Word) {
  return {.offset = offset, .width = width, .vcpu = kBootVcpu, .now_ns = 0};
}

}  // namespace registers

inline void set(virtio::Mmio& device, std::uint64_t offset, std::uint64_t value) {
  EXPECT_TRUE(device.write(registers::access_to(offset), value).has_value()) << offset;
}

/// 3.1.1, steps 1 to 6.
inline void negotiate(virtio::Mmio& device) {
  using namespace registers;
  set(device, kStatus, 0);
  set(device, kStatus, virtio::Mmio::Acknowledge);
  set(device, kStatus, virtio::Mmio::Acknowledge | virtio::Mmio::Driver);
  set(device, kDriverFeaturesSel, 1);
  set(device, kDriverFeatures, 1);
  set(device, kStatus, kNegotiated);
}

/// 4.2.3.2, for queue 0.
inline void set_up_queue(virtio::Mmio& device,
                         const virtio::QueueLayout& layout = DriverQueue::layout()) {
  using namespace registers;
  set(device, kQueueSel, 0);
  set(device, kQueueNum, layout.size);
  const auto set_part = [&](std::uint64_t offset, GuestPhys address) {
    set(device, offset, address.raw() & 0xffff'ffff);
    set(device, offset + 4, address.raw() >> 32);
  };
  set_part(kQueueDesc, layout.descriptors);
  set_part(kQueueDriver, layout.available);
  set_part(kQueueDevice, layout.used);
  set(device, kQueueReady, 1);
}

}  // namespace retrap::test
