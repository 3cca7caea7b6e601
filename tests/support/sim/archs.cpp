// The architectures that the simulator has.
#include "tests/support/sim/archs.h"

#include <utility>

#include "tests/guests/embedded.h"

namespace retrap::test {

std::vector<ArchId> available_archs() {
  std::vector<ArchId> archs;
  const auto machine = Machine::create({});
  for (const ArchId arch : kAllArchs) {
    if (machine && (*machine)->architecture(arch) != nullptr) archs.push_back(arch);
  }
  return archs;
}

std::string arch_name(const ::testing::TestParamInfo<ArchId>& info) {
  return std::string(to_string(info.param));
}

Result<GuestOnAMachine> machine_with(ArchId arch, std::string_view name,
                                     const MachineOptions& options, std::uint32_t vcpus,
                                     std::vector<std::uint64_t> phys_cpu_ids) {
  constexpr std::uint64_t kMemory = std::uint64_t{16} << 20;
  GuestOnAMachine result;
  RETRAP_TRY(result.machine, Machine::create(options));
  Architecture* const architecture = result.machine->architecture(arch);
  const guests::Guest* const guest = guests::find(arch, name);
  if (architecture == nullptr || guest == nullptr) {
    return fail(ErrorCode::NotFound, "no guest {} for {}", name, to_string(arch));
  }
  Images images;
  RETRAP_TRY(images.kernel,
             Image::parse(std::string(name), {guest->elf.begin(), guest->elf.end()}, arch));
  VmConfig config = architecture->default_config(kMemory);
  config.cpu_num = vcpus;
  config.phys_cpu_ids = std::move(phys_cpu_ids);
  RETRAP_TRY(result.vm, result.machine->add_vm(std::move(config), images));
  return result;
}

}  // namespace retrap::test
