// The platform-level interrupt controller.
//
// RISC-V Platform-Level Interrupt Controller Specification, version 1.0.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/device.h"
#include "vmm/interrupt_controller.h"

namespace retrap::riscv64 {

/// A PLIC with one context for each hart: its S-mode. 32-bit registers; whatever is not there reads
/// zero, ignores writes and is counted by the bus.
///
/// Invariant: outputs_[context] says whether a source or an injection interrupts that context.
class Plic final : public Device, public InterruptController {
 public:
  static constexpr std::uint64_t kSize = 0x400'0000;
  static constexpr std::uint32_t kSources = 64;  ///< 1 to 63; there is no source 0
  static constexpr std::uint32_t kMaxPriority = 7;

  explicit Plic(unsigned contexts);

  /// The external interrupt of a hart. Requires context < contexts.
  [[nodiscard]] bool output(unsigned context) const { return outputs_[context] != 0; }

  /// A source whose gateway takes rising edges; the rest take levels.
  void make_edge_triggered(std::uint32_t source);
  /// Makes the external interrupt of a hart pending without a source, until its next claim.
  void inject_external(unsigned context);

  [[nodiscard]] std::string_view name() const override { return "plic"; }
  [[nodiscard]] std::uint64_t size() const override { return kSize; }
  [[nodiscard]] IoResult<std::uint64_t> read(const Access& access) override;
  [[nodiscard]] IoResult<> write(const Access& access, std::uint64_t value) override;
  void reset() override;
  void digest(Digest& into) const override;

  void set_line(std::uint32_t line, bool level) override;
  void pulse(std::uint32_t line) override;
  [[nodiscard]] bool has_line(std::uint32_t line) const override {
    return line != 0 && line < kSources;
  }
  /// Only kSupervisorExternal is the PLIC's: 9, with or without the interrupt bit of scause.
  [[nodiscard]] Result<> inject(VcpuId vcpu, std::uint64_t vector) override;

 private:
  static constexpr std::uint32_t kWords = kSources / 32;

  struct Source {
    std::uint8_t priority = 0;
    bool level = false;    ///< of the wire
    bool edge = false;     ///< how the gateway is built; survives reset
    bool latched = false;  ///< an edge that came while the source was in service
    bool pending = false;
    bool in_service = false;  ///< claimed and not yet completed
  };
  struct Context {
    std::array<std::uint32_t, kWords> enable{};
    std::uint32_t threshold = 0;
    bool injected = false;
  };
  /// What an offset names.
  struct Place;

  [[nodiscard]] static std::optional<Place> find(std::uint64_t offset, std::size_t contexts);
  [[nodiscard]] bool is_enabled(const Context& context, std::uint32_t source) const {
    return ((context.enable[source / 32] >> (source % 32)) & 1) != 0;
  }
  [[nodiscard]] std::uint32_t pending_word(std::uint32_t word) const;
  [[nodiscard]] std::uint32_t best_source(const Context& context) const;
  [[nodiscard]] std::uint32_t claim(std::uint32_t number);
  void complete(const Context& context, std::uint64_t source);
  void update();

  std::array<Source, kSources> sources_{};
  std::vector<Context> contexts_;
  std::vector<std::uint8_t> outputs_;
};

}  // namespace retrap::riscv64
