// What comes to a machine from outside: done, and told to whoever listens.
#include "sim/machine.h"
#include "vmm/base/check.h"
#include "vmm/base/overloaded.h"

namespace retrap {
namespace {

/// A trace holds what is long in parts of a size that fits a block.
constexpr std::size_t kPart = std::size_t{1} << 19;

}  // namespace

bool Machine::type(Vm& vm, char byte) {
  return type(vm, std::string_view(&byte, 1)) == 1;
}

std::size_t Machine::type(Vm& vm, std::string_view bytes) {
  if (!vm.is_built()) return 0;
  std::size_t told = 0;
  for (;;) {
    const std::string_view part = bytes.substr(told, kPart);
    std::size_t taken = 0;
    while (taken < part.size() && vm.board().receive(part[taken])) ++taken;
    if (taken != 0) tell(vm, traces::ConsoleInput{std::string(part.substr(0, taken))});
    told += taken;
    if (taken < kPart) return told;
  }
}

Result<> Machine::inject(Vm& vm, VcpuId vcpu, std::uint64_t vector) {
  RETRAP_TRY(vm.inject_interrupt_to_vcpu(vcpu, vector));
  tell(vm, traces::InterruptInput{vcpu, vector});
  return {};
}

Result<> Machine::map(Vm& vm, const traces::MapInput& map) {
  RETRAP_TRY(
      vm.map_region(GuestPhys(map.gpa), HostPhys(map.hpa), map.size, MappingFlags(map.flags)));
  tell(vm, map);
  return {};
}

Result<> Machine::unmap(Vm& vm, const traces::UnmapInput& unmap) {
  RETRAP_TRY(vm.unmap_region(GuestPhys(unmap.gpa), unmap.size));
  tell(vm, unmap);
  return {};
}

Result<> Machine::write_memory(Vm& vm, GuestPhys to, std::string_view bytes) {
  RETRAP_TRY(vm.write_to_guest(to, std::as_bytes(std::span(bytes))));
  for (std::size_t at = 0; at < bytes.size(); at += kPart) {
    tell(vm, traces::MemoryInput{to.wrapping_add(at).raw(), std::string(bytes.substr(at, kPart))});
  }
  return {};
}

Result<> Machine::grow(Vm& vm, const traces::GrowInput& grow) {
  RETRAP_TRY(vm.grow_memory(GuestPhys(grow.gpa), grow.size, MappingFlags(grow.flags)));
  tell(vm, grow);
  return {};
}

Result<> Machine::suspend(Vm& vm) {
  RETRAP_TRY(vm.suspend());
  tell(vm, traces::SuspendInput{});
  return {};
}

Result<> Machine::resume(Vm& vm) {
  RETRAP_TRY(vm.resume());
  tell(vm, traces::ResumeInput{});
  return {};
}

Result<> Machine::shutdown(Vm& vm) {
  RETRAP_TRY(hypervisor().shutdown(position_of(vm)));
  tell(vm, traces::ShutdownInput{});
  return {};
}

Result<> Machine::reset(Vm& vm, const Images& images) {
  auto done = hypervisor().reset(position_of(vm));
  if (done) {
    done = vm.load(images);
    // It is Ready, and nobody boots it without its images.
    const auto failed = done ? done : vm.end(VmEnd::Fault, done.error().message);
    RETRAP_CHECK(failed.has_value(), "a VM that is Ready can fail");
  }
  if (done || vm.state() == VmState::Failed) tell(vm, traces::ResetInput{});
  return done;
}

Result<> Machine::destroy(Vm& vm) {
  RETRAP_TRY(hypervisor().destroy(position_of(vm)));
  tell(vm, traces::DestroyInput{});
  return {};
}

Result<> Machine::apply(Vm& vm, const traces::Input& input, const Images* images) {
  return std::visit(
      Overloaded{
          [&](const traces::ConsoleInput& console) -> Result<> {
            const std::size_t taken = type(vm, console.bytes);
            if (taken == console.bytes.size()) return {};
            return fail(ErrorCode::Diverged, "the console of vm {} does not take {:#x} now",
                        index(vm.id()), static_cast<unsigned char>(console.bytes[taken]));
          },
          [&](const traces::InterruptInput& it) { return inject(vm, it.vcpu, it.vector); },
          [&](const traces::MapInput& it) { return map(vm, it); },
          [&](const traces::UnmapInput& it) { return unmap(vm, it); },
          [&](const traces::MemoryInput& it) {
            return write_memory(vm, GuestPhys(it.gpa), it.bytes);
          },
          [&](const traces::SuspendInput&) { return suspend(vm); },
          [&](const traces::ResumeInput&) { return resume(vm); },
          [&](const traces::ShutdownInput&) { return shutdown(vm); },
          [&](const traces::ResetInput&) -> Result<> {
            if (images != nullptr) return reset(vm, *images);
            return fail(ErrorCode::Unsupported,
                        "vm {} is reset, and nobody has said with which images", index(vm.id()));
          },
          [&](const traces::DestroyInput&) { return destroy(vm); },
          [&](const traces::GrowInput& it) { return grow(vm, it); },
      },
      input);
}

}  // namespace retrap
