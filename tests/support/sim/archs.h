// The architectures that the simulator has, and their names for parameterised tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/machine.h"

namespace retrap::test {

[[nodiscard]] std::vector<ArchId> available_archs();

[[nodiscard]] std::string arch_name(const ::testing::TestParamInfo<ArchId>& info);

/// A machine with the built-in guest `name` on the standard board, with `vcpus` vCPUs that have
/// these ids, or without any their numbers.
struct GuestOnAMachine {
  std::unique_ptr<Machine> machine;
  Vm* vm = nullptr;
};
[[nodiscard]] Result<GuestOnAMachine> machine_with(ArchId arch, std::string_view name,
                                                   const MachineOptions& options = {},
                                                   std::uint32_t vcpus = 1,
                                                   std::vector<std::uint64_t> phys_cpu_ids = {});

}  // namespace retrap::test
