// What a guest costs: every exit with its kind, vCPU, program counter, virtual time and cost.
#include "examples/example.h"
#include "sim/exit_statistics.h"

using namespace example;

/// Hands every exit on to the table of `retrap run --stat`, and says where the first few were.
class Hooks final : public Observer {
 public:
  void on_exit(const ExitEvent& event) override {
    constexpr std::uint64_t kShown = 5;
    if (event.sequence < kShown) {
      say(fmt::format("#{} vcpu {}: {}\n", event.sequence, index(event.vcpu), name(event.reason)));
      // Numbers that change with the compiler of the guest.
      std::fprintf(stderr, "  at pc %#lx, after %lu ns: %lu instructions and %lu idle ns\n",
                   event.pc, event.now_ns, event.cost.instructions, event.cost.idle_ns);
    }
    table_.on_exit(event);
  }
  [[nodiscard]] const ExitStatistics& table() const { return table_; }

 private:
  ExitStatistics table_;
};

Result<> monitoring_hooks(ArchId arch, const std::string& toml) {
  RETRAP_TRY(auto machine, Machine::create({}));
  RETRAP_TRY(VmConfig config, read_config(*machine, arch, toml));
  RETRAP_TRY(const Images images, guest(arch, "timer"));
  RETRAP_TRY(Vm* const vm, machine->add_vm(std::move(config), images));
  Hooks hooks;
  vm->set_observer(&hooks);

  const RunReport report = machine->run();

  std::fputs(hooks.table().table().c_str(), stderr);
  for (std::size_t kind = 0; kind < kExitKinds; ++kind) {
    const auto& row = hooks.table().rows()[kind];
    if (row.count != 0) say(fmt::format("{}: {}\n", kExitNames[kind], row.count));
  }
  say_end(report);
  return {};
}

int main(int count, char** arguments) {
  return run(count, arguments, monitoring_hooks);
}
