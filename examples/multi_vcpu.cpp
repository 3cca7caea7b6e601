// Two vCPUs: the guest starts the second with its architecture's call, and it goes off again.
#include "examples/example.h"

using namespace example;

/// Prints which vCPU asks for what, when it changes.
class PowerWatch final : public Observer {
 public:
  void on_exit(const ExitEvent& event) override {
    if (const auto* const up = std::get_if<exits::CpuUp>(&event.reason)) {
      say(fmt::format("vcpu {} starts the cpu with id {}\n", index(event.vcpu), up->target_cpu));
    }
  }
};

Result<> multi_vcpu(ArchId arch, const std::string& toml) {
  RETRAP_TRY(auto machine, Machine::create({.seed = 7}));
  RETRAP_TRY(VmConfig config, read_config(*machine, arch, toml));
  RETRAP_TRY(const Images images, guest(arch, "smp"));
  RETRAP_TRY(Vm* const vm, machine->add_vm(std::move(config), images));
  PowerWatch watch;
  vm->set_observer(&watch);
  for (std::uint32_t id = 0; id < vm->vcpu_num(); ++id) {
    RETRAP_TRY(const Vcpu* const vcpu, vm->vcpu(VcpuId{id}));
    say(fmt::format("vcpu {} is {}{}\n", id, to_string(vcpu->state()),
                    vcpu->is_bsp() ? ", and boots" : ""));
  }

  const RunReport report = machine->run();

  say(machine->console_of(*vm));
  say_end(report);
  return {};
}

int main(int count, char** arguments) {
  return run(count, arguments, multi_vcpu);
}
