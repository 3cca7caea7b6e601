// PL011: the register table of DDI 0183G, table 3-1, and what each register does.
#include "vmm/devices/pl011.h"

namespace retrap {
namespace {

// UARTFR (3.3.3).
constexpr std::uint32_t kReceiveEmpty = 1u << 4;
constexpr std::uint32_t kReceiveFull = 1u << 6;
constexpr std::uint32_t kTransmitEmpty = 1u << 7;

// UARTRIS and its siblings (3.3.11).
constexpr std::uint32_t kReceive = 1u << 4;
constexpr std::uint32_t kTransmit = 1u << 5;
constexpr std::uint32_t kReceiveTimeout = 1u << 6;
constexpr std::uint32_t kInterrupts = 0x7ff;

// UARTCR (3.3.8).
constexpr std::uint32_t kEnable = 1u << 0;
constexpr std::uint32_t kLoopBack = 1u << 7;
constexpr std::uint32_t kReceiveEnable = 1u << 9;

// Registers are words; drivers use narrower accesses for the data register.
constexpr WidthRule kWidths{.narrowest = Width::Byte, .widest = Width::Word};

std::uint32_t low(std::uint64_t value, unsigned bits) {
  return static_cast<std::uint32_t>(value & ((std::uint64_t{1} << bits) - 1));
}

}  // namespace

// clang-format off
constexpr std::array<Register<Pl011>, 26> Pl011::kRegisters = {{
    {0x000, "UARTDR",        &Pl011::read_data,            &Pl011::write_data},
    {0x004, "UARTRSR",       &Pl011::read_status,          &Pl011::write_status},
    {0x018, "UARTFR",        &Pl011::read_flags,           nullptr},
    {0x020, "UARTILPR",      &Pl011::read_low_power,       &Pl011::write_low_power},
    {0x024, "UARTIBRD",      &Pl011::read_integer_baud,    &Pl011::write_integer_baud},
    {0x028, "UARTFBRD",      &Pl011::read_fractional_baud, &Pl011::write_fractional_baud},
    {0x02c, "UARTLCR_H",     &Pl011::read_line_control,    &Pl011::write_line_control},
    {0x030, "UARTCR",        &Pl011::read_control,         &Pl011::write_control},
    {0x034, "UARTIFLS",      &Pl011::read_fifo_levels,     &Pl011::write_fifo_levels},
    {0x038, "UARTIMSC",      &Pl011::read_mask,            &Pl011::write_mask},
    {0x03c, "UARTRIS",       &Pl011::read_raw,             nullptr},
    {0x040, "UARTMIS",       &Pl011::read_masked,          nullptr},
    {0x044, "UARTICR",       nullptr,                      &Pl011::write_clear},
    {0x048, "UARTDMACR",     &Pl011::read_dma,             &Pl011::write_dma},
    {0xfd0, "UARTPeriphID4", &Pl011::read_id<0x00>,        nullptr},
    {0xfd4, "UARTPeriphID5", &Pl011::read_id<0x00>,        nullptr},
    {0xfd8, "UARTPeriphID6", &Pl011::read_id<0x00>,        nullptr},
    {0xfdc, "UARTPeriphID7", &Pl011::read_id<0x00>,        nullptr},
    {0xfe0, "UARTPeriphID0", &Pl011::read_id<0x11>,        nullptr},
    {0xfe4, "UARTPeriphID1", &Pl011::read_id<0x10>,        nullptr},
    {0xfe8, "UARTPeriphID2", &Pl011::read_id<0x34>,        nullptr},
    {0xfec, "UARTPeriphID3", &Pl011::read_id<0x00>,        nullptr},
    {0xff0, "UARTPCellID0",  &Pl011::read_id<0x0d>,        nullptr},
    {0xff4, "UARTPCellID1",  &Pl011::read_id<0xf0>,        nullptr},
    {0xff8, "UARTPCellID2",  &Pl011::read_id<0x05>,        nullptr},
    {0xffc, "UARTPCellID3",  &Pl011::read_id<0xb1>,        nullptr},
}};
// clang-format on

IoResult<std::uint64_t> Pl011::read(const Access& access) {
  static_assert(is_sorted(kRegisters));
  return read_register(*this, kRegisters, access, kWidths);
}

IoResult<> Pl011::write(const Access& access, std::uint64_t value) {
  return write_register(*this, kRegisters, access, value, kWidths);
}

bool Pl011::irq_level() const {
  return (state_.raw & state_.mask) != 0;
}

bool Pl011::receive(std::uint8_t byte) {
  constexpr std::uint32_t kOn = kEnable | kReceiveEnable;
  if ((state_.control & kOn) != kOn || !state_.fifo.push(byte, depth())) return false;
  update_receive_interrupts();
  // The line is silent between bytes for longer than 32 bit times.
  if (has_fifo()) state_.raw |= kReceiveTimeout;
  return true;
}

// UARTIFLS (3.3.9): the receive interrupt comes at 1/8, 1/4, 1/2, 3/4 or 7/8 of the FIFO.
std::size_t Pl011::trigger() const {
  constexpr std::array<std::size_t, 8> kLevels = {4, 8, 16, 24, 28, 28, 28, 28};
  return has_fifo() ? kLevels[(state_.fifo_levels >> 3) & 7] : 1;
}

void Pl011::update_receive_interrupts() {
  state_.raw &= ~kReceive;
  if (state_.fifo.size() >= trigger()) state_.raw |= kReceive;
  if (state_.fifo.empty()) state_.raw &= ~kReceiveTimeout;
}

std::uint64_t Pl011::read_data() {
  const std::uint8_t byte = state_.fifo.pop();
  update_receive_interrupts();
  return byte;
}

std::uint64_t Pl011::read_flags() {
  const std::uint32_t empty = state_.fifo.empty() ? kReceiveEmpty : 0;
  const std::uint32_t full = state_.fifo.size() >= depth() ? kReceiveFull : 0;
  return kTransmitEmpty | empty | full;
}

void Pl011::write_data(std::uint64_t value) {
  const auto byte = static_cast<std::uint8_t>(value & 0xff);
  if ((state_.control & kLoopBack) != 0) {
    // A full FIFO overruns: the byte is lost, as on a line.
    (void)receive(byte);
  } else {
    console_.put(static_cast<char>(byte));
  }
  state_.raw |= kTransmit;
}

void Pl011::write_low_power(std::uint64_t value) {
  state_.low_power = low(value, 8);
}

void Pl011::write_integer_baud(std::uint64_t value) {
  state_.integer_baud = low(value, 16);
}

void Pl011::write_fractional_baud(std::uint64_t value) {
  state_.fractional_baud = low(value, 6);
}

// Switching the FIFO empties it (3.3.7).
void Pl011::write_line_control(std::uint64_t value) {
  const bool had_fifo = has_fifo();
  state_.line_control = low(value, 8);
  if (has_fifo() != had_fifo) state_.fifo.clear();
  update_receive_interrupts();
}

void Pl011::write_control(std::uint64_t value) {
  state_.control = low(value, 16);
}

void Pl011::write_fifo_levels(std::uint64_t value) {
  state_.fifo_levels = low(value, 6);
  update_receive_interrupts();
}

void Pl011::write_mask(std::uint64_t value) {
  state_.mask = low(value, 11);
}

void Pl011::write_clear(std::uint64_t value) {
  state_.raw &= ~low(value, 11) & kInterrupts;
}

void Pl011::write_dma(std::uint64_t value) {
  state_.dma = low(value, 3);
}

void Pl011::digest(Digest& into) const {
  for (const std::uint32_t word :
       {state_.low_power, state_.integer_baud, state_.fractional_baud, state_.line_control,
        state_.control, state_.fifo_levels, state_.mask, state_.raw, state_.dma}) {
    into.add(word);
  }
  state_.fifo.digest(into);
}

}  // namespace retrap
