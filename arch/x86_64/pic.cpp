// The behaviour of the 8259A pair.
#include "arch/x86_64/pic.h"

#include "vmm/base/bits.h"

namespace retrap::x86_64 {
namespace {

constexpr std::uint8_t mask_of(unsigned line) {
  return static_cast<std::uint8_t>(1U << line);
}

// ICW1 (D4 set), OCW3 (D3 set) and OCW2 share the command port.
constexpr unsigned kIcw1 = 4;
constexpr unsigned kIcw1Single = 1;
constexpr unsigned kIcw1WantsIcw4 = 0;
constexpr unsigned kOcw3 = 3;
constexpr unsigned kIcw4AutoEoi = 1;
constexpr unsigned kIcw4SpecialFullyNested = 4;

/// OCW2 bits [7:5].
enum class Ocw2 : std::uint8_t {
  ClearRotateInAutoEoi = 0,
  NonSpecificEoi = 1,
  NoOperation = 2,
  SpecificEoi = 3,
  SetRotateInAutoEoi = 4,
  RotateOnNonSpecificEoi = 5,
  SetPriority = 6,
  RotateOnSpecificEoi = 7,
};

}  // namespace

IoResult<std::uint64_t> Pic::read(const retrap::Access& access) {
  if (access.width != Width::Byte) return tl::unexpected(IoError::BadWidth);
  if (access.offset == 1) return imr_;
  return reads_isr_ ? isr_ : irr_;
}

IoResult<> Pic::write(const retrap::Access& access, std::uint64_t value) {
  if (access.width != Width::Byte) return tl::unexpected(IoError::BadWidth);
  const auto byte = static_cast<std::uint8_t>(value);
  if (access.offset == 0) {
    write_command(byte);
  } else {
    write_data(byte);
  }
  return {};
}

void Pic::write_command(std::uint8_t value) {
  if (has_bit(value, kIcw1)) return start_initialisation(value);
  if (!has_bit(value, kOcw3)) return end_of_interrupt(value);
  const auto read_register = extract(value, 1, 0);
  if (read_register == 2) reads_isr_ = false;
  if (read_register == 3) reads_isr_ = true;
}

void Pic::start_initialisation(std::uint8_t icw1) {
  const bool master = master_;
  const std::uint8_t lines = lines_;
  const std::uint8_t level_triggered = level_triggered_;
  *this = Pic(master);
  lines_ = lines;
  level_triggered_ = level_triggered;
  // The edge sense is reset: an input that is high must fall first. Level inputs count at once.
  irr_ = static_cast<std::uint8_t>(lines & level_triggered);
  single_ = has_bit(icw1, kIcw1Single);
  wants_icw4_ = has_bit(icw1, kIcw1WantsIcw4);
  expect_ = Expect::Icw2;
  initialised_ = true;
}

void Pic::write_data(std::uint8_t value) {
  switch (expect_) {
    case Expect::Ocw1: imr_ = value; break;
    case Expect::Icw2:
      vector_base_ = value & 0xf8;
      expect_ = !single_ ? Expect::Icw3 : wants_icw4_ ? Expect::Icw4 : Expect::Ocw1;
      break;
    case Expect::Icw3: expect_ = wants_icw4_ ? Expect::Icw4 : Expect::Ocw1; break;
    case Expect::Icw4:
      auto_eoi_ = has_bit(value, kIcw4AutoEoi);
      special_fully_nested_ = has_bit(value, kIcw4SpecialFullyNested);
      expect_ = Expect::Ocw1;
      break;
  }
}

void Pic::end_of_interrupt(std::uint8_t ocw2) {
  const auto line = static_cast<std::uint8_t>(extract(ocw2, 2, 0));
  switch (static_cast<Ocw2>(extract(ocw2, 7, 5))) {
    case Ocw2::NonSpecificEoi:
    case Ocw2::RotateOnNonSpecificEoi:
      if (const auto served = first_in_service()) {
        isr_ &= static_cast<std::uint8_t>(~mask_of(*served));
        if (has_bit(ocw2, 7)) lowest_priority_ = static_cast<std::uint8_t>(*served);
      }
      break;
    case Ocw2::SpecificEoi: isr_ &= static_cast<std::uint8_t>(~mask_of(line)); break;
    case Ocw2::RotateOnSpecificEoi:
      isr_ &= static_cast<std::uint8_t>(~mask_of(line));
      lowest_priority_ = line;
      break;
    case Ocw2::SetPriority:          lowest_priority_ = line; break;
    case Ocw2::SetRotateInAutoEoi:   rotate_in_auto_eoi_ = true; break;
    case Ocw2::ClearRotateInAutoEoi: rotate_in_auto_eoi_ = false; break;
    case Ocw2::NoOperation:          break;
  }
}

void Pic::set_line(unsigned line, bool level) {
  const std::uint8_t mask = mask_of(line);
  const bool was = (lines_ & mask) != 0;
  const bool by_level = (level_triggered_ & mask) != 0;
  if (level) {
    lines_ |= mask;
    if (!was || by_level) irr_ |= mask;
  } else {
    lines_ &= static_cast<std::uint8_t>(~mask);
    irr_ &= static_cast<std::uint8_t>(~mask);
  }
}

std::optional<unsigned> Pic::first_in_service() const {
  for (unsigned i = 1; i <= 8; ++i) {
    const unsigned line = (lowest_priority_ + i) & 7;
    if ((isr_ & mask_of(line)) != 0) return line;
  }
  return std::nullopt;
}

std::optional<unsigned> Pic::highest() const {
  if (!initialised_ || expect_ != Expect::Ocw1) return std::nullopt;
  const unsigned requests = irr_ & ~unsigned{imr_};
  if (requests == 0) return std::nullopt;
  for (unsigned i = 1; i <= 8; ++i) {
    const unsigned line = (lowest_priority_ + i) & 7;
    const bool serving = (isr_ & mask_of(line)) != 0;
    // Special fully nested: the cascade may interrupt itself.
    const bool nested = special_fully_nested_ && master_ && line == 2;
    if (serving && !nested) return std::nullopt;
    if ((requests & mask_of(line)) != 0) return line;
  }
  return std::nullopt;
}

std::uint8_t Pic::acknowledge() {
  const auto line = highest();
  if (!line) return vector_base_ | 7;
  const std::uint8_t mask = mask_of(*line);
  // An edge is used up; a level stays requested for as long as it is there.
  if ((level_triggered_ & mask) == 0) irr_ &= static_cast<std::uint8_t>(~mask);
  if (auto_eoi_) {
    if (rotate_in_auto_eoi_) lowest_priority_ = static_cast<std::uint8_t>(*line);
  } else {
    isr_ |= mask;
  }
  return static_cast<std::uint8_t>(vector_base_ | *line);
}

void Pic::digest(Digest& into) const {
  into.add(irr_ | std::uint64_t{isr_} << 8 | std::uint64_t{imr_} << 16 |
           std::uint64_t{lines_} << 24 | std::uint64_t{vector_base_} << 32 |
           std::uint64_t{level_triggered_} << 40 | std::uint64_t{lowest_priority_} << 48 |
           static_cast<std::uint64_t>(expect_) << 56);
  into.add(std::uint64_t{single_} | std::uint64_t{wants_icw4_} << 1 |
           std::uint64_t{auto_eoi_} << 2 | std::uint64_t{rotate_in_auto_eoi_} << 3 |
           std::uint64_t{special_fully_nested_} << 4 | std::uint64_t{reads_isr_} << 5 |
           std::uint64_t{initialised_} << 6);
}

void PicPair::set_line(unsigned irq, bool level) {
  if (irq >= 16 || irq == kCascade) return;
  if (irq < 8) {
    master_.set_line(irq, level);
  } else {
    slave_.set_line(irq - 8, level);
  }
}

bool PicPair::output() {
  master_.set_line(kCascade, slave_.output());
  return master_.output();
}

std::uint8_t PicPair::acknowledge() {
  (void)output();
  const bool from_slave = master_.highest() == kCascade;
  const std::uint8_t vector = master_.acknowledge();
  if (!from_slave) return vector;
  const std::uint8_t slave_vector = slave_.acknowledge();
  master_.set_line(kCascade, false);
  return slave_vector;
}

void PicPair::reset() {
  master_.reset();
  slave_.reset();
}

void PicPair::digest(Digest& into) const {
  master_.digest(into);
  slave_.digest(into);
}

IoResult<std::uint64_t> PicEdgeLevelControl::read(const retrap::Access& access) {
  if (access.width != Width::Byte) return tl::unexpected(IoError::BadWidth);
  return chip(access.offset).level_triggered();
}

IoResult<> PicEdgeLevelControl::write(const retrap::Access& access, std::uint64_t value) {
  if (access.width != Width::Byte) return tl::unexpected(IoError::BadWidth);
  // IRQ 0, 1, 2, 8 and 13 are wired for edges.
  const std::uint8_t writable = access.offset == 0 ? 0xf8 : 0xde;
  chip(access.offset).set_level_triggered(static_cast<std::uint8_t>(value) & writable);
  return {};
}

}  // namespace retrap::x86_64
