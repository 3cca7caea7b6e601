// Two VMs of any two architectures exchange messages through a channel, with notification.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <tuple>

#include "sim/testing.h"
#include "tests/guests/embedded.h"
#include "tests/scenarios/scenario.h"
#include "tests/support/sim/archs.h"
#include "vmm/ivc.h"

namespace retrap::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// What the guests listen to, tests/guests/runtime/machine.h.
std::uint32_t device_line(ArchId arch) {
  switch (arch) {
    case ArchId::X86_64:  return 5;
    case ArchId::Aarch64: return 40;
    case ArchId::Riscv64: return 11;
  }
  return 0;
}

struct Exchange {
  ArchId publisher;
  ArchId subscriber;
  std::uint64_t messages = 0;  ///< in each direction
  std::uint64_t seed = 1;
  std::uint64_t slice = 0;
};

struct Exchanged {
  RunReport report;
  std::array<std::string, 2> consoles;
  std::uint64_t digest = 0;
  std::uint64_t channel_bytes = 0;
};

Result<Vm*> add(Machine& machine, ArchId arch, std::uint32_t id, const std::string& name) {
  VmConfig config = machine.architecture(arch)->default_config(std::uint64_t{8} << 20);
  config.id = id;
  config.memory_regions.push_back({.gpa = kNoExecuteBase.raw(), .size = kRegionSize, .flags = 3});
  config.emu_devices.push_back({.name = "ivc",
                                .base_gpa = 0xb000'0000,
                                .length = 0x10'0000,
                                .irq_id = device_line(arch),
                                .emu_type = EmuDeviceType::IvcChannel,
                                .cfg_list = {}});
  const auto elf = guests::find(arch, name)->elf;
  Images images;
  RETRAP_TRY(images.kernel, Image::parse(name, {elf.begin(), elf.end()}, arch));
  return machine.add_vm(std::move(config), images);
}

Result<std::unique_ptr<Machine>> make(const Exchange& exchange) {
  RETRAP_TRY(auto machine, Machine::create({.memory_bytes = std::uint64_t{1} << 30,
                                            .seed = exchange.seed,
                                            .slice = exchange.slice}));
  RETRAP_TRY(Vm* const publisher, add(*machine, exchange.publisher, 1, "ivc_publisher"));
  RETRAP_TRY([[maybe_unused]] Vm * subscriber,
             add(*machine, exchange.subscriber, 2, "ivc_subscriber"));
  RETRAP_TRY(publisher->write_to_guest_of(kNoExecuteBase, exchange.messages));
  return machine;
}

void expect_all_well(const Exchanged& result);

/// Recorded; what is as it should be is replayed.
std::optional<Exchanged> run(const Exchange& exchange) {
  retrap::testing::RecordedRun run([&] { return make(exchange); }, {.digest_interval = 10'000'000});
  if (!run) return std::nullopt;
  Machine& machine = run.machine();
  Exchanged result;
  result.report = run.run();
  result.consoles = {machine.console_of(machine.vm(0)), machine.console_of(machine.vm(1))};
  result.digest = machine.digest();
  result.channel_bytes = machine.frames().bytes_of(IvcChannels::kOwner);
  expect_all_well(result);
  return result;
}

void expect_all_well(const Exchanged& result) {
  EXPECT_EQ(to_string(result.report.reason), to_string(StopReason::PoweredOff))
      << result.report.detail;
  for (const std::string& console : result.consoles) EXPECT_THAT(console, Not(HasSubstr("FAIL")));
  EXPECT_THAT(result.consoles[0], HasSubstr("ok every message came back, in order\n"));
  EXPECT_THAT(result.consoles[1], HasSubstr("ok every message came, in order\n"));
  EXPECT_THAT(result.consoles[1], HasSubstr("ok the channel is gone\n"));
  EXPECT_EQ(result.channel_bytes, 0u);
}

class AnExchange : public ::testing::TestWithParam<std::tuple<ArchId, ArchId>> {
 protected:
  [[nodiscard]] Exchange of(std::uint64_t messages) const {
    return {std::get<0>(GetParam()), std::get<1>(GetParam()), messages};
  }
};

TEST_P(AnExchange, LosesNothingAndKeepsTheOrder) {
  EXPECT_TRUE(run(of(2000)));
}

TEST_P(AnExchange, IsTheSameInSlices) {
  const auto whole = run(of(300));
  Exchange sliced = of(300);
  sliced.slice = 997;
  const auto cut = run(sliced);
  ASSERT_TRUE(whole && cut);
  EXPECT_EQ(cut->digest, whole->digest);
  EXPECT_EQ(cut->report.instructions, whole->report.instructions);
  EXPECT_EQ(cut->consoles, whole->consoles);
}

TEST_P(AnExchange, IsSoundForEverySeed) {
  for (std::uint64_t seed = 2; seed < 12; ++seed) {
    Exchange other = of(100);
    other.seed = seed;
    EXPECT_TRUE(run(other));
  }
}

TEST_P(AnExchange, OfAMillionMessagesLosesNone) {
  EXPECT_TRUE(run(of(500'000)));
}

std::string pair_name(const ::testing::TestParamInfo<std::tuple<ArchId, ArchId>>& info) {
  return fmt::format("{}_and_{}", to_string(std::get<0>(info.param)),
                     to_string(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(All, AnExchange,
                         ::testing::Combine(::testing::ValuesIn(available_archs()),
                                            ::testing::ValuesIn(available_archs())),
                         pair_name);

}  // namespace
}  // namespace retrap::test
