// A device of the simulated host goes to one VM, at the address and with the interrupt that the
// configuration says; nobody else gets it.
#include "examples/example.h"

using namespace example;

/// Register 0: microseconds until it rings. Register 4: 1 once it has; reading it is the
/// acknowledgement.
class AlarmClock final : public Device {
 public:
  std::string_view name() const override { return "alarm clock"; }
  std::uint64_t size() const override { return 8; }
  IoResult<std::uint64_t> read(const Access& access) override {
    if (access.offset != 4) return tl::unexpected(IoError::WriteOnly);
    return std::exchange(rings_, 0u);
  }
  IoResult<> write(const Access& access, std::uint64_t microseconds) override {
    if (access.offset != 0) return tl::unexpected(IoError::ReadOnly);
    deadline_ = access.now_ns + 1000 * microseconds;
    return {};
  }
  void reset() override { *this = AlarmClock(); }
  bool irq_level() const override { return rings_ != 0; }
  std::uint64_t deadline_ns() const override { return deadline_; }
  void advance(std::uint64_t) override {
    rings_ = 1;
    deadline_ = kNever;
  }
  void digest(Digest& into) const override { into.add(deadline_ ^ rings_); }

 private:
  std::uint64_t rings_ = 0;
  std::uint64_t deadline_ = kNever;
};

Result<VmConfig> config_of(Machine& machine, ArchId arch, const std::string& toml) {
  RETRAP_TRY(VmConfig config, read_config(machine, arch, toml));
  config.passthrough_devices.front().irq_id = device_line(arch);
  return config;
}

Result<> passthrough(ArchId arch, const std::string& toml) {
  RETRAP_TRY(auto machine, Machine::create({}));
  RETRAP_TRY(machine->add_host_device(HostPhys(0x0a00'0000), std::make_unique<AlarmClock>()));
  RETRAP_TRY(const Images images, guest(arch, "alarm"));
  RETRAP_TRY(VmConfig first, config_of(*machine, arch, toml));
  RETRAP_TRY(Vm* const vm, machine->add_vm(std::move(first), images));

  RETRAP_TRY(VmConfig second, config_of(*machine, arch, toml));
  second.id = 2;
  if (const auto other = machine->add_vm(std::move(second), images); !other) {
    say(fmt::format("vm 2 is refused: {}\n", other.error().message));
  }

  const RunReport report = machine->run();
  say(machine->console_of(*vm));
  say_end(report);
  return {};
}

int main(int count, char** arguments) {
  return run(count, arguments, passthrough);
}
