// SiFive's test finisher: a register that ends the machine.
#pragma once

#include <optional>

#include "vmm/exit.h"
#include "vmm/register_table.h"

namespace retrap {

/// A write of 0x5555 powers off, 0x7777 resets, 0x3333 fails with the code in the upper half. The
/// board's vCPU takes the request after the access and makes it its next exit.
class TestFinisher final : public Device {
 public:
  [[nodiscard]] std::string_view name() const override { return "test-finisher"; }
  [[nodiscard]] std::uint64_t size() const override { return 0x1000; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override;
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t value) override;
  void reset() override { request_.reset(); }
  void digest(Digest& into) const override { (void)into; }

  [[nodiscard]] bool has_request() const { return request_.has_value(); }
  /// What the guest asked for since the last call: SystemDown, SystemReset, GuestCrash.
  [[nodiscard]] std::optional<ExitReason> take_request();

 private:
  static const std::array<Register<TestFinisher>, 1> kRegisters;
  std::uint64_t read_finish() { return 0; }
  void write_finish(std::uint64_t value);

  std::optional<ExitReason> request_;
};

}  // namespace retrap
