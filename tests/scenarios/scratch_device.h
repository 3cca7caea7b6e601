// A device that remembers what is written and keeps a log of every access: 8 KiB, 16 ports or two
// system registers of it are on the board of every scenario.
#pragma once

#include <string>
#include <vector>

#include "vmm/device.h"

namespace retrap::test {

/// Little-endian bytes behind a bus; accesses of every width at every offset.
class ScratchDevice final : public Device {
 public:
  struct Entry {
    bool is_write;
    std::uint64_t offset;
    std::uint64_t bytes;
    std::uint64_t value;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  /// `unit`: bytes that an address stands for: 1, or 8 for system registers.
  struct Shape {
    std::uint64_t size = 0;
    std::uint64_t unit = 1;
  };

  ScratchDevice(std::string name, Shape shape);

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::uint64_t size() const override { return shape_.size; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override;
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t value) override;
  void reset() override;
  void digest(Digest& into) const override;

  [[nodiscard]] const std::vector<Entry>& log() const { return log_; }

 private:
  [[nodiscard]] bool has(const Access& access) const;
  [[nodiscard]] std::uint64_t place(const Access& access) const {
    return access.offset * shape_.unit;
  }

  std::string name_;
  Shape shape_;
  std::vector<std::uint8_t> bytes_;
  std::vector<Entry> log_;
};

/// "w8 @0x10 = 0x1", for failure messages.
void PrintTo(const ScratchDevice::Entry& entry, std::ostream* out);

}  // namespace retrap::test
