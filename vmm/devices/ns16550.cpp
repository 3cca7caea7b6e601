// 16550A: the register table of the PC16550D's table 1, and what each register does.
#include "vmm/devices/ns16550.h"

namespace retrap {
namespace {

// IER, and IIR's ids in order of priority (PC16550D, table II).
constexpr std::uint8_t kReceiveEnable = 1;
constexpr std::uint8_t kTransmitEnable = 2;
constexpr std::uint8_t kNothingPending = 1;
constexpr std::uint8_t kTransmitterEmpty = 2;
constexpr std::uint8_t kDataAvailable = 4;
constexpr std::uint8_t kCharacterTimeout = 0xc;
constexpr std::uint8_t kFifosEnabled = 0xc0;

// LSR.
constexpr std::uint8_t kDataReady = 1;
constexpr std::uint8_t kTransmitIdle = 0x60;  // THRE, TEMT

// MCR.
constexpr std::uint8_t kOut2 = 8;
constexpr std::uint8_t kLoopBack = 0x10;

/// MSR of a line that is always there: DCD, DSR, CTS.
constexpr std::uint8_t kLineUp = 0xb0;

constexpr WidthRule kByteOnly{.narrowest = Width::Byte, .widest = Width::Byte};

std::uint8_t byte_of(std::uint64_t value) {
  return static_cast<std::uint8_t>(value & 0xff);
}

}  // namespace

// clang-format off
constexpr std::array<Register<Ns16550>, 8> Ns16550::kRegisters = {{
    {0, "RBR/THR/DLL", &Ns16550::read_data,             &Ns16550::write_data},
    {1, "IER/DLM",     &Ns16550::read_interrupt_enable, &Ns16550::write_interrupt_enable},
    {2, "IIR/FCR",     &Ns16550::read_interrupt_id,     &Ns16550::write_fifo_control},
    {3, "LCR",         &Ns16550::read_line_control,     &Ns16550::write_line_control},
    {4, "MCR",         &Ns16550::read_modem_control,    &Ns16550::write_modem_control},
    {5, "LSR",         &Ns16550::read_line_status,      nullptr},
    {6, "MSR",         &Ns16550::read_modem_status,     nullptr},
    {7, "SCR",         &Ns16550::read_scratch,          &Ns16550::write_scratch},
}};
// clang-format on

// Registers are bytes. Where they lie further apart, an access may be as wide as the distance.
std::optional<IoError> Ns16550::misses_chip(const Access& access) const {
  const std::uint64_t stride = std::uint64_t{1} << options_.register_shift;
  if (access.offset % stride != 0) return IoError::NoRegister;
  if (bytes(access.width) > stride) return IoError::BadWidth;
  return std::nullopt;
}

Access Ns16550::on_chip(const Access& access) const {
  return {.offset = access.offset >> options_.register_shift,
          .width = Width::Byte,
          .vcpu = access.vcpu,
          .now_ns = access.now_ns};
}

IoResult<std::uint64_t> Ns16550::read(const Access& access) {
  static_assert(is_sorted(kRegisters));
  if (const auto error = misses_chip(access)) return tl::unexpected(*error);
  return read_register(*this, kRegisters, on_chip(access), kByteOnly);
}

IoResult<> Ns16550::write(const Access& access, std::uint64_t value) {
  if (const auto error = misses_chip(access)) return tl::unexpected(*error);
  return write_register(*this, kRegisters, on_chip(access), value, kByteOnly);
}

bool Ns16550::receive(std::uint8_t byte) {
  return state_.fifo.push(byte, has_fifo() ? 16 : 1);
}

bool Ns16550::irq_level() const {
  const bool connected = !options_.out2_gates_interrupt || (state_.modem_control & kOut2) != 0;
  return connected && pending() != kNothingPending;
}

std::size_t Ns16550::trigger() const {
  constexpr std::array<std::size_t, 4> kLevels = {1, 4, 8, 14};
  return has_fifo() ? kLevels[state_.fifo_control >> 6] : 1;
}

std::uint8_t Ns16550::pending() const {
  if ((state_.interrupt_enable & kReceiveEnable) != 0 && !state_.fifo.empty()) {
    // Below the trigger the FIFO waits four character times, which pass between two bytes.
    return state_.fifo.size() >= trigger() ? kDataAvailable : kCharacterTimeout;
  }
  const bool empty = (state_.interrupt_enable & kTransmitEnable) != 0;
  return empty && !state_.transmitter_reported ? kTransmitterEmpty : kNothingPending;
}

std::uint64_t Ns16550::read_data() {
  return has_divisor_latch() ? state_.divisor_low : state_.fifo.pop();
}

std::uint64_t Ns16550::read_interrupt_enable() {
  return has_divisor_latch() ? state_.divisor_high : state_.interrupt_enable;
}

// Reading IIR answers the transmitter's interrupt, if that is what it reports.
std::uint64_t Ns16550::read_interrupt_id() {
  const std::uint8_t id = pending();
  if (id == kTransmitterEmpty) state_.transmitter_reported = true;
  return id | (has_fifo() ? kFifosEnabled : 0u);
}

std::uint64_t Ns16550::read_line_status() {
  return kTransmitIdle | (state_.fifo.empty() ? 0u : kDataReady);
}

// In loop-back, MCR's RTS, DTR, OUT1, OUT2 come back as CTS, DSR, RI, DCD.
std::uint64_t Ns16550::read_modem_status() {
  const std::uint32_t control = state_.modem_control;
  if ((control & kLoopBack) == 0) return kLineUp;
  return (control & 2) << 3 | (control & 1) << 5 | (control & 4) << 4 | (control & 8) << 4;
}

void Ns16550::write_data(std::uint64_t value) {
  if (has_divisor_latch()) {
    state_.divisor_low = byte_of(value);
    return;
  }
  if ((state_.modem_control & kLoopBack) != 0) {
    // A full FIFO overruns: the byte is lost, as on a line.
    (void)receive(byte_of(value));
  } else {
    console_.put(static_cast<char>(byte_of(value)));
  }
  state_.transmitter_reported = false;
}

void Ns16550::write_interrupt_enable(std::uint64_t value) {
  if (has_divisor_latch()) {
    state_.divisor_high = byte_of(value);
    return;
  }
  const std::uint8_t before = state_.interrupt_enable;
  state_.interrupt_enable = byte_of(value & 0xf);
  if ((~before & state_.interrupt_enable & kTransmitEnable) != 0) {
    state_.transmitter_reported = false;
  }
}

// FCR: bit 0 switches the FIFOs, which empties them; bit 1 empties the receiver's.
void Ns16550::write_fifo_control(std::uint64_t value) {
  const bool had_fifo = has_fifo();
  state_.fifo_control = byte_of(value & 0xc9);
  if (has_fifo() != had_fifo || (value & 2) != 0) state_.fifo.clear();
}

void Ns16550::write_line_control(std::uint64_t value) {
  state_.line_control = byte_of(value);
}

void Ns16550::write_modem_control(std::uint64_t value) {
  state_.modem_control = byte_of(value & 0x1f);
}

void Ns16550::write_scratch(std::uint64_t value) {
  state_.scratch = byte_of(value);
}

void Ns16550::digest(Digest& into) const {
  for (const std::uint8_t byte :
       {state_.interrupt_enable, state_.fifo_control, state_.line_control, state_.modem_control,
        state_.scratch, state_.divisor_low, state_.divisor_high}) {
    into.add(byte);
  }
  into.add(static_cast<std::uint64_t>(state_.transmitter_reported));
  state_.fifo.digest(into);
}

}  // namespace retrap
