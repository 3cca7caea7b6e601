// Talks to a device as the bus would.
#pragma once

#include <gtest/gtest.h>

#include "vmm/device.h"

namespace retrap::x86_64::test {

struct DeviceRig {
  Device& device;
  std::uint64_t now_ns = 0;
  VcpuId vcpu = kBootVcpu;

  /// The value read, or what the bus makes of an error: zero.
  std::uint64_t in(std::uint64_t offset, Width width = Width::Byte) {
    return device.read({offset, width, vcpu, now_ns}).value_or(0);
  }
  void out(std::uint64_t offset, std::uint64_t value, Width width = Width::Byte) {
    EXPECT_TRUE(device.write({offset, width, vcpu, now_ns}, value)) << offset;
  }
  [[nodiscard]] IoResult<std::uint64_t> try_in(std::uint64_t offset, Width width) {
    return device.read({offset, width, vcpu, now_ns});
  }
  [[nodiscard]] IoResult<> try_out(std::uint64_t offset, std::uint64_t value, Width width) {
    return device.write({offset, width, vcpu, now_ns}, value);
  }
  /// Lets virtual time pass, with every deadline met on the way.
  void wait_until(std::uint64_t end_ns) {
    while (device.deadline_ns() <= end_ns) {
      now_ns = std::max(now_ns, device.deadline_ns());
      device.advance(now_ns);
    }
    now_ns = end_ns;
  }
};

/// A fingerprint of the device alone.
inline std::uint64_t digest_of(const Device& device) {
  Digest digest;
  device.digest(digest);
  return digest.value();
}

}  // namespace retrap::x86_64::test
