// A virtual machine: how it is built from a configuration, and its life cycle.
#include "vmm/vm.h"

#include <utility>

#include "vmm/base/check.h"
#include "vmm/base/prng.h"
#include "vmm/passthrough.h"
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

/// Another for every VM, and for every seed of the host.
std::uint64_t seed_of(const Hal& hal, VmId id) {
  return SplitMix64(SplitMix64(hal.seed()).next() ^ index(id)).next();
}

/// Devices of the host are known by the id of who has them.
Result<> check_id(const HostDevices* devices, VmId id) {
  if (devices == nullptr) return {};
  for (const HostDevices::Entry& entry : devices->entries()) {
    if (entry.owner != id) continue;
    return fail(ErrorCode::AlreadyExists, "there is a vm {} already, with the host device {}",
                index(id), entry.device->name());
  }
  return {};
}

}  // namespace

Vm::Vm(VmConfig config, Hal& hal, ConsoleSink& console)
    : config_(std::move(config)),
      hal_(hal),
      clock_(hal.clock()),
      console_(console),
      life_(VmId{config_.id}),
      ivc_window_(config_) {}

Vm::~Vm() {
  drop_parts();
}

// The bus that they are on goes before the host has its devices back.
void Vm::drop_parts() {
  if (!is_built()) return;
  dma_.attach(nullptr);
  parts_.reset();
  if (HostDevices* const devices = hal_.host_devices()) devices->release(id());
}

Result<std::unique_ptr<Vm>> Vm::create(VmConfig config, Hal& hal, ConsoleSink& console) {
  RETRAP_TRY(check(config, hal.architecture(config.arch)));
  // Not make_unique: the constructor is private.
  std::unique_ptr<Vm> vm(new Vm(std::move(config), hal, console));
  RETRAP_TRY(vm->build());
  return vm;
}

Result<> Vm::build() {
  Architecture* const architecture = hal_.architecture(config_.arch);
  RETRAP_CHECK(architecture != nullptr, "the architecture of a VM stays where it is");
  RETRAP_TRY(check_id(hal_.host_devices(), id()));
  RETRAP_TRY(AddressSpace memory,
             AddressSpace::make(architecture->page_table_format(), hal_.frames(), id()));
  parts_ = std::make_unique<Parts>(std::move(memory), clock_);
  dma_.attach(&parts_->memory);
  RETRAP_TRY(map_placed_memory(config_, parts_->memory));
  RETRAP_TRY(plug_board(*architecture));
  RETRAP_TRY(pass_through(config_, {.memory = parts_->memory,
                                    .mmio = parts_->mmio,
                                    .interrupts = board().interrupts(),
                                    .devices = hal_.host_devices()}));
  RETRAP_TRY(map_other_memory(config_, parts_->memory));
  for (const Region& region : parts_->memory.regions()) RETRAP_TRY(check_no_device(region.range));
  return wire_ivc_device();
}

Result<> Vm::plug_board(Architecture& architecture) {
  RETRAP_TRY(parts_->board, architecture.make_board(config_, {.clock = clock_,
                                                              .memory = parts_->memory,
                                                              .mmio = parts_->mmio,
                                                              .ports = parts_->ports,
                                                              .sysregs = parts_->sysregs,
                                                              .console = console_,
                                                              .dma = dma_,
                                                              .seed = seed_of(hal_, id())}));
  board().interrupts().set_line_sink(this);
  parts_->vcpus.reserve(config_.cpu_num);
  for (std::uint32_t id = 0; id < config_.cpu_num; ++id) {
    parts_->vcpus.emplace_back(VcpuId{id}, board().vcpu(VcpuId{id}));
    RETRAP_TRY(parts_->vcpus.back().setup());
  }
  parts_->progress.resize(vcpu_num());
  return {};
}

Result<> Vm::wire_ivc_device() {
  if (const auto& window = ivc_window_.range()) RETRAP_TRY(check_no_device(*window));
  const auto line = ivc_line_of(config_);
  if (!line) return {};
  return board().interrupts().claim_line(*line, "the ivc device");
}

std::vector<std::unique_ptr<Device>> Vm::tear_down() {
  std::vector<std::unique_ptr<Device>> devices;
  for (const Plugged& plugged : plugged_) {
    Bus& bus = (*parts_).*plugged.bus;
    // The embedder may have taken it off the bus, or put another in its place.
    const bool there = bus.first_in(plugged.base, 1) == plugged.device;
    auto device = there ? bus.remove(plugged.base) : Result<std::unique_ptr<Device>>(nullptr);
    devices.push_back(device ? std::move(*device) : nullptr);
  }
  drop_parts();
  return devices;
}

Result<> Vm::reset() {
  RETRAP_TRY(life_.reset());
  auto built = rebuild();
  if (built) return {};
  drop_parts();
  plugged_.clear();
  const auto failed = life_.end(VmEnd::Fault, built.error().message);
  RETRAP_CHECK(failed.has_value(), "a VM that is Ready can fail");
  return built;
}

Result<> Vm::rebuild() {
  std::vector<std::unique_ptr<Device>> devices;
  if (is_built()) devices = tear_down();
  const std::vector<Plugged> places = std::exchange(plugged_, {});
  ivc_window_ = IvcWindow(config_);
  statistics_ = {};
  RETRAP_TRY(build());
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (devices[i] == nullptr) continue;
    devices[i]->reset();
    RETRAP_TRY([[maybe_unused]] const Device* device,
               plug(places[i].bus, places[i].base, std::move(devices[i]), places[i].line));
  }
  return {};
}

Result<> Vm::destroy() {
  RETRAP_TRY(life_.destroy());
  drop_parts();
  plugged_.clear();
  ivc_window_ = IvcWindow();
  return {};
}

Vm::Parts& Vm::parts() const {
  RETRAP_CHECK(parts_ != nullptr, "vm {} is {} and has no parts", config_.id,
               to_string(life_.state()));
  return *parts_;
}

Result<> Vm::check_built(std::string_view operation) const {
  if (is_built()) return {};
  return life_.refuse(operation);
}

Result<> Vm::check_free(GuestPhys gpa, std::uint64_t size) const {
  const auto range = GuestRange::make(gpa, size);
  if (!range) return {};  // whoever maps it says what is wrong with it
  if (const auto& window = ivc_window_.range(); window && window->overlaps(*range)) {
    return fail(ErrorCode::AlreadyExists, "memory at {} overlaps the ivc window {}", *range,
                *window);
  }
  return check_no_device(*range);
}

Result<> Vm::check_no_device(GuestRange range) const {
  const Device* device = parts_->mmio.first_in(range.base().raw(), range.size());
  if (device == nullptr) return {};
  return fail(ErrorCode::AlreadyExists, "memory at {} overlaps the device {}", range,
              device->name());
}

Result<> Vm::check_no_memory(GuestPhys base, const Device& device) const {
  const auto range = GuestRange::make(base, device.size());
  if (!range) {
    return fail(ErrorCode::InvalidInput, "{} at {} is empty or wraps", device.name(), base);
  }
  for (const Region& region : parts_->memory.regions()) {
    if (!region.range.overlaps(*range)) continue;
    return fail(ErrorCode::AlreadyExists, "{} at {} overlaps {} at {}", device.name(), *range,
                region.name, region.range);
  }
  if (const auto& window = ivc_window_.range(); window && window->overlaps(*range)) {
    return fail(ErrorCode::AlreadyExists, "{} at {} overlaps the ivc window {}", device.name(),
                *range, *window);
  }
  return {};
}

Result<> Vm::load(const Images& images) {
  if (state() != VmState::Ready) return life_.refuse("load images");
  return board().load(images);
}

tl::unexpected<Error> Vm::no_vcpu(VcpuId id) const {
  if (!is_built()) return life_.refuse("give a vcpu");
  return fail(ErrorCode::InvalidInput, "vm {} has no vcpu {}, only {}", config_.id, index(id),
              vcpu_num());
}

Result<> Vm::map_region(GuestPhys gpa, HostPhys hpa, std::uint64_t size, MappingFlags flags) {
  RETRAP_TRY(check_built("map memory"));
  RETRAP_TRY(check_free(gpa, size));
  return memory().map_linear(gpa, hpa, size, flags, "region");
}

Result<> Vm::grow_memory(GuestPhys gpa, std::uint64_t size, MappingFlags flags) {
  RETRAP_TRY(check_built("grow"));
  RETRAP_TRY(check_free(gpa, size));
  return memory().map_ram(gpa, size, flags, MapType::Alloc, config_.populate, "more ram");
}

Result<> Vm::unmap_region(GuestPhys gpa, std::uint64_t size) {
  RETRAP_TRY(check_built("unmap memory"));
  return memory().unmap(gpa, size);
}

Result<> Vm::read_from_guest(GuestPhys gpa, std::span<std::byte> into) {
  RETRAP_TRY(check_built("be read"));
  return memory().read(gpa, into);
}

Result<> Vm::write_to_guest(GuestPhys gpa, std::span<const std::byte> from) {
  RETRAP_TRY(check_built("be written"));
  return memory().write(gpa, from);
}

Result<GuestRange> Vm::alloc_ivc_channel(std::uint64_t size) {
  RETRAP_TRY(check_built("have a channel"));
  return ivc_window_.allocate(size);
}

Result<> Vm::release_ivc_channel(GuestPhys gpa, std::uint64_t size) {
  RETRAP_TRY(check_built("give a channel back"));
  return ivc_window_.release(gpa, size);
}

Result<> Vm::inject_interrupt_to_vcpu(VcpuId id, std::uint64_t vector) {
  RETRAP_TRY([[maybe_unused]] Vcpu * target, vcpu(id));
  RETRAP_TRY(board().interrupts().inject(id, vector));
  report_injection(id, vector, LineChange::Pulse);
  return {};
}

void Vm::on_cpu_line(VcpuId vcpu, std::uint32_t line, bool level) {
  report_injection(vcpu, line, level ? LineChange::Rise : LineChange::Fall);
}

void Vm::on_device_line(std::uint32_t line, bool level) {
  report_injection(kBootVcpu, line, level ? LineChange::DeviceRise : LineChange::DeviceFall);
}

void Vm::on_delivery(VcpuId vcpu, std::uint64_t vector) {
  report_injection(vcpu, vector, LineChange::Deliver);
}

void Vm::report_injection(VcpuId vcpu, std::uint64_t vector, LineChange change) {
  if (observer_ == nullptr) return;
  observer_->on_injection(
      {.vm = id(), .vcpu = vcpu, .retired = clock_.retired(), .vector = vector, .change = change});
}

Result<Device*> Vm::plug(Bus Parts::* bus, std::uint64_t base, std::unique_ptr<Device> device,
                         std::uint32_t line) {
  RETRAP_TRY(Device* const added,
             ((*parts_).*bus)
                 .add(base, std::move(device), device_line(config_, line), &board().interrupts()));
  plugged_.push_back({.bus = bus, .base = base, .line = line, .device = added});
  return added;
}

Result<Device*> Vm::add_mmio_device(GuestPhys base, std::unique_ptr<Device> device,
                                    std::uint32_t line) {
  RETRAP_TRY(check_built("take a device"));
  RETRAP_TRY(check_no_memory(base, *device));
  return plug(&Parts::mmio, base.raw(), std::move(device), line);
}

Result<Device*> Vm::add_port_device(std::uint16_t base, std::unique_ptr<Device> device,
                                    std::uint32_t line) {
  RETRAP_TRY(check_built("take a device"));
  constexpr std::uint64_t kPorts = 0x10000;
  if (device->size() > kPorts - base) {
    return fail(ErrorCode::InvalidInput, "{} at port {:#x} has {:#x} ports, which is too many",
                device->name(), base, device->size());
  }
  return plug(&Parts::ports, base, std::move(device), line);
}

Result<Device*> Vm::add_sysreg_device(std::uint64_t base, std::unique_ptr<Device> device) {
  RETRAP_TRY(check_built("take a device"));
  return plug(&Parts::sysregs, base, std::move(device), Bus::kNoLine);
}

void Vm::digest(Digest& into) const {
  into.add(static_cast<std::uint64_t>(state()));
  if (!is_built()) return;
  for (const Vcpu& vcpu : parts_->vcpus) vcpu.arch().digest(into);
  parts_->memory.digest(into);
  parts_->mmio.digest(into);
  parts_->ports.digest(into);
  parts_->sysregs.digest(into);
  parts_->board->digest(into);
}

}  // namespace retrap
