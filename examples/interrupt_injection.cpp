// Interrupts into a vCPU from outside, at times of the embedder's choosing.
#include "examples/example.h"

using namespace example;

/// The vector that the guest takes: an IPI of its architecture.
std::uint64_t vector_of(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:  return 0x41;
    case ArchId::Aarch64: return 1;  // SGI 1
    case ArchId::Riscv64: return 1;  // supervisor software interrupt
  }
  return 0;
}

Result<> interrupt_injection(ArchId arch, const std::string& toml) {
  RETRAP_TRY(auto machine, Machine::create({}));
  RETRAP_TRY(VmConfig config, read_config(*machine, arch, toml));
  RETRAP_TRY(const Images images, guest(arch, "listen"));
  RETRAP_TRY(Vm* const vm, machine->add_vm(std::move(config), images));

  RunReport report = machine->run();
  for (int round = 1; report.reason == StopReason::Deadlocked && round <= 3; ++round) {
    say(fmt::format("the guest sleeps: {}\n", report.detail));
    RETRAP_TRY(vm->inject_interrupt_to_vcpu(kBootVcpu, vector_of(arch)));
    report = machine->run();
  }

  say(machine->console_of(*vm));
  if (const auto wrong = vm->inject_interrupt_to_vcpu(VcpuId{9}, vector_of(arch)); !wrong) {
    say(fmt::format("refused: {}\n", wrong.error().message));
  }
  say_end(report);
  return {};
}

int main(int count, char** arguments) {
  return run(count, arguments, interrupt_injection);
}
