// How a PC's interrupt lines reach the CPUs: 8259A pair and IO-APIC side by side, local APICs
// above.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/local_apics.h"
#include "arch/x86_64/pic.h"
#include "vmm/interrupt_controller.h"

namespace retrap::x86_64 {

/// What an NMI has in the place of a vector.
inline constexpr std::uint64_t kNmiVector = 2;

/// Lines are global system interrupts, with the ISA numbering below 16: line 0 is IRQ 0, which the
/// IO-APIC has on pin 2 (the MADT says so); line 2 is the cascade, which nobody can use.
class Interrupts final : public InterruptController {
 public:
  /// The APIC ids of the CPUs, as LocalApics takes them.
  explicit Interrupts(const std::vector<std::uint64_t>& apic_ids);
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  void set_line(std::uint32_t line, bool level) override;
  void pulse(std::uint32_t line) override;
  [[nodiscard]] bool has_line(std::uint32_t line) const override;
  /// Vectors 16 to 255, and 2 for NMI. Where the local APIC is off, the vector arrives as from an
  /// 8259A: whatever the priorities, without an EOI.
  [[nodiscard]] Result<> inject(VcpuId vcpu, std::uint64_t vector) override;

  /// Whether an interrupt waits for `cpu`, RFLAGS.IF aside.
  [[nodiscard]] bool pending(std::uint32_t cpu);
  /// Takes the interrupt that is delivered next. Nothing where none is pending.
  [[nodiscard]] std::optional<std::uint8_t> acknowledge(std::uint32_t cpu);

  [[nodiscard]] PicPair& pics() { return pics_; }
  [[nodiscard]] LocalApics& apics() { return apics_; }
  [[nodiscard]] IoApic& ioapic() { return ioapic_; }

  void reset();

 private:
  [[nodiscard]] bool ext_int_pending(std::uint32_t cpu);

  PicPair pics_;
  LocalApics apics_;
  IoApic ioapic_;
};

}  // namespace retrap::x86_64
