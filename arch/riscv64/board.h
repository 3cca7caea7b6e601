// The riscv64 machine: harts, PLIC, devices, firmware, and how an image boots on it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "arch/riscv64/cpu.h"
#include "arch/riscv64/plic.h"
#include "arch/riscv64/sbi.h"
#include "arch/riscv64/vcpu.h"
#include "vmm/architecture.h"
#include "vmm/devices/ns16550.h"
#include "vmm/devices/test_finisher.h"

namespace retrap::riscv64 {

/// What a guest can see of the board and its CPUs, as a number: one more with every change after
/// which a recorded run replays as another one. Traces have it.
inline constexpr std::uint64_t kBoardRevision = 1;

/// Where things are, as on QEMU's "virt" machine.
namespace memory_map {
inline constexpr std::uint64_t kFinisher = 0x10'0000;
inline constexpr std::uint64_t kRtc = 0x10'1000;
/// Not QEMU's 11: embedders have their devices there.
inline constexpr std::uint32_t kRtcSource = 13;
inline constexpr std::uint64_t kPlic = 0x0c00'0000;
inline constexpr std::uint64_t kUart = 0x1000'0000;
inline constexpr std::uint64_t kUartSize = 0x100;
inline constexpr std::uint32_t kUartSource = 10;
/// Not where QEMU has virtio devices: a host's are passed through to there.
inline constexpr std::uint64_t kEntropy = 0x1000'9000;
inline constexpr std::uint32_t kEntropySource = 12;
inline constexpr std::uint64_t kRam = 0x8000'0000;
/// Raw images, and kernels that do not say otherwise: RAM below is the firmware's by custom.
inline constexpr std::uint64_t kKernel = 0x8020'0000;
}  // namespace memory_map

/// Entered in S-mode with satp 0, a0 = hart id and a1 = the device tree.
class RiscvBoard final : public Board, SbiHarts {
 public:
  /// Plugs the devices into the buses of `parts`, which outlive the board.
  [[nodiscard]] static Result<std::unique_ptr<Board>> make(const VmConfig& config, VmParts parts,
                                                           Hardware& hardware);

  [[nodiscard]] ArchVcpu& vcpu(VcpuId id) override { return *vcpus_[index(id)]; }
  [[nodiscard]] InterruptController& interrupts() override { return interrupts_; }
  [[nodiscard]] Result<> load(const Images& images) override;
  [[nodiscard]] bool receive(char byte) override;
  void reset() override;
  void digest(Digest& into) const override;

 private:
  /// The inputs of the PLIC, and 1/5/9 at a vCPU.
  class Interrupts final : public InterruptController, public LineSink {
   public:
    explicit Interrupts(RiscvBoard& board) : board_(board) {}
    // Of the PLIC, which drives no lines by itself.
    void on_cpu_line(VcpuId, std::uint32_t, bool) override {}
    void on_device_line(std::uint32_t, bool) override {}
    void on_delivery(VcpuId vcpu, std::uint64_t vector) override { tell_delivery(vcpu, vector); }
    void set_line(std::uint32_t line, bool level) override;
    void pulse(std::uint32_t line) override;
    [[nodiscard]] bool has_line(std::uint32_t line) const override;
    [[nodiscard]] Result<> inject(VcpuId vcpu, std::uint64_t vector) override;

   private:
    RiscvBoard& board_;
  };

  RiscvBoard(VmConfig config, VmParts parts, std::unique_ptr<CpuSet> cpus);
  [[nodiscard]] Result<> plug_devices();

  // SbiHarts.
  [[nodiscard]] unsigned count() const override { return static_cast<unsigned>(vcpus_.size()); }
  [[nodiscard]] std::uint64_t id(unsigned hart) const override {
    return phys_cpu_id_of(config_, hart);
  }
  [[nodiscard]] HartState state(unsigned hart) const override { return vcpus_[hart]->state(); }
  void set_state(unsigned hart, HartState state) override { vcpus_[hart]->set_state(state); }
  void set_timer(unsigned hart, std::uint64_t ticks) override { vcpus_[hart]->set_timer(ticks); }
  void set_software_interrupt(unsigned hart, bool pending) override {
    vcpus_[hart]->set_software_interrupt(pending);
  }
  void fence(unsigned hart) override { vcpus_[hart]->fence(); }
  [[nodiscard]] std::optional<std::uint64_t> load(unsigned hart, std::uint64_t va) override {
    return vcpus_[hart]->load(va);
  }

  VmConfig config_;
  VmParts parts_;
  std::unique_ptr<CpuSet> cpus_;
  // Owned by the bus, which outlives the board.
  Plic* plic_ = nullptr;
  Ns16550* uart_ = nullptr;
  TestFinisher* finisher_ = nullptr;
  Sbi sbi_;
  Interrupts interrupts_{*this};
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

}  // namespace retrap::riscv64
