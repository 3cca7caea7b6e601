// The devices of the board and their wiring.
#include "arch/riscv64/board.h"

#include <utility>

#include "arch/riscv64/boot.h"
#include "arch/riscv64/device_tree.h"
#include "vmm/devices/goldfish_rtc.h"
#include "vmm/devices/virtio_entropy.h"

namespace retrap::riscv64 {

RiscvBoard::RiscvBoard(VmConfig config, VmParts parts, std::unique_ptr<CpuSet> cpus)
    : config_(std::move(config)),
      parts_(parts),
      cpus_(std::move(cpus)),
      sbi_(*this, parts.memory, parts.console) {}

Result<std::unique_ptr<Board>> RiscvBoard::make(const VmConfig& config, VmParts parts,
                                                Hardware& hardware) {
  RETRAP_TRY(auto cpus, hardware.create(config.cpu_num, parts.memory));
  // Not make_unique: the constructor is private.
  std::unique_ptr<RiscvBoard> board(new RiscvBoard(config, parts, std::move(cpus)));
  RETRAP_TRY(board->plug_devices());
  return board;
}

Result<> RiscvBoard::plug_devices() {
  auto plic = std::make_unique<Plic>(config_.cpu_num);
  plic_ = plic.get();
  plic_->set_line_sink(&interrupts_);
  RETRAP_TRY(parts_.mmio.add(memory_map::kPlic, std::move(plic)));
  auto uart =
      std::make_unique<Ns16550>(parts_.console, Ns16550Options{.size = memory_map::kUartSize});
  uart_ = uart.get();
  RETRAP_TRY(parts_.mmio.add(memory_map::kUart, std::move(uart),
                             device_line(config_, memory_map::kUartSource), &interrupts_));
  RETRAP_TRY(parts_.mmio.add(memory_map::kRtc, std::make_unique<GoldfishRtc>(),
                             device_line(config_, memory_map::kRtcSource), &interrupts_));
  auto entropy = virtio::make_entropy_device(parts_.seed, parts_.dma);
  RETRAP_TRY(parts_.mmio.add(memory_map::kEntropy, std::move(entropy),
                             device_line(config_, memory_map::kEntropySource), &interrupts_));
  auto finisher = std::make_unique<TestFinisher>();
  finisher_ = finisher.get();
  RETRAP_TRY(parts_.mmio.add(memory_map::kFinisher, std::move(finisher)));
  for (unsigned hart = 0; hart < config_.cpu_num; ++hart) {
    vcpus_.push_back(std::make_unique<Vcpu>(hart, VcpuParts{.cpu = cpus_->cpu(hart),
                                                            .clock = parts_.clock,
                                                            .memory = parts_.memory,
                                                            .sbi = sbi_,
                                                            .plic = *plic_,
                                                            .finisher = *finisher_,
                                                            .hart_id = id(hart)}));
  }
  return {};
}

Result<> RiscvBoard::load(const Images& images) {
  const auto make_tree = [&](std::optional<GuestRange> ramdisk) {
    return device_tree(config_, ramdisk);
  };
  RETRAP_TRY(const BootState state,
             load_images_for_boot(config_, images, parts_.memory, make_tree));
  vcpus_.front()->set_entry(state.entry, state.device_tree.raw());
  return {};
}

bool RiscvBoard::receive(char byte) {
  const bool taken = uart_->receive(static_cast<std::uint8_t>(byte));
  parts_.mmio.sample(*uart_);
  return taken;
}

// The bus resets the devices that are on it.
void RiscvBoard::reset() {
  for (const auto& vcpu : vcpus_) vcpu->reset();
}

// PLIC and UART are on the bus, and vCPUs digest themselves.
void RiscvBoard::digest(Digest& /*into*/) const {}

void RiscvBoard::Interrupts::set_line(std::uint32_t line, bool level) {
  board_.plic_->set_line(line, level);
}

void RiscvBoard::Interrupts::pulse(std::uint32_t line) {
  board_.plic_->pulse(line);
}

bool RiscvBoard::Interrupts::has_line(std::uint32_t line) const {
  return board_.plic_->has_line(line);
}

Result<> RiscvBoard::Interrupts::inject(VcpuId vcpu, std::uint64_t vector) {
  if (index(vcpu) >= board_.vcpus_.size()) {
    return fail(ErrorCode::InvalidInput, "there is no hart {}", index(vcpu));
  }
  Vcpu& target = *board_.vcpus_[index(vcpu)];
  switch (vector & ~kInterrupt) {
    case kSupervisorSoftware: target.set_software_interrupt(true); return {};
    case kSupervisorTimer:    target.inject_timer(); return {};
    default:                  return board_.plic_->inject(vcpu, vector);
  }
}

}  // namespace retrap::riscv64
