// The GICv3 as its registers show it: distributor, redistributors, CPU interface.
//
// Arm IHI 0069H, chapter 12. No LPIs, no ITS, one security state (GICD_CTLR.DS = 1).
#pragma once

#include <optional>
#include <vector>

#include "arch/aarch64/cpu.h"
#include "arch/aarch64/gicv3_state.h"
#include "vmm/device.h"
#include "vmm/interrupt_controller.h"

namespace retrap::aarch64 {

class Gicv3 final : public InterruptController {
 public:
  static constexpr std::uint64_t kDistributorBytes = 0x1'0000;
  static constexpr std::uint64_t kRedistributorBytes = 0x2'0000;  ///< of each vCPU

  /// One CPU interface for each MPIDR affinity.
  explicit Gicv3(std::vector<std::uint64_t> affinities);

  /// The CPU whose interrupt input the CPU interface `cpu` drives; outlives this.
  void connect(std::uint32_t cpu, Cpu& input) { inputs_[cpu] = &input; }

  [[nodiscard]] Device& distributor() { return distributor_; }
  [[nodiscard]] Device& redistributors() { return redistributors_; }

  // Inputs. SPIs are lines 32-255.
  void set_line(std::uint32_t line, bool level) override;
  void pulse(std::uint32_t line) override;
  [[nodiscard]] bool has_line(std::uint32_t line) const override {
    return line >= kPrivateInterrupts && line < kInterrupts;
  }
  /// A PPI.
  void set_cpu_line(VcpuId vcpu, std::uint32_t intid, bool level) override;
  [[nodiscard]] Result<> inject(VcpuId vcpu, std::uint64_t vector) override;

  /// Whether the CPU interface signals an interrupt.
  [[nodiscard]] bool signals(std::uint32_t cpu) const { return state_.signal(cpu) != kSpurious; }

  // ICC_*_EL1: the caller has checked that the register exists and goes in this direction.
  [[nodiscard]] std::uint64_t read_interface(std::uint32_t cpu, SysReg reg);
  void write_interface(std::uint32_t cpu, SysReg reg, std::uint64_t value);

  void reset();
  void digest(Digest& into) const { state_.digest(into); }

 private:
  class Distributor final : public Device {
   public:
    explicit Distributor(Gicv3& gic) : gic_(gic) {}
    std::string_view name() const override { return "gicv3 distributor"; }
    std::uint64_t size() const override { return kDistributorBytes; }
    IoResult<std::uint64_t> read(const Access& access) override;
    IoResult<> write(const Access& access, std::uint64_t value) override;
    void reset() override { gic_.reset(); }
    void digest(Digest& into) const override { gic_.digest(into); }

   private:
    Gicv3& gic_;
  };
  class Redistributors final : public Device {
   public:
    explicit Redistributors(Gicv3& gic) : gic_(gic) {}
    std::string_view name() const override { return "gicv3 redistributors"; }
    std::uint64_t size() const override { return kRedistributorBytes * gic_.state_.cpus(); }
    IoResult<std::uint64_t> read(const Access& access) override;
    IoResult<> write(const Access& access, std::uint64_t value) override;
    void reset() override {}
    void digest(Digest&) const override {}

   private:
    Gicv3& gic_;
  };

  // gicv3_registers.cpp
  using MaybeValue = std::optional<std::uint64_t>;  ///< a write has one
  IoResult<std::uint64_t> access_distributor(std::uint64_t offset, Width width, MaybeValue value);
  IoResult<std::uint64_t> access_redistributor(std::uint32_t cpu, std::uint64_t offset, Width width,
                                               MaybeValue value);
  IoResult<std::uint64_t> access_control(std::uint32_t cpu, std::uint64_t offset, Width width,
                                         MaybeValue value);
  /// Registers of 32 interrupts each, at the same offsets in both: 0x080-0xcff.
  IoResult<std::uint64_t> access_interrupts(std::uint32_t cpu, std::uint64_t offset, Width width,
                                            MaybeValue value, std::uint32_t first_word,
                                            std::uint32_t words);
  IoResult<std::uint64_t> access_bits(InterruptBank& bank, std::uint64_t offset, Width width,
                                      MaybeValue value);
  IoResult<std::uint64_t> access_route(std::uint64_t offset, Width width, MaybeValue value);
  [[nodiscard]] InterruptBank& bank_of(std::uint32_t cpu, std::uint64_t word) {
    return state_.bank(cpu, static_cast<std::uint32_t>(word));
  }
  void update();

  GicState state_;
  std::vector<Cpu*> inputs_;  ///< null until connected
  Distributor distributor_{*this};
  Redistributors redistributors_{*this};
};

}  // namespace retrap::aarch64
