// Two VMs of different architectures and one channel: hypercalls publish it, subscribe to it, and
// notify; the guests send a thousand messages each way.
#include "vmm/ivc.h"
#include "examples/example.h"

using namespace example;

Result<Vm*> add(Machine& machine, ArchId arch, const std::string& toml, std::uint32_t id,
                const std::string& name) {
  RETRAP_TRY(VmConfig config, read_config(machine, arch, toml));
  config.id = id;
  config.name = name;
  config.emu_devices.front().irq_id = device_line(arch);
  RETRAP_TRY(const Images images, guest(arch, name));
  return machine.add_vm(std::move(config), images);
}

Result<> ivc(ArchId arch, const std::string& toml) {
  const ArchId other = kAllArchs[(static_cast<std::size_t>(arch) + 1) % kAllArchs.size()];
  RETRAP_TRY(auto machine, Machine::create({}));
  RETRAP_TRY(Vm* const publisher, add(*machine, arch, toml, 1, "ivc_publisher"));
  RETRAP_TRY(Vm* const subscriber, add(*machine, other, toml, 2, "ivc_subscriber"));

  // The embedder's side of the seed document: a place in the window, and back. The guests' calls
  // do the same and map memory there.
  RETRAP_TRY(const GuestRange place, publisher->alloc_ivc_channel(5000));
  say(fmt::format("a channel of 5000 bytes would be at {}\n", place));
  RETRAP_TRY(publisher->release_ivc_channel(place.base(), place.size()));

  const RunReport report = machine->run();

  for (const Vm* vm : {publisher, subscriber}) {
    say(fmt::format("--- vm {}, {}\n{}", index(vm->id()), to_string(vm->config().arch),
                    machine->console_of(*vm)));
  }
  say(fmt::format("--- channels still hold {} bytes\n",
                  machine->frames().bytes_of(IvcChannels::kOwner)));
  say_end(report);
  return {};
}

int main(int count, char** arguments) {
  return run(count, arguments, ivc);
}
