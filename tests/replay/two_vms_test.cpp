// Traces of several VMs: each exit, answer, line and input is of the VM that it names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "sim/replay.h"
#include "sim/replay_exits.h"
#include "tests/replay/guest_machine.h"
#include "traces/text.h"
#include "vmm/config_toml.h"

namespace retrap {
namespace {

using test::Succeeds;
using ::testing::HasSubstr;

/// What the guests listen to, tests/guests/runtime/machine.h.
std::uint32_t device_line(ArchId arch) {
  return arch == ArchId::X86_64 ? 5 : arch == ArchId::Aarch64 ? 40 : 11;
}

Result<Vm*> add(Machine& machine, ArchId arch, std::uint32_t id, const std::string& name) {
  VmConfig config = machine.architecture(arch)->default_config(std::uint64_t{8} << 20);
  config.id = id;
  config.memory_regions.push_back({.gpa = 0xc010'0000, .size = 0x1'0000, .flags = 3});
  config.emu_devices.push_back({.name = "ivc",
                                .base_gpa = 0xb000'0000,
                                .length = 0x10'0000,
                                .irq_id = device_line(arch),
                                .emu_type = EmuDeviceType::IvcChannel,
                                .cfg_list = {}});
  RETRAP_TRY(const Images images, test::images_of(arch, name));
  return machine.add_vm(std::move(config), images);
}

/// Two VMs with a channel between them.
Result<std::unique_ptr<Machine>> exchange_of(ArchId publisher, ArchId subscriber) {
  RETRAP_TRY(auto machine, Machine::create({}));
  RETRAP_TRY([[maybe_unused]] Vm * first, add(*machine, publisher, 1, "ivc_publisher"));
  RETRAP_TRY([[maybe_unused]] Vm * second, add(*machine, subscriber, 2, "ivc_subscriber"));
  return machine;
}

constexpr std::uint64_t kMessages = 50;

traces::Reader record_exchange(ArchId publisher, ArchId subscriber) {
  auto machine = exchange_of(publisher, subscriber).value();
  traces::ByteVector bytes;
  auto recorder =
      Recorder::start(
          *machine, std::make_unique<traces::MemorySink>(bytes),
          {.configs = {to_toml(machine->vm(0).config()), to_toml(machine->vm(1).config())}})
          .value();
  std::string messages(8, '\0');
  messages[0] = static_cast<char>(kMessages);
  EXPECT_THAT(machine->write_memory(machine->vm(0), GuestPhys(0xc010'0000), messages), Succeeds());
  (void)recorder->run(50'000);
  EXPECT_TRUE(machine->type(machine->vm(1), 'x'));
  const RunReport report = recorder->run();
  EXPECT_EQ(report.reason, StopReason::PoweredOff) << report.detail;
  EXPECT_THAT(machine->console_of(machine->vm(0)), HasSubstr("ok every message came back"));
  EXPECT_THAT(recorder->finish(report), Succeeds());
  return traces::Reader::parse("t", bytes).value();
}

std::vector<VmConfig> configs_of(const traces::Reader& trace) {
  std::vector<VmConfig> configs;
  for (const std::string& text : trace.header().configs) {
    configs.push_back(parse_config(text, "config").value());
  }
  return configs;
}

class TwoVms : public ::testing::TestWithParam<std::tuple<ArchId, ArchId>> {};

INSTANTIATE_TEST_SUITE_P(All, TwoVms,
                         ::testing::Combine(::testing::ValuesIn(kAllArchs),
                                            ::testing::ValuesIn(kAllArchs)),
                         [](const auto& tested) {
                           return fmt::format("{}_{}", to_string(std::get<0>(tested.param)),
                                              to_string(std::get<1>(tested.param)));
                         });

TEST_P(TwoVms, ReplayIdentically) {
  const auto& [publisher, subscriber] = GetParam();
  const auto trace = record_exchange(publisher, subscriber);
  auto machine = exchange_of(publisher, subscriber).value();
  const auto report = Replayer(*machine, trace).run();

  ASSERT_THAT(report, Succeeds());
  EXPECT_FALSE(report->divergence) << to_text(*report->divergence, "recorded", "now");
}

TEST_P(TwoVms, GetTheRecordedAnswersOfTheMonitorAlone) {
  const auto& [publisher, subscriber] = GetParam();
  const auto trace = record_exchange(publisher, subscriber);
  const auto report = replay_exits(trace, configs_of(trace));

  ASSERT_THAT(report, Succeeds());
  EXPECT_FALSE(report->divergence) << to_text(*report->divergence, "recorded", "now");
  EXPECT_EQ(report->exits, trace.end()->exits);
}

TEST_P(TwoVms, OfWhichOneIsNotThereIsAnotherRun) {
  const auto& [publisher, subscriber] = GetParam();
  const auto trace = record_exchange(publisher, subscriber);
  const auto report = replay_exits(trace, configs_of(trace)[0]);

  ASSERT_THAT(report, Succeeds());
  EXPECT_TRUE(report->divergence);
}

}  // namespace
}  // namespace retrap
