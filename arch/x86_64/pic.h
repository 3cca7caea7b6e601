// The two cascaded 8259A interrupt controllers of a PC.
//
// Intel 8259A data sheet (231468), "Programming the 8259A".
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "vmm/device.h"

namespace retrap::x86_64 {

/// One 8259A: ports 0 (ICW1, OCW2, OCW3; reads IRR or ISR) and 1 (ICW2-4, OCW1; reads IMR).
///
/// Not modelled: the special mask and the poll mode, and 8080 mode (which no PC has).
class Pic final : public Device {
 public:
  /// `master` has the other chip on its input 2.
  explicit Pic(bool master) : master_(master) {}

  [[nodiscard]] std::string_view name() const override { return master_ ? "pic1" : "pic2"; }
  [[nodiscard]] std::uint64_t size() const override { return 2; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override { *this = Pic(master_); }
  void digest(Digest& into) const override;

  /// Sets the level of input `line` (0-7). Rising edges are latched in the IRR; a level that falls
  /// before it is acknowledged takes its request away.
  void set_line(unsigned line, bool level);

  /// The level of INT: whether an unmasked request has priority over what is in service.
  [[nodiscard]] bool output() const { return highest().has_value(); }

  /// INTA: the vector; 7 (spurious) where the request has gone.
  [[nodiscard]] std::uint8_t acknowledge();

  /// The input that an INTA would take now.
  [[nodiscard]] std::optional<unsigned> highest() const;

  /// The edge/level control register: which inputs are level triggered.
  void set_level_triggered(std::uint8_t mask) { level_triggered_ = mask; }
  [[nodiscard]] std::uint8_t level_triggered() const { return level_triggered_; }

 private:
  enum class Expect : std::uint8_t { Ocw1, Icw2, Icw3, Icw4 };

  void write_command(std::uint8_t value);
  void write_data(std::uint8_t value);
  void start_initialisation(std::uint8_t icw1);
  void end_of_interrupt(std::uint8_t ocw2);
  [[nodiscard]] std::optional<unsigned> first_in_service() const;

  bool master_;
  std::uint8_t irr_ = 0;
  std::uint8_t isr_ = 0;
  std::uint8_t imr_ = 0;
  std::uint8_t lines_ = 0;
  std::uint8_t vector_base_ = 0;
  std::uint8_t level_triggered_ = 0;
  std::uint8_t lowest_priority_ = 7;
  Expect expect_ = Expect::Ocw1;
  bool single_ = false;
  bool wants_icw4_ = false;
  bool auto_eoi_ = false;
  bool rotate_in_auto_eoi_ = false;
  bool special_fully_nested_ = false;
  bool reads_isr_ = false;
  bool initialised_ = false;  ///< an 8259A does nothing before ICW1
};

/// Master, slave and the wire between them.
class PicPair {
 public:
  [[nodiscard]] Pic& master() { return master_; }
  [[nodiscard]] Pic& slave() { return slave_; }

  /// `irq` is 0-15; 2 is the cascade and ignored.
  void set_line(unsigned irq, bool level);
  /// The INTR wire to the local APIC's LINT0.
  [[nodiscard]] bool output();
  /// The vector of the interrupt that is acknowledged.
  [[nodiscard]] std::uint8_t acknowledge();
  void reset();
  void digest(Digest& into) const;

 private:
  static constexpr unsigned kCascade = 2;

  Pic master_{true};
  Pic slave_{false};
};

/// The edge/level control registers at ports 0x4d0 and 0x4d1 (Intel PIIX4, 4.2.5).
class PicEdgeLevelControl final : public Device {
 public:
  explicit PicEdgeLevelControl(PicPair& pics) : pics_(pics) {}

  [[nodiscard]] std::string_view name() const override { return "elcr"; }
  [[nodiscard]] std::uint64_t size() const override { return 2; }
  [[nodiscard]] IoResult<std::uint64_t> read(const retrap::Access& access) override;
  [[nodiscard]] IoResult<> write(const retrap::Access& access, std::uint64_t value) override;
  void reset() override {}
  void digest(Digest& into) const override { (void)into; }

 private:
  [[nodiscard]] Pic& chip(std::uint64_t offset) {
    return offset == 0 ? pics_.master() : pics_.slave();
  }
  PicPair& pics_;
};

}  // namespace retrap::x86_64
