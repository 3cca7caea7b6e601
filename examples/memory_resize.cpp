// Memory grown and shrunk while the guest runs. The guest is told by a byte on its console.
#include "examples/example.h"

using namespace example;

constexpr GuestPhys kMore{0xc030'0000};
constexpr std::uint64_t kMoreBytes = 1 << 20;

void show_ram(Machine& machine, const Vm& vm) {
  say(fmt::format("vm {} has {} MiB of frames\n", index(vm.id()),
                  machine.frames().bytes_of(vm.id()) / (1 << 20)));
}

/// Types `byte` and runs until the guest waits again, or ends.
Result<RunReport> tell(Machine& machine, Vm& vm, char byte) {
  if (!machine.type(vm, byte)) return fail(ErrorCode::BadState, "the console takes no byte");
  return machine.run();
}

Result<> memory_resize(ArchId arch, const std::string& toml) {
  RETRAP_TRY(auto machine, Machine::create({}));
  RETRAP_TRY(VmConfig config, read_config(*machine, arch, toml));
  RETRAP_TRY(const Images images, guest(arch, "resize"));
  RETRAP_TRY(Vm* const vm, machine->add_vm(std::move(config), images));
  (void)machine->run();
  show_ram(*machine, *vm);

  RETRAP_TRY(vm->grow_memory(kMore, kMoreBytes));
  RETRAP_TRY(tell(*machine, *vm, 'g'));
  show_ram(*machine, *vm);
  if (const auto again = vm->grow_memory(kMore, kMoreBytes); !again) {
    say(fmt::format("refused: {}\n", again.error().message));
  }
  RETRAP_TRY(const auto word, vm->read_from_guest_of<std::uint64_t>(kMore));
  say(fmt::format("the guest has written {:#x} there\n", word));

  RETRAP_TRY(vm->unmap_region(kMore, kMoreBytes));
  RETRAP_TRY(tell(*machine, *vm, 's'));
  show_ram(*machine, *vm);
  RETRAP_TRY(const RunReport report, tell(*machine, *vm, 'q'));
  say(machine->console_of(*vm));
  say_end(report);
  return {};
}

int main(int count, char** arguments) {
  return run(count, arguments, memory_resize);
}
