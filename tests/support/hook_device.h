// A device that calls the test back.
#pragma once

#include <functional>
#include <utility>

#include "vmm/device.h"

namespace retrap::test {

/// Calls back once when it is written to: an embedder that acts while its guest runs.
class HookDevice final : public Device {
 public:
  [[nodiscard]] std::string_view name() const override { return "hook"; }
  [[nodiscard]] std::uint64_t size() const override { return 4; }
  IoResult<std::uint64_t> read(const Access&) override { return 0; }
  IoResult<> write(const Access&, std::uint64_t) override {
    const auto act = std::exchange(on_write, nullptr);
    if (act) act();
    return {};
  }
  void reset() override {}
  void digest(Digest&) const override {}
  std::function<void()> on_write;
};

}  // namespace retrap::test
