// A PC as far as an unmodified Linux needs one.
#pragma once

#include <memory>
#include <vector>

#include "arch/x86_64/cmos.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/interrupts.h"
#include "arch/x86_64/pit.h"
#include "arch/x86_64/power.h"
#include "arch/x86_64/vcpu.h"
#include "vmm/architecture.h"
#include "vmm/devices/ns16550.h"

namespace retrap::x86_64 {

/// What a guest can see of the board and its CPUs, as a number: one more with every change after
/// which a recorded run replays as another one. Traces have it.
inline constexpr std::uint64_t kBoardRevision = 1;

/// Port map: 0x20 0xa0 8259A, 0x40 8254, 0x61, 0x64, 0x70 RTC, 0xe9 debug, 0xf4 exit, 0x3f8 COM1
/// (line 4), 0x4d0 ELCR, 0x600 ACPI PM1a, 0xcf9 reset. Memory: entropy 0xfeb00000 (line 20),
/// IO-APIC 0xfec00000, local APICs 0xfee00000.
class PcBoard final : public Board {
 public:
  static constexpr std::uint16_t kCom1 = 0x3f8;
  static constexpr std::uint32_t kTimerLine = 0;
  static constexpr std::uint32_t kCom1Line = 4;
  static constexpr std::uint32_t kRtcLine = 8;
  static constexpr std::uint64_t kEntropy = 0xfeb0'0000;
  static constexpr std::uint32_t kEntropyLine = 20;

  [[nodiscard]] static Result<std::unique_ptr<Board>> make(const VmConfig& config, VmParts parts,
                                                           Hardware& hardware);

  [[nodiscard]] ArchVcpu& vcpu(VcpuId id) override { return *vcpus_[index(id)]; }
  [[nodiscard]] InterruptController& interrupts() override { return interrupts_; }
  [[nodiscard]] Result<> load(const Images& images) override;
  [[nodiscard]] bool receive(char byte) override;
  void reset() override;
  /// Everything of the board is on a bus, which adds it.
  void digest(Digest& into) const override { (void)into; }

 private:
  PcBoard(const VmConfig& config, VmParts parts, std::unique_ptr<CpuSet> cpus);
  [[nodiscard]] Result<> plug_ports();
  [[nodiscard]] Result<> plug_memory();

  VmConfig config_;
  VmParts parts_;
  SystemRequests requests_;
  Interrupts interrupts_;
  Pit pit_;
  SystemControlPort system_control_{pit_};
  PicEdgeLevelControl edge_level_{interrupts_.pics()};
  Cmos cmos_;
  Ns16550 com1_;
  AcpiPowerManagement power_{requests_};
  ResetControl reset_control_{requests_};
  KeyboardController keyboard_{requests_};
  ExitPort exit_port_{requests_};
  DebugPort debug_port_;
  std::unique_ptr<CpuSet> cpus_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

}  // namespace retrap::x86_64
