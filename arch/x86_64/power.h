// The ports that switch a PC off or restart it.
#pragma once

#include <cstdint>

#include "arch/x86_64/system_requests.h"
#include "vmm/console.h"
#include "vmm/device.h"

namespace retrap::x86_64 {

/// PM1a_EVT_BLK and PM1a_CNT_BLK (ACPI 6.5, 4.8.3.1): status, enable, control, 16 bits each, from
/// port 0x600 on. No event ever sets a status bit, so the SCI stays low. The machine is always in
/// ACPI mode (SCI_EN reads 1). SLP_EN powers off, whatever the sleep type: S5 is the only state
/// that the tables offer, and axvm's guests write 0x2000.
class AcpiPowerManagement final : public Device {
 public:
  static constexpr std::uint16_t kEventBlock = 0x600;
  static constexpr std::uint16_t kControlBlock = 0x604;
  static constexpr std::uint8_t kSleepTypeS5 = 5;

  explicit AcpiPowerManagement(SystemRequests& requests) : requests_(requests) {}

  [[nodiscard]] std::string_view name() const override { return "acpi-pm"; }
  [[nodiscard]] std::uint64_t size() const override { return 6; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override { enable_ = control_ = 0; }
  void digest(Digest& into) const override { into.add(enable_ | std::uint64_t{control_} << 16); }

 private:
  SystemRequests& requests_;
  std::uint16_t enable_ = 0;
  std::uint16_t control_ = 0;  ///< without SCI_EN and SLP_EN
};

/// The reset control register, port 0xcf9 (Intel PIIX4, 4.2.6): bit 2 resets.
class ResetControl final : public Device {
 public:
  explicit ResetControl(SystemRequests& requests) : requests_(requests) {}

  [[nodiscard]] std::string_view name() const override { return "reset"; }
  [[nodiscard]] std::uint64_t size() const override { return 1; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override { value_ = 0; }
  void digest(Digest& into) const override { into.add(value_); }

 private:
  SystemRequests& requests_;
  std::uint8_t value_ = 0;
};

/// Port 0x64, command and status of a keyboard controller without a keyboard: the buffers are
/// always empty; command 0xfe pulses the reset line.
class KeyboardController final : public Device {
 public:
  explicit KeyboardController(SystemRequests& requests) : requests_(requests) {}

  [[nodiscard]] std::string_view name() const override { return "i8042"; }
  [[nodiscard]] std::uint64_t size() const override { return 1; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override {}
  void digest(Digest& into) const override { (void)into; }

 private:
  SystemRequests& requests_;
};

/// Port 0xf4: any write ends the run as a power-off, for guests too small to know ACPI.
class ExitPort final : public Device {
 public:
  explicit ExitPort(SystemRequests& requests) : requests_(requests) {}

  [[nodiscard]] std::string_view name() const override { return "exit"; }
  [[nodiscard]] std::uint64_t size() const override { return 1; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override {}
  void digest(Digest& into) const override { (void)into; }

 private:
  SystemRequests& requests_;
};

/// Port 0xe9: writes go to the console; reads give 0xe9, which says that it is there.
class DebugPort final : public Device {
 public:
  explicit DebugPort(ConsoleSink& console) : console_(console) {}

  [[nodiscard]] std::string_view name() const override { return "debug"; }
  [[nodiscard]] std::uint64_t size() const override { return 1; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override {}
  void digest(Digest& into) const override { (void)into; }

 private:
  ConsoleSink& console_;
};

}  // namespace retrap::x86_64
