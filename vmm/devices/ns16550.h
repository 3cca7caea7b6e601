// The 16550A UART (National Semiconductor PC16550D), on ports or in memory.
#pragma once

#include <optional>

#include "vmm/console.h"
#include "vmm/devices/receive_fifo.h"
#include "vmm/register_table.h"

namespace retrap {

/// How a board wires the UART.
struct Ns16550Options {
  unsigned register_shift = 0;        ///< registers are 1 << shift bytes apart
  std::uint64_t size = 8;             ///< bytes or ports it covers
  bool out2_gates_interrupt = false;  ///< a PC connects INTR only while MCR.OUT2 is set
};

/// What is written to THR is on the console at once, so the transmitter is always empty. Input
/// comes through receive(). Baud rate and line format do nothing here.
class Ns16550 final : public Device {
 public:
  /// `console` outlives the device.
  explicit Ns16550(ConsoleSink& console, Ns16550Options options = {})
      : console_(console), options_(options) {}

  [[nodiscard]] std::string_view name() const override { return "ns16550"; }
  [[nodiscard]] std::uint64_t size() const override { return options_.size; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override;
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t value) override;
  void reset() override { state_ = {}; }
  [[nodiscard]] bool irq_level() const override;
  void digest(Digest& into) const override;

  /// A byte from the line. False where the FIFO is full: it is not lost, the caller keeps it.
  /// Sample the bus afterwards.
  [[nodiscard]] bool receive(std::uint8_t byte);

 private:
  struct State {
    std::uint8_t interrupt_enable = 0;
    std::uint8_t fifo_control = 0;
    std::uint8_t line_control = 0;
    std::uint8_t modem_control = 0;
    std::uint8_t scratch = 0;
    std::uint8_t divisor_low = 1;
    std::uint8_t divisor_high = 0;
    bool transmitter_reported = true;  ///< whether IIR has told that THR is empty
    ReceiveFifo<16> fifo = {};
  };

  static const std::array<Register<Ns16550>, 8> kRegisters;

  /// Why the chip does not see the access, or nothing.
  [[nodiscard]] std::optional<IoError> misses_chip(const Access& access) const;
  /// The access as the chip sees it.
  [[nodiscard]] Access on_chip(const Access& access) const;
  [[nodiscard]] bool has_divisor_latch() const { return (state_.line_control & 0x80) != 0; }
  [[nodiscard]] bool has_fifo() const { return (state_.fifo_control & 1) != 0; }
  [[nodiscard]] std::size_t trigger() const;
  [[nodiscard]] std::uint8_t pending() const;

  std::uint64_t read_data();
  std::uint64_t read_interrupt_enable();
  std::uint64_t read_interrupt_id();
  std::uint64_t read_line_control() { return state_.line_control; }
  std::uint64_t read_modem_control() { return state_.modem_control; }
  std::uint64_t read_line_status();
  std::uint64_t read_modem_status();
  std::uint64_t read_scratch() { return state_.scratch; }
  void write_data(std::uint64_t value);
  void write_interrupt_enable(std::uint64_t value);
  void write_fifo_control(std::uint64_t value);
  void write_line_control(std::uint64_t value);
  void write_modem_control(std::uint64_t value);
  void write_scratch(std::uint64_t value);

  ConsoleSink& console_;
  Ns16550Options options_;
  State state_;
};

}  // namespace retrap
