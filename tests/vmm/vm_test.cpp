// A VM's life: what it is built from, what is refused, and what it gives back.
#include "vmm/vm.h"

#include <gmock/gmock.h>

#include "tests/support/matchers.h"
#include "tests/support/scripted_vm.h"

namespace retrap {
namespace {

using namespace retrap::literals;
using test::FailsSaying;
using test::FailsWith;
using test::ProbeDevice;
using test::ScriptedVm;
using test::Succeeds;
using ::testing::HasSubstr;

class AHost : public ::testing::Test {
 public:
  [[nodiscard]] Result<std::unique_ptr<Vm>> create(const VmConfig& config) {
    return Vm::create(config, host_, console_);
  }
  [[nodiscard]] std::uint64_t used() { return host_.memory().size() - host_.frames().bytes_free(); }

  test::ScriptedHost host_;
  test::ConsoleText console_;
};

TEST_F(AHost, HasHardwareForOneArchitecture) {
  EXPECT_TRUE(has_hardware_support(host_, ArchId::Riscv64));
  EXPECT_FALSE(has_hardware_support(host_, ArchId::X86_64));
}

TEST_F(AHost, CreatesAVmWithItsMemoryAndVcpus) {
  VmConfig config = host_.config();
  config.cpu_num = 3;

  const auto vm = create(config);

  ASSERT_THAT(vm, Succeeds());
  EXPECT_EQ((*vm)->vcpu_num(), 3u);
  EXPECT_EQ((*vm)->state(), VmState::Ready);
  EXPECT_EQ((*vm)->memory().regions().size(), 1u);
  EXPECT_EQ((*(*vm)->vcpu(VcpuId{2}))->state(), VcpuState::Free);
  EXPECT_THAT((*vm)->vcpu(VcpuId{3}), FailsWith(ErrorCode::InvalidInput));
}

TEST_F(AHost, RefusesAnArchitectureThatItCannotVirtualize) {
  VmConfig config = host_.config();
  config.arch = ArchId::Aarch64;

  EXPECT_THAT(create(config), FailsSaying(ErrorCode::Unsupported, "aarch64"));
  EXPECT_EQ(used(), 0u);
}

TEST_F(AHost, ReportsEverythingThatIsWrongAtOnce) {
  VmConfig config = host_.config();
  config.cpu_num = 0;
  config.vm_type = VmType::HostVm;
  config.memory_regions.push_back({.gpa = 0x4000'0000, .size = kPageSize});

  const auto vm = create(config);

  ASSERT_THAT(vm, FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.error().message, HasSubstr("cpu_num"));
  EXPECT_THAT(vm.error().message, HasSubstr("vm_type"));
  EXPECT_THAT(vm.error().message, HasSubstr("memory_regions[1]"));
  EXPECT_EQ(used(), 0u) << "nothing is allocated for a configuration with a problem";
}

TEST_F(AHost, GivesEverythingBackWhereRamDoesNotFit) {
  VmConfig config = host_.config(1_GiB);

  EXPECT_THAT(create(config), FailsSaying(ErrorCode::NoMemory, "memory_regions[0]"));
  EXPECT_EQ(used(), 0u);
}

TEST_F(AHost, GetsEveryFrameBackFromAVmThatGoes) {
  VmConfig config = host_.config();
  config.populate = Populate::Lazy;
  config.memory_regions.push_back({.gpa = 0x8000'0000, .size = 4_MiB});
  config.passthrough_devices.push_back(
      {.name = "window", .base_gpa = 0x1000, .base_hpa = 0x1'0080'0000, .length = 0x1000});
  {
    const auto vm = create(config);
    ASSERT_THAT(vm, Succeeds());
    ASSERT_THAT((*vm)->write_to_guest_of(0x8000'0000_gpa, 1), Succeeds());
    ASSERT_THAT((*vm)->map_region(0x9000'0000_gpa, 0x1'0090'0000_hpa, 2_MiB, MappingFlags::Read),
                Succeeds());
    EXPECT_GT(used(), 0u);
  }
  EXPECT_EQ(used(), 0u);
}

TEST_F(AHost, RefusesDeviceTypesThatNobodyOffers) {
  VmConfig config = host_.config();
  config.emu_devices.push_back({.name = "disk",
                                .base_gpa = 0x1000,
                                .length = 0x200,
                                .emu_type = EmuDeviceType::VirtioBlk,
                                .cfg_list = {}});

  EXPECT_THAT(create(config), FailsSaying(ErrorCode::InvalidInput, "disk"));
}

TEST_F(AHost, HasOneDigestForTwoEqualVms) {
  const auto digest_of_new = [this](std::uint64_t memory_bytes) {
    const auto vm = create(host_.config(memory_bytes));
    Digest digest;
    (*vm)->digest(digest);
    return digest.value();
  };

  EXPECT_EQ(digest_of_new(1_MiB), digest_of_new(1_MiB));
}

class ABootedVm : public ::testing::Test, public ScriptedVm {};

TEST_F(ABootedVm, MapsAndUnmapsRegionsWhileItLives) {
  ASSERT_THAT(vm->map_region(0x9000'0000_gpa, 0x1'0080'0000_hpa, 0x2000, MappingFlags::Read),
              Succeeds());
  EXPECT_THAT(vm->read_from_guest_of<int>(0x9000'1ffc_gpa), Succeeds());

  ASSERT_THAT(vm->unmap_region(0x9000'0000_gpa, 0x2000), Succeeds());
  EXPECT_THAT(vm->read_from_guest_of<int>(0x9000'1ffc_gpa), FailsWith(ErrorCode::NotFound));
  EXPECT_THAT(vm->unmap_region(0x9000'0000_gpa, 0x2000), FailsWith(ErrorCode::NotFound));
}

TEST_F(ABootedVm, NeverHasADeviceAndMemoryAtOneAddress) {
  plug(0x9000'0800_gpa, 8);

  EXPECT_THAT(vm->map_region(0x9000'0000_gpa, 0x1'0080'0000_hpa, 0x1000, MappingFlags::Read),
              FailsSaying(ErrorCode::AlreadyExists, "probe"));
  EXPECT_THAT(vm->add_mmio_device(0x400f'ffff_gpa, std::make_unique<ProbeDevice>(2)),
              FailsSaying(ErrorCode::AlreadyExists, "ram0"));
  EXPECT_THAT(vm->add_mmio_device(GuestPhys(~std::uint64_t{0}), std::make_unique<ProbeDevice>(2)),
              FailsWith(ErrorCode::InvalidInput));
}

TEST_F(ABootedVm, KeepsPortDevicesBelow64Ki) {
  EXPECT_THAT(vm->add_port_device(0xffff, std::make_unique<ProbeDevice>(1)), Succeeds());
  EXPECT_THAT(vm->add_port_device(0xfff0, std::make_unique<ProbeDevice>(17)),
              FailsWith(ErrorCode::InvalidInput));
}

// The catalogue of defects, chapter 2.1.

TEST(Defects, V1_AnIdenticalRegionThatTheHostRefusesIsOneCleanError) {
  test::ScriptedHost host;
  test::ConsoleText console;
  VmConfig config = host.config();
  config.memory_regions[0].map_type = MapType::Identical;

  EXPECT_THAT(Vm::create(config, host, console),
              FailsSaying(ErrorCode::NoMemory, "memory_regions[0]"));
  EXPECT_EQ(host.frames().bytes_free(), host.memory().size());
}

TEST(Defects, V1_AnIdenticalRegionIsMappedOnce) {
  const ScriptedVm guest([](VmConfig& config) {
    config.memory_regions[0] = {
        .gpa = 0x1'0080'0000, .size = 0x10000, .flags = 7, .map_type = MapType::Identical};
  });

  EXPECT_EQ(guest.vm->memory().translate(0x1'0080'1234_gpa), 0x1'0080'1234_hpa);
}

TEST(Defects, V2_APassthroughWindowGoesToItsHostAddress) {
  const ScriptedVm guest([](VmConfig& config) {
    config.passthrough_devices.push_back(
        {.name = "uart", .base_gpa = 0x0900'0000, .base_hpa = 0x1'0080'0000, .length = 0x1000});
  });

  EXPECT_EQ(guest.vm->memory().translate(0x0900'0010_gpa), 0x1'0080'0010_hpa);
}

TEST(Defects, V3_AWindowAcrossAPageBoundaryKeepsItsSecondPage) {
  const ScriptedVm guest([](VmConfig& config) {
    config.passthrough_devices.push_back(
        {.name = "small", .base_gpa = 0x1ff0, .base_hpa = 0x1'0080'0ff0, .length = 0x20});
  });

  EXPECT_EQ(guest.vm->memory().translate(0x1ff0_gpa), 0x1'0080'0ff0_hpa);
  EXPECT_EQ(guest.vm->memory().translate(0x2000_gpa), 0x1'0080'1000_hpa);
  EXPECT_FALSE(guest.vm->memory().translate(0x3000_gpa).has_value());
}

TEST(Defects, V3_TwoWindowsMayShareAPage) {
  const ScriptedVm guest([](VmConfig& config) {
    config.passthrough_devices.push_back(
        {.name = "low", .base_gpa = 0x1000, .base_hpa = 0x1'0080'0000, .length = 0x10});
    config.passthrough_devices.push_back(
        {.name = "high", .base_gpa = 0x1800, .base_hpa = 0x1'0080'0800, .length = 0x1000});
  });

  EXPECT_EQ(guest.vm->memory().translate(0x1000_gpa), 0x1'0080'0000_hpa);
  EXPECT_EQ(guest.vm->memory().translate(0x2000_gpa), 0x1'0080'1000_hpa);
}

TEST(Defects, V4_OverlapsAreNamedBeforeAnythingIsBuilt) {
  test::ScriptedHost host;
  test::ConsoleText console;
  VmConfig config = host.config();
  config.passthrough_devices.push_back(
      {.name = "uart", .base_gpa = 0x4000'0000, .base_hpa = 0x1'0080'0000, .length = 0x1000});

  const auto vm = Vm::create(config, host, console);

  ASSERT_THAT(vm, FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.error().message, HasSubstr("uart"));
  EXPECT_THAT(vm.error().message, HasSubstr("memory_regions[0]"));
}

TEST(Defects, V5_AVmMayHaveTheIdZero) {
  ScriptedVm guest([](VmConfig& config) { config.id = 0; });

  EXPECT_THAT(guest.does({{exits::Halt{}}}), Succeeds());
}

TEST(Defects, V11_AnImageThatFitsNowhereIsAnError) {
  test::ScriptedHost host;
  test::ConsoleText console;
  const auto vm = Vm::create(host.config(), host, console);
  ASSERT_THAT(vm, Succeeds());
  Images images;
  auto kernel = Image::parse("kernel", std::vector<std::byte>(16), ArchId::Riscv64);
  ASSERT_THAT(kernel, Succeeds());
  images.kernel = std::move(*kernel);

  EXPECT_THAT((*vm)->load(images), FailsWith(ErrorCode::Unsupported));
  EXPECT_EQ((*vm)->state(), VmState::Ready);
}

/// The states of a VM and what each operation makes of them.
TEST(Defects, V15_TheLifeCycleIsOneStateMachine) {
  test::ScriptedHost host;
  test::ConsoleText console;
  const auto in_state = [&](VmState state) {
    auto vm = *Vm::create(host.config(), host, console);
    EXPECT_TRUE(state == VmState::Ready || vm->boot().has_value());
    EXPECT_TRUE(state != VmState::Stopped || vm->shutdown().has_value());
    return vm;
  };

  EXPECT_THAT(in_state(VmState::Ready)->run_vcpu(kBootVcpu),
              FailsSaying(ErrorCode::BadState, "Ready"));
  EXPECT_THAT(in_state(VmState::Ready)->shutdown(), Succeeds());
  EXPECT_THAT(in_state(VmState::Running)->boot(), FailsSaying(ErrorCode::BadState, "Running"));
  EXPECT_THAT(in_state(VmState::Running)->load({}), FailsWith(ErrorCode::BadState));
  EXPECT_THAT(in_state(VmState::Running)->run_vcpu(VcpuId{7}), FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(in_state(VmState::Stopped)->boot(), FailsSaying(ErrorCode::BadState, "Stopped"));
  EXPECT_THAT(in_state(VmState::Stopped)->shutdown(), FailsWith(ErrorCode::BadState));
  EXPECT_THAT(in_state(VmState::Stopped)->run_vcpu(kBootVcpu), FailsWith(ErrorCode::BadState));

  const auto vm = in_state(VmState::Stopped);
  (void)vm->boot();
  EXPECT_EQ(vm->state(), VmState::Stopped) << "a refused transition changes nothing";
}

TEST(Defects, V16_ListsLongerThanTheNumberOfVcpusAreRefused) {
  test::ScriptedHost host;
  test::ConsoleText console;
  VmConfig config = host.config();
  config.phys_cpu_ids = {0, 1, 2};
  config.phys_cpu_sets = {1, 2};

  const auto vm = Vm::create(config, host, console);

  ASSERT_THAT(vm, FailsWith(ErrorCode::InvalidInput));
  EXPECT_THAT(vm.error().message, HasSubstr("phys_cpu_ids"));
  EXPECT_THAT(vm.error().message, HasSubstr("phys_cpu_sets"));
}

TEST(Defects, V17_RangesThatWrapAreRefused) {
  test::ScriptedHost host;
  test::ConsoleText console;
  VmConfig config = host.config();
  config.memory_regions[0] = {.gpa = 0xffff'ffff'ffff'f000, .size = 0x2000};

  EXPECT_THAT(Vm::create(config, host, console), FailsSaying(ErrorCode::InvalidInput, "wraps"));
}

TEST(Defects, V18_NoVcpuAndTooManyAreRefused) {
  test::ScriptedHost host;
  test::ConsoleText console;
  for (const std::uint32_t count : {0u, 65u, ~0u}) {
    VmConfig config = host.config();
    config.cpu_num = count;
    EXPECT_THAT(Vm::create(config, host, console), FailsSaying(ErrorCode::InvalidInput, "cpu_num"));
  }
  VmConfig config = host.config();
  config.cpu_num = kMaxVcpus;
  EXPECT_THAT(Vm::create(config, host, console), Succeeds());
}

TEST(Defects, V19_IdenticalRegionsAreGivenBack) {
  test::ScriptedHost host;
  test::ConsoleText console;
  VmConfig config = host.config();
  config.memory_regions[0] = {
      .gpa = 0x1'0080'0000, .size = 0x10000, .flags = 7, .map_type = MapType::Identical};
  for (int again = 0; again < 3; ++again) {
    EXPECT_THAT(Vm::create(config, host, console), Succeeds());
  }
  EXPECT_EQ(host.frames().bytes_free(), host.memory().size());
}

TEST(Defects, D3_ADeviceWithoutItsArgumentsIsRefused) {
  test::ScriptedHost host;
  test::ConsoleText console;
  VmConfig config = host.config();
  config.emu_devices.push_back({.name = "plic",
                                .base_gpa = 0x0c00'0000,
                                .length = 0x60'0000,
                                .emu_type = EmuDeviceType::PpptGlobal,
                                .cfg_list = {}});

  EXPECT_THAT(Vm::create(config, host, console), FailsSaying(ErrorCode::InvalidInput, "plic"));
}

}  // namespace
}  // namespace retrap
