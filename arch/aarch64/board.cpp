// Plugs the parts of the board together.
#include "arch/aarch64/board.h"

#include "arch/aarch64/boot.h"
#include "vmm/devices/pl031.h"
#include "vmm/devices/virtio_entropy.h"

namespace retrap::aarch64 {
namespace {

std::vector<std::unique_ptr<GenericTimer>> make_timers(Clock& clock, Gicv3& gic,
                                                       std::uint32_t count) {
  std::vector<std::unique_ptr<GenericTimer>> timers;
  timers.reserve(count);
  for (std::uint32_t cpu = 0; cpu < count; ++cpu) {
    timers.push_back(std::make_unique<GenericTimer>(clock, gic, cpu));
  }
  return timers;
}

}  // namespace

MemoryMap memory_map_of(const VmConfig& config) {
  MemoryMap map;
  if (!config.memory_regions.empty()) map.ram = config.memory_regions.front().gpa;
  for (const EmuDeviceConfig& device : config.emu_devices) {
    switch (device.emu_type) {
      case EmuDeviceType::Console:
        map.uart = device.base_gpa;
        if (device.irq_id != 0) map.uart_intid = device.irq_id;
        break;
      case EmuDeviceType::InterruptController:
      case EmuDeviceType::GpptDistributor:     map.distributor = device.base_gpa; break;
      case EmuDeviceType::GpptRedistributor:   map.redistributors = device.base_gpa; break;
      default:                                 break;
    }
  }
  return map;
}

Result<std::unique_ptr<Aarch64Board>> Aarch64Board::make(const VmConfig& config, VmParts parts,
                                                         Hardware& hardware) {
  std::unique_ptr<Aarch64Board> board(new Aarch64Board(config, parts));
  RETRAP_TRY(board->build(hardware));
  return board;
}

Aarch64Board::Aarch64Board(const VmConfig& config, VmParts parts)
    : config_(config),
      parts_(parts),
      map_(memory_map_of(config)),
      gic_(phys_cpu_ids_of(config)),
      power_(phys_cpu_ids_of(config)),
      timers_(make_timers(parts.clock, gic_, config.cpu_num)),
      sysregs_(gic_, timers_),
      uart_(parts.console) {}

Result<> Aarch64Board::build(Hardware& hardware) {
  const std::vector<std::uint64_t> affinities = phys_cpu_ids_of(config_);
  std::vector<CpuSetup> setups;
  for (std::uint32_t cpu = 0; cpu < config_.cpu_num; ++cpu) {
    constexpr std::uint64_t kRes1 = bit(31);
    setups.push_back({.mpidr = kRes1 | affinities[cpu], .timer = timers_[cpu].get()});
  }
  RETRAP_TRY(cpus_, hardware.create(setups, parts_.memory));
  for (std::uint32_t cpu = 0; cpu < config_.cpu_num; ++cpu) {
    gic_.connect(cpu, cpus_->cpu(cpu));
    vcpus_.push_back(std::make_unique<Aarch64Vcpu>(
        cpus_->cpu(cpu), cpu,
        VcpuParts{.clock = parts_.clock, .gic = gic_, .power = power_, .finisher = finisher_}));
  }
  RETRAP_TRY(parts_.mmio.add(map_.distributor, gic_.distributor()));
  RETRAP_TRY(parts_.mmio.add(map_.redistributors, gic_.redistributors()));
  RETRAP_TRY(parts_.mmio.add(map_.uart, uart_, device_line(config_, map_.uart_intid), &gic_));
  RETRAP_TRY(parts_.mmio.add(map_.rtc, std::make_unique<Pl031>(),
                             device_line(config_, map_.rtc_intid), &gic_));
  RETRAP_TRY(parts_.mmio.add(map_.finisher, finisher_));
  auto entropy = virtio::make_entropy_device(parts_.seed, parts_.dma);
  RETRAP_TRY(parts_.mmio.add(map_.entropy, std::move(entropy),
                             device_line(config_, map_.entropy_intid), &gic_));
  return sysregs_.attach(parts_.sysregs);
}

Result<> Aarch64Board::load(const Images& images) {
  RETRAP_TRY(const BootState boot, load_images_into(config_, map_, images, parts_.memory));
  Aarch64Vcpu& first = *vcpus_[index(kBootVcpu)];
  first.reset();
  first.set_entry(boot.entry, boot.device_tree.raw());
  return {};
}

bool Aarch64Board::receive(char byte) {
  const bool taken = uart_.receive(static_cast<std::uint8_t>(byte));
  parts_.mmio.sample(uart_);
  return taken;
}

void Aarch64Board::reset() {
  gic_.reset();
  for (const auto& timer : timers_) timer->reset();
  sysregs_.reset();
  for (const auto& vcpu : vcpus_) vcpu->reset();
}

void Aarch64Board::digest(Digest& into) const {
  for (const auto& timer : timers_) timer->digest(into);
  sysregs_.digest(into);
}

}  // namespace retrap::aarch64
