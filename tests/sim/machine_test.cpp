// The simulated machine without a guest: options, memory, refusals.
#include "sim/machine.h"

#include <gmock/gmock.h>

#include "sim/host_ram.h"
#include "tests/support/matchers.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::Succeeds;

TEST(HostRam, IsZeroedAndWritable) {
  auto ram = HostRam::map(1_MiB);
  ASSERT_THAT(ram, Succeeds());

  EXPECT_EQ(ram->bytes().size(), 1_MiB);
  EXPECT_EQ(ram->bytes().back(), std::byte{0});
  ram->bytes().back() = std::byte{1};
  const HostRam moved = std::move(*ram);
  EXPECT_EQ(moved.bytes().back(), std::byte{1});
}

TEST(HostRam, SaysWhereTheOperatingSystemRefuses) {
  EXPECT_THAT(HostRam::map(0), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(HostRam::map(std::uint64_t{1} << 62), FailsSaying(ErrorCode::NoMemory, "0x40000"));
}

TEST(Machine, RefusesMemoryThatIsNone) {
  EXPECT_THAT(Machine::create({.memory_bytes = 100}), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(Machine::create({.memory_bytes = 2048_GiB}), FailsWith(ErrorCode::InvalidInput));
}

TEST(Machine, RefusesAMaskThatHasNoneOfItsPhysicalCpus) {
  EXPECT_THAT(Machine::create({.phys_cpus = 0}), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(Machine::create({.phys_cpus = 65}), FailsWith(ErrorCode::InvalidInput));
  const auto machine = *Machine::create({.phys_cpus = 2});
  VmConfig config = machine->architecture(ArchId::Riscv64)->default_config(16_MiB);
  config.cpu_num = 2;
  config.phys_cpu_sets = {0b10, 0b100};
  EXPECT_THAT(machine->add_vm(config, {}),
              FailsSaying(ErrorCode::InvalidInput, "base.phys_cpu_sets[1] is 0x4"));
}

TEST(Machine, HasTheMemoryThatItWasGiven) {
  const auto machine = Machine::create({.memory_bytes = 64_MiB});
  ASSERT_THAT(machine, Succeeds());

  EXPECT_EQ((*machine)->frames().bytes_free(), 64_MiB);
  EXPECT_EQ((*machine)->frames().memory().base(), 0x1'0000'0000_hpa);
}

TEST(Machine, HasNothingToRunWithoutAVm) {
  const auto machine = *Machine::create({});

  const RunReport report = machine->run(1000);

  EXPECT_EQ(report.reason, StopReason::PoweredOff);
  EXPECT_EQ(report.detail, "there is no VM");
  EXPECT_EQ(report.instructions, 0u);
}

TEST(Machine, AddsNothingForABadConfiguration) {
  const auto machine = *Machine::create({});
  const std::uint64_t free = machine->frames().bytes_free();
  VmConfig config;
  config.cpu_num = 0;

  EXPECT_THAT(machine->add_vm(config, {}), FailsSaying(ErrorCode::InvalidInput, "cpu_num"));

  EXPECT_EQ(machine->vm_num(), 0u);
  EXPECT_EQ(machine->frames().bytes_free(), free);
}

TEST(Machine, HasOneDigestBeforeAnythingHappens) {
  EXPECT_EQ((*Machine::create({}))->digest(), (*Machine::create({.seed = 9}))->digest());
}

/// Every architecture that this build has.
class AMachine : public ::testing::TestWithParam<ArchId> {
 public:
  std::unique_ptr<Machine> machine_ = *Machine::create({});
  [[nodiscard]] VmConfig config() {
    VmConfig config = machine_->architecture(GetParam())->default_config(64_MiB);
    const std::uint64_t kernel = config.memory_regions.front().gpa + 4_MiB;
    config.kernel_load_addr = kernel;
    config.entry_point = kernel;
    return config;
  }
  /// Bytes that nobody will execute.
  [[nodiscard]] Images images() const {
    Images images;
    images.kernel = *Image::parse("kernel", std::vector<std::byte>(64, std::byte{1}), GetParam());
    return images;
  }
};

INSTANTIATE_TEST_SUITE_P(Architectures, AMachine, ::testing::ValuesIn(kAllArchs),
                         [](const ::testing::TestParamInfo<ArchId>& param) {
                           return std::string(to_string(param.param));
                         });

TEST_P(AMachine, HasHardwareSupport) {
  EXPECT_TRUE(has_hardware_support(*machine_, GetParam()));
}

TEST_P(AMachine, TakesAVm) {
  const auto vm = machine_->add_vm(config(), images());

  ASSERT_THAT(vm, Succeeds());
  EXPECT_EQ((*vm)->config().arch, GetParam());
  EXPECT_EQ(machine_->console_of(**vm), "");
}

TEST_P(AMachine, RefusesASecondVmWithTheSameId) {
  ASSERT_THAT(machine_->add_vm(config(), images()), Succeeds());
  const std::uint64_t free = machine_->frames().bytes_free();

  EXPECT_THAT(machine_->add_vm(config(), images()), FailsSaying(ErrorCode::AlreadyExists, "vm 1"));

  EXPECT_EQ(machine_->frames().bytes_free(), free);
  EXPECT_EQ(machine_->vm_num(), 1u);
}

TEST_P(AMachine, MovesItsMemoryForAnIdenticalRegion) {
  VmConfig wanted = config();
  for (MemoryRegionConfig& region : wanted.memory_regions) {
    if (region.gpa != 0) region.map_type = MapType::Identical;
  }

  const auto vm = machine_->add_vm(wanted, images());

  ASSERT_THAT(vm, Succeeds());
  for (const MemoryRegionConfig& region : wanted.memory_regions) {
    if (region.map_type != MapType::Identical) continue;
    EXPECT_EQ((*vm)->memory().translate(GuestPhys(region.gpa)), HostPhys(region.gpa));
  }
}

TEST_P(AMachine, HasFailedWhereItsImagesDoNotLoadAfterAReset) {
  struct Listener final : MachineObserver {
    void on_input(const traces::InputRecord& input) override { inputs.push_back(input.input); }
    std::vector<traces::Input> inputs;
  } listener;
  Vm& vm = **machine_->add_vm(config(), images());
  machine_->set_observer(&listener);
  Images too_big;
  too_big.kernel =
      *Image::parse("kernel", std::vector<std::byte>(64_MiB, std::byte{1}), GetParam());

  const auto reset = machine_->reset(vm, too_big);

  ASSERT_FALSE(reset);
  EXPECT_EQ(vm.state(), VmState::Failed);
  EXPECT_EQ(vm.life().detail(), reset.error().message);
  ASSERT_EQ(listener.inputs.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<traces::ResetInput>(listener.inputs.front()));
  const RunReport report = machine_->run(1000);
  EXPECT_EQ(report.reason, StopReason::Crashed);
  EXPECT_EQ(report.detail, reset.error().message);
  EXPECT_EQ(report.instructions, 0u) << "nobody boots it without its images";
  EXPECT_THAT(machine_->reset(vm, images()), Succeeds());
  EXPECT_EQ(vm.state(), VmState::Ready);
  machine_->set_observer(nullptr);
}

TEST_P(AMachine, LetsNoRamTakeThePlaceOfAWindow) {
  constexpr std::uint64_t kHost = 0x1'0000'0000;
  VmConfig wanted = config();
  wanted.memory_regions.front().size = 512_MiB;
  wanted.passthrough_devices.push_back(
      {.name = "window", .base_gpa = 0xc000'0000, .base_hpa = kHost, .length = 0x1000});

  const auto vm = machine_->add_vm(wanted, images());

  ASSERT_THAT(vm, Succeeds());
  EXPECT_EQ((*vm)->memory().translate(GuestPhys(0xc000'0000)), HostPhys(kHost));
  for (const Region& region : (*vm)->memory().regions()) {
    if (region.name == "passthrough device window") continue;
    EXPECT_FALSE(region.host.raw() <= kHost && kHost < region.host.raw() + region.range.size())
        << region.name;
  }
}

}  // namespace
}  // namespace retrap
