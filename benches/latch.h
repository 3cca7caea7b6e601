// One register that holds what was written.
#pragma once

#include "vmm/device.h"

namespace retrap {

class Latch final : public Device {
 public:
  explicit Latch(std::uint64_t size) : size_(size) {}
  [[nodiscard]] std::string_view name() const override { return "latch"; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access&) override { return value_; }
  [[nodiscard]] IoResult<> write(const Access&, std::uint64_t value) override {
    value_ = value;
    return {};
  }
  void reset() override { value_ = 0; }
  void digest(Digest& into) const override { into.add(value_); }

 private:
  std::uint64_t size_;
  std::uint64_t value_ = 0;
};

}  // namespace retrap
