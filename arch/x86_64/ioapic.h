// The IO-APIC: 24 inputs to messages for the local APICs.
//
// Intel 82093AA data sheet (290566), chapter 3.
#pragma once

#include <array>
#include <cstdint>

#include "arch/x86_64/apic_message.h"
#include "vmm/device.h"

namespace retrap::x86_64 {

/// Registers are reached through IOREGSEL and IOWIN, 32 bits each, at 0xfec00000.
///
/// Inputs are levels that mean "asserted"; the polarity bit is kept and changes nothing, because
/// no device model has an inverted output.
class IoApic final : public Device, public EoiListener {
 public:
  static constexpr std::uint64_t kBaseAddress = 0xfec0'0000;
  static constexpr unsigned kPins = 24;

  explicit IoApic(ApicBus& bus) : bus_(bus) { entries_.fill(kMasked); }

  [[nodiscard]] std::string_view name() const override { return "ioapic"; }
  [[nodiscard]] std::uint64_t size() const override { return 0x1000; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override;
  void digest(Digest& into) const override;

  /// Sets the level of input `pin` (below kPins).
  void set_pin(unsigned pin, bool level);
  void end_of_interrupt(std::uint8_t vector) override;

 private:
  static constexpr std::uint64_t kMasked = 1U << 16;

  [[nodiscard]] std::uint32_t read_selected() const;
  void write_selected(std::uint32_t value);
  void service_level(unsigned pin);
  bool send(std::uint64_t entry);

  ApicBus& bus_;
  std::uint8_t select_ = 0;
  std::uint32_t id_ = 0;
  std::uint32_t pins_ = 0;  ///< levels
  std::array<std::uint64_t, kPins> entries_{};
};

}  // namespace retrap::x86_64
