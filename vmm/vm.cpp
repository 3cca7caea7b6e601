// A virtual machine: how it is built from a configuration, and its life cycle.
#include "vmm/vm.h"

#include <utility>

#include "vmm/base/check.h"
#include "vmm/vm_memory.h"

namespace retrap {
namespace {

/// Everything that is wrong, and one Error for it: nothing is allocated before this.
Result<> check(const VmConfig& config, const Architecture* architecture) {
  std::vector<std::string> problems = problems_of(config);
  if (architecture != nullptr) architecture->check(config, problems);
  if (!problems.empty()) {
    return tl::unexpected(
        Error{ErrorCode::InvalidInput, fmt::format("{}", fmt::join(problems, "\n"))});
  }
  if (architecture == nullptr) {
    return fail(ErrorCode::Unsupported, "the host has no virtualization hardware for {}",
                to_string(config.arch));
  }
  return {};
}

}  // namespace

std::string_view to_string(VmState state) {
  switch (state) {
    case VmState::Ready:   return "Ready";
    case VmState::Running: return "Running";
    case VmState::Stopped: return "Stopped";
  }
  return "?";
}

Vm::Vm(VmConfig config, Hal& hal, AddressSpace memory)
    : config_(std::move(config)),
      clock_(hal.clock()),
      memory_(std::move(memory)),
      mmio_("mmio", hal.clock()),
      ports_("port", hal.clock()),
      sysregs_("sysreg", hal.clock(), Bus::Unit::Register) {}

Vm::~Vm() = default;

Result<std::unique_ptr<Vm>> Vm::create(VmConfig config, Hal& hal, ConsoleSink& console) {
  Architecture* architecture = hal.architecture(config.arch);
  RETRAP_TRY(check(config, architecture));
  RETRAP_TRY(AddressSpace memory,
             AddressSpace::make(architecture->page_table_format(), hal.frames(), VmId{config.id}));
  // Not make_unique: the constructor is private.
  std::unique_ptr<Vm> vm(new Vm(std::move(config), hal, std::move(memory)));
  RETRAP_TRY(map_configured_memory(vm->config_, vm->memory_));
  RETRAP_TRY(vm->plug_board(*architecture, console));
  return vm;
}

Result<> Vm::plug_board(Architecture& architecture, ConsoleSink& console) {
  RETRAP_TRY(board_, architecture.make_board(config_, {.clock = clock_,
                                                       .memory = memory_,
                                                       .mmio = mmio_,
                                                       .ports = ports_,
                                                       .sysregs = sysregs_,
                                                       .console = console}));
  for (const Region& region : memory_.regions()) RETRAP_TRY(check_no_device(region.range));
  vcpus_.reserve(config_.cpu_num);
  for (std::uint32_t id = 0; id < config_.cpu_num; ++id) {
    vcpus_.emplace_back(VcpuId{id}, board_->vcpu(VcpuId{id}));
    RETRAP_TRY(vcpus_.back().setup());
  }
  progress_.resize(vcpus_.size());
  return {};
}

Result<> Vm::check_no_device(GuestRange range) const {
  const Device* device = mmio_.first_in(range.base().raw(), range.size());
  if (device == nullptr) return {};
  return fail(ErrorCode::AlreadyExists, "memory at {} overlaps the device {}", range,
              device->name());
}

Result<> Vm::check_no_memory(GuestPhys base, const Device& device) const {
  const auto range = GuestRange::make(base, device.size());
  if (!range) {
    return fail(ErrorCode::InvalidInput, "{} at {} is empty or wraps", device.name(), base);
  }
  for (const Region& region : memory_.regions()) {
    if (!region.range.overlaps(*range)) continue;
    return fail(ErrorCode::AlreadyExists, "{} at {} overlaps {} at {}", device.name(), *range,
                region.name, region.range);
  }
  return {};
}

Result<> Vm::load(const Images& images) {
  if (state_ != VmState::Ready) return refuse("load images");
  return board_->load(images);
}

Result<> Vm::boot() {
  if (state_ != VmState::Ready) return refuse("boot");
  state_ = VmState::Running;
  return {};
}

Result<> Vm::shutdown() {
  if (state_ == VmState::Stopped) return refuse("shut down");
  state_ = VmState::Stopped;
  return {};
}

tl::unexpected<Error> Vm::refuse(std::string_view operation) const {
  return fail(ErrorCode::BadState, "vm {} cannot {}: it is {}", config_.id, operation,
              to_string(state_));
}

tl::unexpected<Error> Vm::no_vcpu(VcpuId id) const {
  return fail(ErrorCode::InvalidInput, "vm {} has no vcpu {}, only {}", config_.id, index(id),
              vcpus_.size());
}

Result<> Vm::map_region(GuestPhys gpa, HostPhys hpa, std::uint64_t size, MappingFlags flags) {
  if (const auto range = GuestRange::make(gpa, size)) RETRAP_TRY(check_no_device(*range));
  return memory_.map_linear(gpa, hpa, size, flags, "region");
}

Result<> Vm::unmap_region(GuestPhys gpa, std::uint64_t size) {
  return memory_.unmap(gpa, size);
}

Result<> Vm::inject_interrupt_to_vcpu(VcpuId id, std::uint64_t vector) {
  RETRAP_TRY([[maybe_unused]] Vcpu * target, vcpu(id));
  RETRAP_TRY(board_->interrupts().inject(id, vector));
  if (observer_ != nullptr) {
    observer_->on_injection(
        {.vm = this->id(), .vcpu = id, .retired = clock_.retired(), .vector = vector});
  }
  return {};
}

Result<Device*> Vm::add_mmio_device(GuestPhys base, std::unique_ptr<Device> device,
                                    std::uint32_t line) {
  RETRAP_TRY(check_no_memory(base, *device));
  return mmio_.add(base.raw(), std::move(device), line, &board_->interrupts());
}

Result<Device*> Vm::add_port_device(std::uint16_t base, std::unique_ptr<Device> device,
                                    std::uint32_t line) {
  constexpr std::uint64_t kPorts = 0x10000;
  if (device->size() > kPorts - base) {
    return fail(ErrorCode::InvalidInput, "{} at port {:#x} has {:#x} ports, which is too many",
                device->name(), base, device->size());
  }
  return ports_.add(base, std::move(device), line, &board_->interrupts());
}

Result<Device*> Vm::add_sysreg_device(std::uint64_t base, std::unique_ptr<Device> device) {
  return sysregs_.add(base, std::move(device));
}

void Vm::digest(Digest& into) const {
  into.add(static_cast<std::uint64_t>(state_));
  for (const Vcpu& vcpu : vcpus_) vcpu.arch().digest(into);
  memory_.digest(into);
  mmio_.digest(into);
  ports_.digest(into);
  sysregs_.digest(into);
  board_->digest(into);
}

}  // namespace retrap
