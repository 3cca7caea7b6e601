// The PrimeCell UART PL011, revision r1p5 (Arm DDI 0183G).
#pragma once

#include "vmm/console.h"
#include "vmm/devices/receive_fifo.h"
#include "vmm/register_table.h"

namespace retrap {

/// What is written to UARTDR is on the console at once, so the transmitter is always empty. Input
/// comes through receive(). Baud rate, line format and modem lines do nothing here.
class Pl011 final : public Device {
 public:
  /// `console` outlives the device.
  explicit Pl011(ConsoleSink& console) : console_(console) {}

  [[nodiscard]] std::string_view name() const override { return "pl011"; }
  [[nodiscard]] std::uint64_t size() const override { return 0x1000; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override;
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t value) override;
  void reset() override { state_ = {}; }
  [[nodiscard]] bool irq_level() const override;
  void digest(Digest& into) const override;

  /// A byte from the line. False where the receiver is off or its FIFO full: it is not lost, the
  /// caller keeps it. Sample the bus afterwards.
  [[nodiscard]] bool receive(std::uint8_t byte);

 private:
  struct State {
    std::uint32_t low_power = 0;
    std::uint32_t integer_baud = 0;
    std::uint32_t fractional_baud = 0;
    std::uint32_t line_control = 0;
    std::uint32_t control = 0x300;  // TXE, RXE (3.3.8)
    std::uint32_t fifo_levels = 0x12;
    std::uint32_t mask = 0;
    std::uint32_t raw = 0;
    std::uint32_t dma = 0;
    ReceiveFifo<32> fifo = {};
  };

  static const std::array<Register<Pl011>, 26> kRegisters;

  [[nodiscard]] bool has_fifo() const { return (state_.line_control & 0x10) != 0; }
  [[nodiscard]] std::size_t depth() const { return has_fifo() ? 32 : 1; }
  [[nodiscard]] std::size_t trigger() const;
  void update_receive_interrupts();

  std::uint64_t read_data();
  std::uint64_t read_status() { return 0; }
  std::uint64_t read_flags();
  std::uint64_t read_low_power() { return state_.low_power; }
  std::uint64_t read_integer_baud() { return state_.integer_baud; }
  std::uint64_t read_fractional_baud() { return state_.fractional_baud; }
  std::uint64_t read_line_control() { return state_.line_control; }
  std::uint64_t read_control() { return state_.control; }
  std::uint64_t read_fifo_levels() { return state_.fifo_levels; }
  std::uint64_t read_mask() { return state_.mask; }
  std::uint64_t read_raw() { return state_.raw; }
  std::uint64_t read_masked() { return state_.raw & state_.mask; }
  std::uint64_t read_dma() { return state_.dma; }
  template <std::uint8_t kId>
  std::uint64_t read_id() {
    return kId;
  }
  void write_data(std::uint64_t value);
  void write_status(std::uint64_t) {}
  void write_low_power(std::uint64_t value);
  void write_integer_baud(std::uint64_t value);
  void write_fractional_baud(std::uint64_t value);
  void write_line_control(std::uint64_t value);
  void write_control(std::uint64_t value);
  void write_fifo_levels(std::uint64_t value);
  void write_mask(std::uint64_t value);
  void write_clear(std::uint64_t value);
  void write_dma(std::uint64_t value);

  ConsoleSink& console_;
  State state_;
};

}  // namespace retrap
