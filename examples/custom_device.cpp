// A device of your own: the guest reads its first register and writes twice that to the second.
#include "examples/example.h"

using namespace example;

class Doubler final : public Device {
 public:
  std::string_view name() const override { return "doubler"; }
  std::uint64_t size() const override { return 8; }
  IoResult<std::uint64_t> read(const Access& access) override {
    if (access.offset == 0) return 21;
    return tl::unexpected(IoError::WriteOnly);
  }
  IoResult<> write(const Access& access, std::uint64_t value) override {
    if (access.offset != 4) return tl::unexpected(IoError::ReadOnly);
    answer = value;
    return {};
  }
  void reset() override { answer = 0; }
  void digest(Digest& into) const override { into.add(answer); }
  std::uint64_t answer = 0;
};

constexpr GuestPhys kDoubler{0xd000'0000};

Result<> custom_device(ArchId arch, const std::string& toml) {
  RETRAP_TRY(auto machine, Machine::create({}));
  RETRAP_TRY(VmConfig config, read_config(*machine, arch, toml));
  RETRAP_TRY(const Images images, guest(arch, "device"));
  RETRAP_TRY(Vm* const vm, machine->add_vm(std::move(config), images));
  auto doubler = std::make_unique<Doubler>();
  const Doubler& device = *doubler;
  RETRAP_TRY(vm->add_mmio_device(kDoubler, std::move(doubler)));

  const RunReport report = machine->run();

  say(machine->console_of(*vm));
  say(fmt::format("the guest says {}\n", device.answer));
  say_end(report);
  return {};
}

int main(int count, char** arguments) {
  return run(count, arguments, custom_device);
}
