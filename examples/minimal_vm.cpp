// A VM from a configuration to its end: create, load, run, and what it has printed.
#include "examples/example.h"

using namespace example;

Result<> minimal_vm(ArchId arch, const std::string& toml) {
  RETRAP_TRY(auto machine, Machine::create({}));
  RETRAP_TRY(VmConfig config, read_config(*machine, arch, toml));
  RETRAP_TRY(const Images images, guest(arch, "hello"));
  RETRAP_TRY(Vm* const vm, machine->add_vm(std::move(config), images));
  say(fmt::format("vm {} '{}' has {} vcpu and is {}\n", index(vm->id()), vm->config().name,
                  vm->vcpu_num(), to_string(vm->state())));

  const RunReport report = machine->run();

  say(machine->console_of(*vm));
  say(fmt::format("vm {} is {}: {}\n", index(vm->id()), to_string(vm->state()),
                  to_string(vm->life().reason())));
  say_end(report);
  return {};
}

int main(int count, char** arguments) {
  return run(count, arguments, minimal_vm);
}
