// Wiring of the PC.
#include "arch/x86_64/board.h"

#include "arch/x86_64/boot.h"
#include "vmm/devices/virtio_entropy.h"

namespace retrap::x86_64 {

PcBoard::PcBoard(const VmConfig& config, VmParts parts, std::unique_ptr<CpuSet> cpus)
    : config_(config),
      parts_(parts),
      interrupts_(phys_cpu_ids_of(config)),
      com1_(parts.console, {.out2_gates_interrupt = true}),
      debug_port_(parts.console),
      cpus_(std::move(cpus)) {
  for (std::uint32_t id = 0; id < config.cpu_num; ++id) {
    vcpus_.push_back(std::make_unique<Vcpu>(VcpuId{id}, VcpuParts{.cpu = cpus_->cpu(id),
                                                                  .clock = parts.clock,
                                                                  .memory = parts.memory,
                                                                  .mmio = parts.mmio,
                                                                  .sysregs = parts.sysregs,
                                                                  .interrupts = interrupts_,
                                                                  .requests = requests_}));
  }
}

Result<std::unique_ptr<Board>> PcBoard::make(const VmConfig& config, VmParts parts,
                                             Hardware& hardware) {
  RETRAP_TRY(auto cpus, hardware.create(config.cpu_num, parts.memory));
  // Not make_unique: the constructor is private.
  std::unique_ptr<PcBoard> board(new PcBoard(config, parts, std::move(cpus)));
  RETRAP_TRY(board->plug_ports());
  RETRAP_TRY(board->plug_memory());
  return board;
}

Result<> PcBoard::plug_ports() {
  struct Plug {
    std::uint16_t port;
    Device& device;
    std::uint32_t line = Bus::kNoLine;
  };
  const std::array plugs = {
      Plug{0x20, interrupts_.pics().master()},
      Plug{0x40, pit_, kTimerLine},
      Plug{0x61, system_control_},
      Plug{0x64, keyboard_},
      Plug{0x70, cmos_, kRtcLine},
      Plug{0xa0, interrupts_.pics().slave()},
      Plug{0xe9, debug_port_},
      Plug{0xf4, exit_port_},
      Plug{kCom1, com1_, kCom1Line},
      Plug{0x4d0, edge_level_},
      Plug{AcpiPowerManagement::kEventBlock, power_},
      Plug{0xcf9, reset_control_},
  };
  for (const Plug& plug : plugs) {
    RETRAP_TRY(
        parts_.ports.add(plug.port, plug.device, device_line(config_, plug.line), &interrupts_));
  }
  return {};
}

Result<> PcBoard::plug_memory() {
  auto entropy = virtio::make_entropy_device(parts_.seed, parts_.dma);
  RETRAP_TRY(parts_.mmio.add(kEntropy, std::move(entropy), device_line(config_, kEntropyLine),
                             &interrupts_));
  RETRAP_TRY(parts_.mmio.add(IoApic::kBaseAddress, interrupts_.ioapic()));
  return parts_.mmio.add(apic::kBaseAddress, interrupts_.apics());
}

Result<> PcBoard::load(const Images& images) {
  RETRAP_TRY(const BootLoader::Start start, BootLoader(config_, parts_.memory).load(images));
  Vcpu& boot = *vcpus_.front();
  if (start.real_mode) {
    boot.set_entry(start.entry, 0);
  } else {
    boot.set_state(start.state);
  }
  return {};
}

bool PcBoard::receive(char byte) {
  const bool taken = com1_.receive(static_cast<std::uint8_t>(byte));
  parts_.ports.sample(com1_);
  return taken;
}

void PcBoard::reset() {
  requests_.reset();
  interrupts_.reset();
  for (const auto& vcpu : vcpus_) vcpu->reset();
}

}  // namespace retrap::x86_64
