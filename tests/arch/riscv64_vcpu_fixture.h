// One vCPU on a scripted hart, for tests of its exits.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "arch/riscv64/vcpu.h"
#include "tests/arch/riscv64_fake.h"

namespace retrap::riscv64::test {

inline constexpr std::uint64_t kPc = 0x8000'1000;
inline constexpr std::uint64_t kVector = 0x8000'4000;

inline std::uint64_t code(Cause cause) {
  return static_cast<std::uint64_t>(cause);
}

/// One vCPU on a scripted hart; a board has the rest.
class AVcpu : public ::testing::Test {
 public:
  AVcpu() {
    auto board = RiscvBoard::make(config(),
                                  {.clock = host_.clock,
                                   .memory = host_.space,
                                   .mmio = mmio_,
                                   .ports = ports_,
                                   .sysregs = sysregs_,
                                   .console = host_.console,
                                   .dma = host_.dma},
                                  hardware_);
    board_ = std::move(*board);
    cpu_ = hardware_.made->cpus[0].get();
    cpu_->clock = &host_.clock;
    cpu_->csrs[Csr::Vstvec] = kVector;
  }

  static VmConfig config() {
    VmConfig out;
    out.cpu_num = 2;
    out.arch = ArchId::Riscv64;
    return out;
  }

  Vcpu& vcpu() { return dynamic_cast<Vcpu&>(board_->vcpu(VcpuId{0})); }

  ExitReason exits_with(RawExit exit) {
    exit.sepc = kPc;
    cpu_->script.push_back(exit);
    return vcpu().run();
  }
  ExitReason ecall(std::uint64_t extension, std::uint64_t function,
                   std::array<std::uint64_t, 6> args = {}) {
    std::copy(args.begin(), args.end(), cpu_->xs.begin() + 10);
    cpu_->xs[16] = function;
    cpu_->xs[17] = extension;
    return exits_with({.scause = code(Cause::EcallFromVs)});
  }
  ExitReason refused(std::uint32_t instruction, Privilege privilege = Privilege::Supervisor) {
    cpu_->mode = privilege;
    return exits_with(
        {.scause = code(Cause::VirtualInstruction), .stval = instruction, .privilege = privilege});
  }
  ExitReason load_fault(std::uint64_t gpa, std::uint32_t htinst, std::uint64_t stval) {
    return exits_with({.scause = code(Cause::LoadGuestPageFault),
                       .stval = stval,
                       .htval = gpa >> 2,
                       .htinst = htinst});
  }
  ExitReason store_fault(std::uint64_t gpa, std::uint32_t htinst, std::uint64_t stval) {
    return exits_with({.scause = code(Cause::StoreGuestPageFault),
                       .stval = stval,
                       .htval = gpa >> 2,
                       .htinst = htinst});
  }
  void expect_trapped(Cause cause, std::uint64_t value) {
    EXPECT_EQ(cpu_->pc_value, kVector);
    EXPECT_EQ(cpu_->csrs[Csr::Vscause], code(cause));
    EXPECT_EQ(cpu_->csrs[Csr::Vstval], value);
    EXPECT_EQ(cpu_->csrs[Csr::Vsepc], kPc);
    EXPECT_EQ(cpu_->mode, Privilege::Supervisor);
  }

  Host host_;
  Bus mmio_{"mmio", host_.clock};
  Bus ports_{"port", host_.clock};
  Bus sysregs_{"sysreg", host_.clock, Bus::Unit::Register};
  FakeHardware hardware_;
  std::unique_ptr<Board> board_;
  FakeCpu* cpu_ = nullptr;
};

}  // namespace retrap::riscv64::test
