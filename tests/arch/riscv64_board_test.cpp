// The board: where images go, what the device tree says, what a configuration may ask for.
#include "arch/riscv64/board.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include "arch/riscv64/architecture.h"
#include "arch/riscv64/device_tree.h"
#include "tests/arch/riscv64_fake.h"
#include "vmm/devices/time_of_day.h"

namespace retrap::riscv64 {
namespace {

using retrap::test::FailsSaying;
using retrap::test::Succeeds;
using test::Host;

std::vector<std::byte> some_bytes(std::size_t count, unsigned value = 0x5a) {
  return std::vector<std::byte>(count, std::byte(value));
}

class ABoard : public ::testing::Test {
 public:
  ABoard() { config_.arch = ArchId::Riscv64; }

  void plug() {
    auto board = RiscvBoard::make(config_,
                                  {.clock = host_.clock,
                                   .memory = host_.space,
                                   .mmio = mmio_,
                                   .ports = ports_,
                                   .sysregs = sysregs_,
                                   .console = host_.console,
                                   .dma = host_.dma},
                                  hardware_);
    ASSERT_THAT(board, Succeeds());
    board_ = std::move(*board);
  }
  Result<> load(const Images& images) {
    plug();
    return board_->load(images);
  }
  const test::FakeCpu& cpu() { return *hardware_.made->cpus[0]; }
  static Images raw_kernel(std::size_t size = 16) {
    Images images;
    images.kernel = *Image::parse("raw", some_bytes(size), ArchId::Riscv64);
    return images;
  }

  Host host_;
  Bus mmio_{"mmio", host_.clock};
  Bus ports_{"port", host_.clock};
  Bus sysregs_{"sysreg", host_.clock, Bus::Unit::Register};
  test::FakeHardware hardware_;
  VmConfig config_;
  std::unique_ptr<Board> board_;
};

TEST_F(ABoard, EntersARawImageWhereItWasLoaded) {
  config_.kernel_load_addr = Host::kRam + 0x1000;

  ASSERT_THAT(load(raw_kernel()), Succeeds());

  EXPECT_EQ(cpu().pc_value, Host::kRam + 0x1000);
  EXPECT_EQ(cpu().xs[10], 0u);
  EXPECT_EQ(host_.space.load<std::uint8_t>(GuestPhys(Host::kRam + 0x1000)), 0x5a);
}

TEST_F(ABoard, TellsEachHartItsId) {
  config_.cpu_num = 2;
  config_.phys_cpu_ids = {5, 0};
  config_.kernel_load_addr = Host::kRam;

  ASSERT_THAT(load(raw_kernel()), Succeeds());
  board_->vcpu(VcpuId{1}).set_entry(GuestPhys(Host::kRam), 7);

  EXPECT_EQ(cpu().xs[10], 5u);
  EXPECT_EQ(hardware_.made->cpus[1]->xs[10], 0u);
}

TEST_F(ABoard, PutsTheDeviceTreeAtTheEndOfRam) {
  config_.kernel_load_addr = Host::kRam;
  ASSERT_THAT(load(raw_kernel()), Succeeds());

  const std::uint64_t at = cpu().xs[11];

  EXPECT_GT(at, Host::kRam + Host::kRamSize / 2);
  EXPECT_TRUE(is_aligned(at, 4096));
  EXPECT_EQ(host_.space.load<std::uint32_t>(GuestPhys(at)), 0xedfe0dd0u);
}

TEST_F(ABoard, TellsTheGuestWhereItsRamdiskIs) {
  config_.kernel_load_addr = Host::kRam;
  Images images = raw_kernel();
  images.ramdisk = some_bytes(5000, 0x77);
  ASSERT_THAT(load(images), Succeeds());
  std::vector<std::byte> tree(4096);
  ASSERT_THAT(host_.space.read(GuestPhys(cpu().xs[11]), tree), Succeeds());

  int size = 0;
  const int chosen = fdt_path_offset(tree.data(), "/chosen");
  const void* start = fdt_getprop(tree.data(), chosen, "linux,initrd-start", &size);

  ASSERT_EQ(size, 8);
  std::uint64_t address = 0;
  std::memcpy(&address, start, 8);
  EXPECT_EQ(host_.space.load<std::uint8_t>(GuestPhys(__builtin_bswap64(address))), 0x77);
}

TEST_F(ABoard, TakesEveryAddressFromTheConfiguration) {
  config_.kernel_load_addr = Host::kRam;
  config_.entry_point = Host::kRam + 4;
  config_.ramdisk_load_addr = Host::kRam + 0x10'0000;
  config_.dtb_load_addr = Host::kRam + 0x8'0000;
  config_.bios_load_addr = Host::kRam + 0x4'0000;
  Images images = raw_kernel();
  images.ramdisk = some_bytes(10, 1);
  images.bios = some_bytes(10, 2);
  images.dtb = some_bytes(10, 3);

  ASSERT_THAT(load(images), Succeeds());

  EXPECT_EQ(cpu().pc_value, Host::kRam + 4);
  EXPECT_EQ(cpu().xs[11], Host::kRam + 0x8'0000);
  EXPECT_EQ(host_.space.load<std::uint8_t>(GuestPhys(Host::kRam + 0x10'0000)), 1);
  EXPECT_EQ(host_.space.load<std::uint8_t>(GuestPhys(Host::kRam + 0x4'0000)), 2);
  EXPECT_EQ(host_.space.load<std::uint8_t>(GuestPhys(Host::kRam + 0x8'0000)), 3);
}

TEST_F(ABoard, EntersFirmwareWithoutAKernel) {
  Images images;
  images.bios = some_bytes(10);

  ASSERT_THAT(load(images), Succeeds());

  EXPECT_EQ(cpu().pc_value, Host::kRam);
}

TEST_F(ABoard, NamesTwoImagesThatWantTheSamePlace) {
  config_.kernel_load_addr = Host::kRam;
  config_.ramdisk_load_addr = Host::kRam + 8;
  Images images = raw_kernel();
  images.ramdisk = some_bytes(10);

  EXPECT_THAT(load(images), FailsSaying(ErrorCode::Overlap, "the ramdisk"));
  EXPECT_EQ(host_.space.load<std::uint8_t>(GuestPhys(Host::kRam)), 0) << "nothing was written";
}

TEST_F(ABoard, RefusesAnImageOutsideMemory) {
  config_.kernel_load_addr = 0x1000;
  EXPECT_THAT(load(raw_kernel()), FailsSaying(ErrorCode::InvalidInput, "the kernel"));
}

TEST_F(ABoard, RefusesAnImageThatWraps) {
  config_.kernel_load_addr = ~std::uint64_t{0} - 3;
  EXPECT_THAT(load(raw_kernel()), FailsSaying(ErrorCode::InvalidInput, "does not fit"));
}

TEST_F(ABoard, RefusesARamdiskThatDoesNotFit) {
  config_.kernel_load_addr = Host::kRam;
  Images images = raw_kernel();
  images.ramdisk = some_bytes(Host::kRamSize + 1);
  EXPECT_THAT(load(images), FailsSaying(ErrorCode::NoMemory, "the ramdisk"));
}

TEST_F(ABoard, SaysThatThereIsNoMemoryForTheDeviceTree) {
  EXPECT_THAT(load({}), FailsSaying(ErrorCode::InvalidInput, "the device tree"));
}

TEST_F(ABoard, PrintsThroughItsUart) {
  plug();

  EXPECT_TRUE(mmio_.write(memory_map::kUart, Width::Byte, 'A', kBootVcpu));

  EXPECT_EQ(host_.console.text, "A");
}

TEST_F(ABoard, WiresTheUartToSourceTen) {
  plug();
  EXPECT_TRUE(mmio_.write(memory_map::kUart + 1, Width::Byte, 1, kBootVcpu));  // IER: received data

  EXPECT_TRUE(board_->receive('x'));

  EXPECT_EQ(mmio_.read(memory_map::kPlic + 0x1000, Width::Word, kBootVcpu), 1u << 10);
  EXPECT_EQ(mmio_.read(memory_map::kUart, Width::Byte, kBootVcpu), 'x');
  Digest digest;
  board_->digest(digest);
  EXPECT_TRUE(board_->interrupts().has_line(10));
  EXPECT_FALSE(board_->interrupts().has_line(64));
}

TEST_F(ABoard, WiresTheClockToSourceThirteen) {
  plug();
  const auto pending = [&] {
    return *mmio_.read(memory_map::kPlic + 0x1000, Width::Word, kBootVcpu);
  };
  const std::uint64_t alarm = (kEpochSeconds + 1) * kNsPerSecond;
  EXPECT_TRUE(mmio_.write(memory_map::kRtc + 0x10, Width::Word, 1, kBootVcpu));
  EXPECT_TRUE(mmio_.write(memory_map::kRtc + 0x0c, Width::Word, alarm >> 32, kBootVcpu));
  EXPECT_TRUE(mmio_.write(memory_map::kRtc + 0x08, Width::Word, alarm, kBootVcpu));
  EXPECT_EQ(pending(), 0u);

  host_.clock.skip_to(kNsPerSecond);
  EXPECT_TRUE(host_.clock.fire_due());

  EXPECT_EQ(pending(), 1u << 13);
}

TEST_F(ABoard, PassesOnWhatTheHardwareRefuses) {
  class NoHardware final : public Hardware {
    Result<std::unique_ptr<CpuSet>> create(unsigned, AddressSpace&) override {
      return fail(ErrorCode::Backend, "no engine");
    }
  } none;
  EXPECT_THAT(RiscvBoard::make(config_,
                               {.clock = host_.clock,
                                .memory = host_.space,
                                .mmio = mmio_,
                                .ports = ports_,
                                .sysregs = sysregs_,
                                .console = host_.console,
                                .dma = host_.dma},
                               none),
              FailsSaying(ErrorCode::Backend, "no engine"));
}

TEST(DeviceTree, DescribesEveryHart) {
  VmConfig config;
  config.cpu_num = 3;
  config.cmdline = "console=ttyS0";
  config.memory_regions = {{.gpa = 0x8000'0000, .size = 0x100'0000},
                           {.gpa = 0x9000'0000, .size = 0x1000, .flags = 1}};

  const std::vector<std::byte> tree = device_tree(config, std::nullopt);

  EXPECT_EQ(fdt_check_full(tree.data(), tree.size()), 0);
  const auto text = [&](const char* path, const char* name) {
    const int node = fdt_path_offset(tree.data(), path);
    return std::string(static_cast<const char*>(fdt_getprop(tree.data(), node, name, nullptr)));
  };
  EXPECT_EQ(text("/chosen", "bootargs"), "console=ttyS0");
  EXPECT_EQ(text("/cpus/cpu@2", "mmu-type"), "riscv,sv39");
  EXPECT_EQ(text("/soc/virtio_mmio@10009000", "compatible"), "virtio,mmio");
  EXPECT_EQ(text("/soc/rtc@101000", "compatible"), "google,goldfish-rtc");
  EXPECT_LT(fdt_path_offset(tree.data(), "/cpus/cpu@3"), 0);
  EXPECT_LT(fdt_path_offset(tree.data(), "/memory@90000000"), 0) << "it may not be written";
  int size = 0;
  const int plic = fdt_path_offset(tree.data(), "/soc/plic@c000000");
  (void)fdt_getprop(tree.data(), plic, "interrupts-extended", &size);
  EXPECT_EQ(size, 3 * 8);
}

TEST(DeviceTree, NamesHartsByTheirIdsAndContextsByTheirVcpus) {
  VmConfig config;
  config.cpu_num = 2;
  config.phys_cpu_ids = {0xfff, 0};
  const auto tree = device_tree(config, std::nullopt);
  const auto cells = [&](const char* path, const char* name) {
    const auto* const data = static_cast<const fdt32_t*>(
        fdt_getprop(tree.data(), fdt_path_offset(tree.data(), path), name, nullptr));
    return data == nullptr ? ~0u : fdt32_to_cpu(*data);
  };
  EXPECT_EQ(cells("/cpus/cpu@fff", "reg"), 0xfffu);
  EXPECT_EQ(cells("/cpus/cpu@0", "reg"), 0u);
  EXPECT_EQ(cells("/cpus/cpu@fff/interrupt-controller", "phandle"), 1u);
  EXPECT_EQ(cells("/cpus/cpu@0/interrupt-controller", "phandle"), 2u);
  EXPECT_EQ(cells("/soc/plic@c000000", "interrupts-extended"), 1u) << "context 0 is vCPU 0's";
}

TEST(DeviceTree, IsTheSameInEveryRun) {
  VmConfig config;
  EXPECT_EQ(device_tree(config, std::nullopt), device_tree(config, std::nullopt));
}

class TheArchitecture : public ::testing::Test {
 public:
  std::vector<std::string> problems_of(const VmConfig& config) {
    std::vector<std::string> problems;
    architecture_->check(config, problems);
    return problems;
  }
  std::unique_ptr<Architecture> architecture_ =
      make_architecture(std::make_unique<test::FakeHardware>());
};

TEST_F(TheArchitecture, HasADefaultConfigurationWithoutProblems) {
  const VmConfig config = architecture_->default_config(64u << 20);

  EXPECT_EQ(architecture_->id(), ArchId::Riscv64);
  EXPECT_EQ(config.arch, ArchId::Riscv64);
  EXPECT_EQ(config.memory_regions.at(0).gpa, memory_map::kRam);
  EXPECT_THAT(problems_of(config), ::testing::IsEmpty());
  EXPECT_EQ(architecture_->page_table_format().address_bits(), 41u);
}

TEST_F(TheArchitecture, AcceptsItsDevicesWhereTheyAre) {
  VmConfig config = architecture_->default_config(1u << 20);
  config.emu_devices = {{.name = "plic",
                         .base_gpa = memory_map::kPlic,
                         .emu_type = EmuDeviceType::PpptGlobal,
                         .cfg_list = {}},
                        {.name = "uart",
                         .base_gpa = memory_map::kUart,
                         .emu_type = EmuDeviceType::Console,
                         .cfg_list = {}},
                        {.name = "dummy", .emu_type = EmuDeviceType::Dummy, .cfg_list = {}}};
  EXPECT_THAT(problems_of(config), ::testing::IsEmpty());
}

TEST_F(TheArchitecture, D4_RefusesLengthsAndSourcesThatItsDevicesDoNotHave) {
  VmConfig config = architecture_->default_config(1u << 20);
  config.emu_devices = {{.name = "plic",
                         .base_gpa = 0x0c00'0000,
                         .length = 0x400'0001,
                         .irq_id = 0,
                         .emu_type = EmuDeviceType::PpptGlobal,
                         .cfg_list = {}},
                        {.name = "uart",
                         .base_gpa = 0x1000'0000,
                         .length = 0x100,
                         .irq_id = 11,
                         .emu_type = EmuDeviceType::Console,
                         .cfg_list = {}}};

  const auto problems = problems_of(config);

  ASSERT_EQ(problems.size(), 2u);
  EXPECT_THAT(problems[0], ::testing::HasSubstr("0xc000000 + 0x4000000"));
  EXPECT_THAT(problems[1], ::testing::HasSubstr("uart has irq 11; on riscv64 it has 10"));
}

TEST_F(TheArchitecture, KnowsItsInterruptNumbers) {
  VmConfig config = architecture_->default_config(1u << 20);
  config.passthrough_devices = {
      {.name = "one", .base_gpa = 0x2000'0000, .base_hpa = 0x2000'0000, .length = 16, .irq_id = 63},
      {.name = "io", .base_gpa = 0x3000'0000, .base_hpa = 0x3000'0000, .length = 16, .irq_id = 64},
  };
  EXPECT_THAT(problems_of(config),
              ::testing::ElementsAre(
                  "devices.passthrough_devices[1]: io has interrupt line 64; riscv64 has 0 to 63"));
}

TEST_F(TheArchitecture, RefusesWhatItCannotDo) {
  VmConfig config = architecture_->default_config(1u << 20);
  config.phys_cpu_ids = {4096};
  config.memory_regions.push_back({.gpa = 1ull << 41, .size = 0x1000});
  config.memory_regions.push_back({.gpa = ~0xfffull, .size = 0x2000});
  config.emu_devices = {
      {.name = "plic", .base_gpa = 0x1000, .emu_type = EmuDeviceType::PpptGlobal, .cfg_list = {}},
      {.name = "gic", .emu_type = EmuDeviceType::GpptDistributor, .cfg_list = {}}};

  const auto problems = problems_of(config);

  ASSERT_EQ(problems.size(), 5u);
  EXPECT_THAT(problems[0],
              ::testing::HasSubstr("phys_cpu_ids: 0x1000 is not a hart id; give 0x0 to 0xfff"));
  EXPECT_THAT(problems[1], ::testing::HasSubstr("0xc000000"));
  EXPECT_THAT(problems[2], ::testing::HasSubstr("riscv64 lacks"));
  EXPECT_THAT(problems[3], ::testing::HasSubstr("41 bits"));
}

TEST_F(TheArchitecture, MakesBoards) {
  Host host;
  Bus mmio("mmio", host.clock);
  Bus ports("port", host.clock);
  Bus sysregs("sysreg", host.clock, Bus::Unit::Register);
  EXPECT_THAT(
      architecture_->make_board(architecture_->default_config(1u << 20), {.clock = host.clock,
                                                                          .memory = host.space,
                                                                          .mmio = mmio,
                                                                          .ports = ports,
                                                                          .sysregs = sysregs,
                                                                          .console = host.console,
                                                                          .dma = host.dma}),
      Succeeds());
}

}  // namespace
}  // namespace retrap::riscv64
